"""Targets: limits for cells of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.tables import UNITS, Spread, Table

MEASURED = "otel-ha: measured()"
COMPUTED = "otel-ha: measured(), one attribute computed"
RAISING = "otel-ha: measured(), when the call raises"
BLOCK = "otel-ha: with measured()"
BOUND_BLOCK = "otel-ha: with bound.measured()"
DISCARDED_BLOCK = "otel-ha: with bound.measured() and discard()"
COLLECTED = "otel-ha: measured(), with its share of a collection"
COUNTER = "otel-ha: a counter"
WRAPPER = "a wrapper that reads the clock twice"
LESS_BARE = ", less a bare call"
OTEL = "OpenTelemetry by hand, attributes made once"
HELD, CLIENT = "prometheus_client, children held", "prometheus_client, labels()"
TO_ONE_READER = "measured() / itself with 1 reader"
NEW_COUNTER, NEW_OPERATION = "a counter", "a measured operation"
TWO_READERS, INERT, IN_MICROSECONDS = "2 readers", "inert", "2 readers, µs"
PAHO_MESSAGE = "paho-mqtt: a message, from the socket to the end of its callback"
RATIO = "instrumented / bare"
TO_OTEL, TO_CLIENT = "otel-ha / OpenTelemetry", "otel-ha / prometheus_client"
BUSY, AT_HOME = "1,000 events/s, every second", "200 events/s, default intervals"
SCALED = "otel-ha where the wrapper takes 0.3 µs, % of a core"
PER_SERIES, SCRAPE = "50,000 series / 1,000 series, per series", "a scrape, ms"

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"


@dataclass(frozen=True, slots=True)
class Target:
    """A target: the median of one cell is at most `limit`, in `unit`."""

    claim: str
    table: str
    row: str
    column: str
    limit: float
    unit: str = ""

    @property
    def is_absolute(self) -> bool:
        """Whether it depends on the machine."""
        return self.unit in UNITS

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
        return f"{self.limit:.3g} {self.unit}".strip()

    def verdict(self, tables: Mapping[str, Table]) -> str:
        """Return "met", "not met" or "not measured"."""
        cell = self.cell(tables)
        if cell is None:
            return NOT_MEASURED
        return MET if cell.median <= self.limit else NOT_MET


TARGETS = (
    Target("An event measured in full, 2 readers, with its share of the next collection",
           "recording", COLLECTED, TWO_READERS, 2.3, "wrappers"),
    Target("An event with 3 readers, as a multiple of one with 1 reader (10 % for noise)",
           "peers", TO_ONE_READER, "3 readers", 1.1),
    Target("An event, as a share of OpenTelemetry by hand, attributes made once",
           "peers", f"measured() / {OTEL}", TWO_READERS, 1 / 40),
    Target("An event, as a share of prometheus_client's labels()",
           "peers", f"measured() / {CLIENT}", TWO_READERS, 1 / 10),
    Target("A decorated call with a computed attribute", "recording", COMPUTED, TWO_READERS, 3, "wrappers"),
    Target("A decorated call that raises a type seen before", "recording", RAISING, TWO_READERS, 10, "wrappers"),
    Target("`with bound.measured()`", "recording", BOUND_BLOCK, TWO_READERS, 4, "wrappers"),
    Target("`with bound.measured()`, discarded", "recording", DISCARDED_BLOCK, TWO_READERS, 4, "wrappers"),
    Target("`with measured(…)`, built each time", "recording", BLOCK, TWO_READERS, 8, "wrappers"),
    Target("`with measured(…)`, built each time, inert", "recording", BLOCK, INERT, 4, "wrappers"),
    Target("An inert counter, less a bare call",
           "recording", f"{COUNTER}{LESS_BARE}", INERT, 0.4, "wrappers"),
    Target("An inert measured(), less a bare call",
           "recording", f"{MEASURED}{LESS_BARE}", INERT, 0.4, "wrappers"),
    Target("A new attribute set of a counter with the next collection, as a share of OpenTelemetry by hand",
           "new_sets", NEW_COUNTER, TO_OTEL, 1 / 3),
    Target("A new attribute set of a measured operation with the next collection, as a share of the same",
           "new_sets", NEW_OPERATION, TO_OTEL, 1 / 3),
    Target("The ingestor's telemetry at 1,000 events/s, every second: CPU, as a share of OpenTelemetry by hand",
           "telemetry", BUSY, TO_OTEL, 1 / 4),
    Target("The ingestor's telemetry at 1,000 events/s, every second: CPU, as a share of prometheus_client",
           "telemetry", BUSY, TO_CLIENT, 1),
    Target("The ingestor's telemetry at 200 events/s, default intervals: CPU where the wrapper takes 0.3 µs",
           "telemetry", AT_HOME, SCALED, 1, "% of a core"),
    Target("A scrape, per series, of 50,000 series as a multiple of one of 1,000",
           "growth_series", PER_SERIES, SCRAPE, 1.3),
    Target("A message through paho-mqtt's instrumented client, as a multiple of the bare one",
           "instrumented", PAHO_MESSAGE, RATIO, 1.6),
    Target("Python's objects of a series, as a multiple of prometheus_client's, without the history",
           "memory", "otel-ha, without its history / prometheus_client", "objects, kB", 1),
    Target("Python's objects of a series, as a multiple of prometheus_client's, with the history",
           "memory", TO_CLIENT, "objects, kB", 1),
    Target("Resident memory of a series, as a multiple of prometheus_client's, without the history",
           "memory", "otel-ha, without its history / prometheus_client", "resident, kB", 1),
    Target("Resident memory of a series, as a multiple of prometheus_client's, with the history",
           "memory", TO_CLIENT, "resident, kB", 1),
    Target("The event loop's p99 delay during a scrape of 2,000 histogram series",
           "scrape", "otel-ha", "p99 delay during, ms", 10, "ms"),
    Target("import otel_ha after opentelemetry-api",
           "startup", "import otel_ha and its vocabulary, after that", "ms", 50, "ms"),
    Target("setup_telemetry() with http/protobuf",
           "startup", "the first setup_telemetry(), imports included", "ms", 150, "ms"),
)  # fmt: skip
PACE = Target("the wrapper", "microseconds", WRAPPER, IN_MICROSECONDS, 0.25, "µs")
"""Not a target, but the speed of a machine for which the targets in milliseconds are meant."""


def judged(tables: Iterable[Table], *, absolute: bool | None = None) -> list[list[str]]:
    """Return the targets, or only the absolute or the other ones, as the cells of a table with its head."""
    by_key = {table.key: table for table in tables}
    chosen = (target for target in TARGETS if absolute is None or target.is_absolute is absolute)
    return [["Target", "At most", "Measured", "Verdict"], *(target.cells(by_key) for target in chosen)]
