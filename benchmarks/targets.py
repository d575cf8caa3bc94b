"""Targets: limits for cells of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.tables import Spread, Table

MEASURED = "otel-ha: measured()"
WRAPPER = "a wrapper that reads the clock twice"
LESS_BARE = ", less a bare call"
COUNTER = "otel-ha: a counter"
PAHO_MESSAGE = "paho-mqtt: a message, from the socket to the end of its callback"
RATIO = "instrumented / bare"


MET, NOT_MET = "met", "not met"


@dataclass(frozen=True, slots=True)
class Target:
    """A target: the median of one cell is at most `limit`, in `unit`."""

    claim: str
    table: str
    row: str
    column: str
    limit: float
    unit: str = ""

    def cell(self, tables: Mapping[str, Table]) -> Spread | None:
        """Return the cell, or None if it was not measured."""
        table = tables.get(self.table)
        return table.rows.get(self.row, {}).get(self.column) if table else None

    def cells(self, tables: Mapping[str, Table]) -> list[str]:
        """Return a row of text: the claim, the limit, the measured value, and the verdict."""
        cell = self.cell(tables)
        return [self.claim, self.most, "" if cell is None else str(cell), self.verdict(tables)]

    @property
    def most(self) -> str:
        """The limit with its unit."""
        return f"{self.limit:g} {self.unit}".strip()

    def verdict(self, tables: Mapping[str, Table]) -> str:
        """Return "met", "not met" or "not measured"."""
        cell = self.cell(tables)
        if cell is None:
            return "not measured"
        return MET if cell.median <= self.limit else NOT_MET


TARGETS = (
    Target("An event measured in full, 2 readers, for the caller: 1 µs if the wrapper takes 0.25 µs",
           "recording", MEASURED, "2 readers", 4, "wrappers"),
    Target("The same, with its share of the next collection",
           "recording", f"{MEASURED}, with its share of a collection", "2 readers", 4, "wrappers"),
    Target("1/40 of OpenTelemetry by hand, attributes made once",
           "peers", "measured() / OpenTelemetry by hand, attributes made once", "2 readers", 1 / 40),
    Target("1/10 of prometheus_client's labels()",
           "peers", "measured() / prometheus_client, labels()", "2 readers", 1 / 10),
    Target("No more with 3 readers than with 1 (10 % for noise)",
           "peers", "measured() / itself with 1 reader", "3 readers", 1.1),
    Target("An inert counter", "microseconds", f"{COUNTER}{LESS_BARE}", "inert", 0.1, "µs"),
    Target("An inert measured()", "microseconds", f"{MEASURED}{LESS_BARE}", "inert", 0.1, "µs"),
    Target("A message through paho-mqtt's instrumented client, as a multiple of the bare one",
           "instrumented", PAHO_MESSAGE, RATIO, 1.6),
    Target("Telemetry at 1,000 events/s, on less off", "telemetry", "on less off", "1,000 events/s", 1, "% of a core"),
    Target("The event loop's p99 delay during a scrape of 2,000 histogram series",
           "scrape", "otel-ha", "p99 delay during, ms", 10, "ms"),
    Target("Python's objects of a series, as a multiple of prometheus_client's, without the history",
           "memory", "otel-ha, without its history / prometheus_client", "objects, kB", 1),
    Target("The same, with the history, which is on by default",
           "memory", "otel-ha / prometheus_client", "objects, kB", 1),
    Target("Resident memory of a series, as a multiple of prometheus_client's, without the history",
           "memory", "otel-ha, without its history / prometheus_client", "resident, kB", 1),
    Target("The same, with the history, which is on by default",
           "memory", "otel-ha / prometheus_client", "resident, kB", 1),
    Target("import otel_ha after opentelemetry-api",
           "startup", "import otel_ha and its vocabulary, after that", "ms", 50, "ms"),
    Target("setup_telemetry() with http/protobuf",
           "startup", "the first setup_telemetry(), imports included", "ms", 150, "ms"),
)  # fmt: skip
PACE = Target("the wrapper", "microseconds", WRAPPER, "2 readers", 0.25, "µs")
"""Not a target, but the speed of machine that the first target assumes."""


def pace(tables: Iterable[Table]) -> str:
    """Return a sentence on the speed of the machine, on which all times depend; "" if it was not measured."""
    took = PACE.cell({table.key: table for table in tables})
    if took is None:
        return ""
    return (
        f"The first target assumes a machine on which {PACE.claim} takes {PACE.limit:g} {PACE.unit}. In this run it "
        f"took {took} {PACE.unit}, including the loop around it. Read µs, ms and % of a core with that in mind."
    )


def judged(tables: Iterable[Table]) -> list[list[str]]:
    """Return the targets with their measured values, as the cells of a table with its head."""
    by_key = {table.key: table for table in tables}
    head = ["Target", "At most", "Measured", "Verdict"]
    return [head, *(target.cells(by_key) for target in TARGETS)]
