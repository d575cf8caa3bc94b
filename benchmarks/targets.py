"""Targets: what is to hold, each beside the cell of a table that says whether it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.figures import Spread, Table

MEASURED = "otel-ha: measured()"
WRAPPER = "a wrapper that reads the clock twice"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to hold: the median of a cell is at most `limit`; `unit` is what it is a number of."""

    claim: str
    table: str
    row: str
    column: str
    limit: float
    unit: str = ""

    def figure(self, tables: Mapping[str, Table]) -> Spread | None:
        """Return the cell; None where it was not measured."""
        table = tables.get(self.table)
        return table.rows.get(self.row, {}).get(self.column) if table else None

    def cells(self, tables: Mapping[str, Table]) -> list[str]:
        """Return the claim, the limit, the figure, and whether the one keeps within the other."""
        figure = self.figure(tables)
        verdict = "not measured" if figure is None else "met" if figure.median <= self.limit else "not met"
        return [self.claim, f"{self.limit:g} {self.unit}".strip(), "" if figure is None else str(figure), verdict]


TARGETS = (
    Target("An event measured in full (2 readers), to who waits for it: 1 µs where the wrapper takes 0.25",
           "recording", MEASURED, "2 readers", 4, "wrappers"),
    Target("The same with its share of the collection that follows",
           "recording", f"{MEASURED}, with its share of a collection", "2 readers", 4, "wrappers"),
    Target("1/40 of OpenTelemetry by hand, attributes made once",
           "peers", "measured() / OpenTelemetry by hand, attributes made once", "2 readers", 1 / 40),
    Target("1/10 of prometheus_client's labels()",
           "peers", "measured() / prometheus_client, labels()", "2 readers", 1 / 10),
    Target("The same with 3 readers as with 1 (10 % for noise)",
           "peers", "measured() / itself with 1 reader", "3 readers", 1.1),
    Target("An inert counter", "microseconds", "added to a bare call by inert a counter", "inert", 0.1, "µs"),
    Target("An inert measured()", "microseconds", "added to a bare call by inert measured()", "inert", 0.1, "µs"),
    Target("Telemetry at 1,000 events/s, on less off", "telemetry", "on less off", "1,000 events/s", 1, "% of a core"),
    Target("The event loop's p99 delay while 2,000 histogram series are scraped",
           "scrape", "otel-ha", "p99 delay meanwhile, ms", 10, "ms"),
    Target("Memory of a series, Python's objects, beside prometheus_client's, without a history",
           "memory", "otel-ha, without its history / prometheus_client", "objects, kB", 1),
    Target("The same with the history, which is on by default",
           "memory", "otel-ha / prometheus_client", "objects, kB", 1),
    Target("Memory of a series, resident, beside prometheus_client's, without a history",
           "memory", "otel-ha, without its history / prometheus_client", "resident, kB", 1),
    Target("The same with the history, which is on by default",
           "memory", "otel-ha / prometheus_client", "resident, kB", 1),
    Target("import otel_ha after opentelemetry-api",
           "startup", "import otel_ha and its vocabulary, after that", "ms", 50, "ms"),
    Target("setup_telemetry() with http/protobuf",
           "startup", "the first setup_telemetry(), imports included", "ms", 150, "ms"),
)  # fmt: skip
PACE = Target("the wrapper", "microseconds", WRAPPER, "2 readers", 0.25, "µs")
"""No target, but the machine that the first one is for."""


def pace(tables: Iterable[Table]) -> str:
    """Return a sentence on how quick the machine was, which whatever is not a ratio depends on; "" if not measured."""
    took = PACE.figure({table.key: table for table in tables})
    if took is None:
        return ""
    return (
        f"The first target assumes a machine where {PACE.claim} takes {PACE.limit:g} {PACE.unit}. In this run it took "
        f"{took} {PACE.unit}, the loop around it included: what is in µs, ms or % of a core is to be read with that."
    )


def judged(tables: Iterable[Table]) -> list[list[str]]:
    """Return the targets beside the figures, as the cells of a table with its head."""
    by_key = {table.key: table for table in tables}
    head = ["Target", "At most", "Measured", "Verdict"]
    return [head, *(target.cells(by_key) for target in TARGETS)]
