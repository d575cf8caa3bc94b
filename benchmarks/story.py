"""The story of a run in a few sentences: the cost of an event, the cost at rest, and the targets that are not met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.tables import Table, spelled
from benchmarks.targets import MEASURED, NOT_MET, TARGETS, WRAPPER

Tables = Mapping[str, Table]

_READERS = "2 readers"
_EVENT = (
    "**An event.** With two readers, an event measured in full by `measured()` takes {ours} µs, {wrappers} times as "
    "long as a wrapper that only reads the clock ({wrapper} µs). With three readers instead of one, the time grows by "
    "{growth} %. The same by hand takes {otel} µs with OpenTelemetry's SDK, {otel_times} times as long, and {client} "
    "µs with prometheus_client and its `labels()`, {client_times} times as long. A `with measured()` block takes "
    "{block} µs, and a call that raises {raising} µs."
)
_AT_REST = (
    "**At rest.** Scraped and pushed every second, telemetry's own threads use {rest} % of a core without any event. "
    "At 1,000 events a second, all of telemetry uses {busy} % of a core. A thousand histogram series take {memory} MB, "
    "their history included. Import and set-up together take {startup} ms."
)
_SHORT = "**Not met.** These targets are not met on this machine:"
_ALL_MET = "**Not met.** Every target that was measured is met."


def story(tables: Iterable[Table]) -> str:
    """Return the story as Markdown; a paragraph whose cells were not measured is left out."""
    by_key = {table.key: table for table in tables}
    paragraphs = (_filled(_EVENT, _event(by_key)), _filled(_AT_REST, _at_rest(by_key)), _falls_short(by_key))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _event(tables: Tables) -> Mapping[str, float | None]:
    times = {
        "ours": MEASURED,
        "wrapper": WRAPPER,
        "otel": "OpenTelemetry by hand, attributes made once",
        "client": "prometheus_client, labels()",
        "block": "otel-ha: with measured()",
        "raising": "otel-ha: measured(), when the call raises",
    }
    found = {name: _median(tables, "microseconds", row, _READERS) for name, row in times.items()}
    for name in ("otel", "client"):
        share = _median(tables, "peers", f"measured() / {times[name]}", _READERS)
        found[f"{name}_times"] = 1 / share if share else None
    growth = _median(tables, "peers", "measured() / itself with 1 reader", "3 readers")
    found["growth"] = None if growth is None else max(growth - 1, 0) * 100
    return found | {"wrappers": _median(tables, "recording", MEASURED, _READERS)}


def _at_rest(tables: Tables) -> Mapping[str, float | None]:
    memory = _median(tables, "memory", "otel-ha", "objects, kB")
    steps = ("import otel_ha and its vocabulary, after that", "the first setup_telemetry(), imports included")
    startup = [_median(tables, "startup", step, "ms") for step in steps]
    return {
        "rest": _median(tables, "telemetry", "on less off, in telemetry's threads", "at 0 events/s"),
        "busy": _median(tables, "telemetry", "on less off", "1,000 events/s"),
        "memory": None if memory is None else memory / 1e3,
        "startup": None if None in startup else sum(filter(None, startup)),
    }


def _falls_short(tables: Tables) -> str:
    if all(target.cell(tables) is None for target in TARGETS):
        return ""
    missed = [target for target in TARGETS if target.verdict(tables) == NOT_MET]
    lines = (f"- {target.claim}: {target.cell(tables)}; the limit is {target.most}" for target in missed)
    return "\n".join([f"{_SHORT}\n", *lines]) if missed else _ALL_MET


def _median(tables: Tables, table: str, row: str, column: str) -> float | None:
    cell = tables[table].rows.get(row, {}).get(column) if table in tables else None
    return None if cell is None else cell.median


def _filled(text: str, values: Mapping[str, float | None]) -> str:
    known = {name: _short(value) for name, value in values.items() if value is not None}
    return text.format(**known) if len(known) == len(values) else ""


def _short(value: float) -> str:
    """Return a number with two significant digits, or as a whole number above 10."""
    return spelled(float(f"{value:.2g}")) if value < 10 else f"{value:,.0f}"  # noqa: PLR2004 - one digit before the point
