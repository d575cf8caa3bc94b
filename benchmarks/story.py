"""The story of a run in a few sentences, in wrappers and ratios, and the targets that are not met."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isfinite

from benchmarks import targets
from benchmarks.tables import Spread, Table
from benchmarks.targets import NOT_MET, TARGETS

_WRAPPERS = (
    "Costs are in **wrappers**: a wrapper is a decorator that only reads the clock before and after a call. Machines "
    "differ in speed; these multiples, and the ratios between libraries, hardly do. Times, CPU and memory of this "
    "machine are [at the end](#absolute-figures)."
)
_SHORT = "**Not met.** These targets are not met:"
_ALL_MET = "**Met.** Every target that was measured is met."
_UNKNOWN = "**Not measured.** This run has no figures for these targets:"
_PERCENT = re.compile(r"(?<=\d)%")


_PARAGRAPHS = {
    "An event": """\
`@measured(…)` counts an event as received and in flight and records its duration, for {event:.1f} wrappers.
With its share of the next collection by two readers, a scrape and a push, that is {whole_event:.1f}.
With three readers instead of one, it costs {readers:.2f} times as much.
While no telemetry runs, it costs {inert:.1f}.
By hand, the same costs {otel:.0f} with OpenTelemetry's SDK and attributes made once.
With prometheus_client, it costs {held:.0f} if children are held, and {client:.0f} with `labels()`.""",
    "A block": """\
`with bound.measured()` costs {block:.1f} wrappers, and {discarded:.1f} if the event is discarded.
`with measured(…)`, built each time, costs {built:.1f}.""",
    "An error": """\
A measured call that raises a type seen before costs {raising:.1f} wrappers; while no telemetry runs, {failing:.1f}.""",
    "A new attribute set": """\
For a counter, its first measurement and the next collection take {new_counter:.0%} of the CPU time that they take \
with OpenTelemetry's SDK by hand.
For a measured operation, they take {new_operation:.0%}.""",
    "A whole service": """\
At 1,000 events/s, scraped and pushed every second, the telemetry of the example ingestor uses {to_otel:.0%} of the \
CPU of OpenTelemetry's SDK by hand.
It uses {to_client:.0%} of that of prometheus_client by hand, which pushes nothing and keeps no history.
At 200 events/s and default intervals, it uses {home_low:.1f} to {home_high:.1f} % of a core where the wrapper takes \
0.3 µs; less than none is noise.""",
    "Growth": """\
A scrape of 50,000 series takes {growth:.2f} times as long per series as one of 1,000 ([picture](#growth)).
With its history, a series takes {memory:.0%} of the resident memory that it takes in prometheus_client.""",
}
"""Sentences by topic, one a line."""

_FIGURES: Mapping[str, tuple[str, str, str]] = {
    "event": ("recording", targets.MEASURED, targets.TWO_READERS),
    "whole_event": ("recording", targets.COLLECTED, targets.TWO_READERS),
    "otel": ("recording", targets.OTEL, targets.TWO_READERS),
    "held": ("recording", targets.HELD, targets.TWO_READERS),
    "client": ("recording", targets.CLIENT, targets.TWO_READERS),
    "readers": ("peers", targets.TO_ONE_READER, "3 readers"),
    "inert": ("recording", targets.MEASURED, targets.INERT),
    "block": ("recording", targets.BOUND_BLOCK, targets.TWO_READERS),
    "discarded": ("recording", targets.DISCARDED_BLOCK, targets.TWO_READERS),
    "built": ("recording", targets.BLOCK, targets.TWO_READERS),
    "raising": ("recording", targets.RAISING, targets.TWO_READERS),
    "failing": ("recording", targets.RAISING, targets.INERT),
    "new_counter": ("new_sets", targets.NEW_COUNTER, targets.TO_OTEL),
    "new_operation": ("new_sets", targets.NEW_OPERATION, targets.TO_OTEL),
    "to_otel": ("telemetry", targets.BUSY, targets.TO_OTEL),
    "to_client": ("telemetry", targets.BUSY, targets.TO_CLIENT),
    "growth": ("growth_series", targets.PER_SERIES, targets.SCRAPE),
    "memory": ("memory", targets.TO_CLIENT, "resident, kB"),
}
"""The table, the row and the column of each figure in them."""


def story(tables: Iterable[Table]) -> str:
    """Return the story as Markdown; a sentence whose figures were not measured is left out."""
    by_key = {table.key: table for table in tables}
    medians = {name: _median(by_key, *cell) for name, cell in _FIGURES.items()}
    known = {name: figure for name, figure in medians.items() if figure is not None and isfinite(figure)}
    if (home := _cell(by_key, "telemetry", targets.AT_HOME, targets.SCALED)) is not None:
        known |= {"home_low": home.low, "home_high": home.high}
    told = [f"**{topic}.** {text}" for topic, lines in _PARAGRAPHS.items() if (text := _told(lines, known))]
    return "\n\n".join(filter(None, [*([_WRAPPERS, *told] if told else ()), _falls_short(by_key)]))


def _told(lines: str, known: Mapping[str, float]) -> str:
    sentences = []
    for line in lines.splitlines():
        with suppress(KeyError):
            sentences.append(_PERCENT.sub(" %", line.format(**known)))
    return " ".join(sentences)


def _median(tables: Mapping[str, Table], table: str, row: str, column: str) -> float | None:
    cell = _cell(tables, table, row, column)
    return None if cell is None else cell.median


def _cell(tables: Mapping[str, Table], table: str, row: str, column: str) -> Spread | None:
    return tables[table].rows.get(row, {}).get(column) if table in tables else None


def _falls_short(tables: Mapping[str, Table]) -> str:
    if all(target.cell(tables) is None for target in TARGETS):
        return ""
    missed = [target for target in TARGETS if target.verdict(tables) == NOT_MET]
    lines = (f"- {target.claim}: {target.cell(tables)}; the limit is {target.most}" for target in missed)
    told = "\n".join([f"{_SHORT}\n", *lines]) if missed else _ALL_MET
    unknown = [f"- {target.claim}" for target in TARGETS if target.cell(tables) is None]
    return "\n".join([f"{told}\n\n{_UNKNOWN}\n", *unknown]) if unknown else told
