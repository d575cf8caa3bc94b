"""The charts of the status page, from the history of a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_ha.serve.page.chart import MOST_POINTS, Chart, Line, ascending
from otel_ha.serve.page.drawing import draw
from otel_ha.serve.page.scales import BYTES_PER_SECOND, MILLISECONDS, PER_SECOND, PERCENT, SHARE

__all__ = ["MOST_POINTS", "RANGES", "Chart", "Line", "charts_of", "draw"]

RANGES: Mapping[str, float | None] = {"5min": 300.0, "50min": 3000.0, "all": None}
"""The choices of the time that charts show, in seconds."""

_OUTCOMES = ("ok", "error", "cancelled")

_Rows = Sequence[Mapping[str, Any]]


def charts_of(summary: Mapping[str, Any], chosen: str) -> list[Chart]:
    """Return the charts of a summary's history, for the chosen one of RANGES."""
    history = summary.get("history") or {}
    interval = history.get("interval") or 0.0
    system, work = (_within(history.get(part) or [], RANGES[chosen], interval) for part in ("system", "performance"))
    times = ascending([row["timestamp"] for row in work])
    return [
        Chart("rate", "Events by outcome", PER_SECOND, times, _outcomes(work)),
        Chart(
            "duration",
            "Time to process an event",
            MILLISECONDS,
            times,
            [_percentile(work, percent) for percent in (50, 95, 99)],
        ),
        Chart("lag", "Lag behind the source", MILLISECONDS, times, [_line(work, "P95", "p95_lag")]),
        Chart("queue", "Queue use", SHARE, times, [_line(work, "of capacity", "queue_use")]),
        Chart("use", "CPU and memory", PERCENT, ascending([row["timestamp"] for row in system]), _use(system)),
        Chart(
            "bytes",
            "Data",
            BYTES_PER_SECOND,
            times,
            [_line(work, "received", "bytes_received_per_second"), _line(work, "sent", "bytes_sent_per_second")],
        ),
    ]


def _within(rows: _Rows, seconds: float | None, interval: float) -> _Rows:
    """Return the newest rows, of so many seconds, or all.

    `interval` is the time between two rows between which the clock was set back.
    """
    if seconds is None or not rows:
        return rows
    first = len(rows) - 1
    elapsed = 0.0
    while first > 0:
        step = rows[first]["timestamp"] - rows[first - 1]["timestamp"]
        elapsed += step if step >= 0 else interval
        if elapsed > seconds:
            break
        first -= 1
    return rows[first:]


def _line(rows: _Rows, name: str, figure: str, part: str = "performance") -> Line:
    return Line(name, [row.get(figure) for row in rows], path=f"history.{part}.-1.{figure}")


def _percentile(rows: _Rows, percent: int) -> Line:
    """Return a line of times to process an event: a gap, not zero, where no event was processed."""
    figure = f"p{percent}_processing_time"
    line = _line(rows, f"P{percent}", figure)
    values = [None if row.get("event_processing_rate") == 0 else row.get(figure) for row in rows]
    return replace(line, values=values, path=line.path if values[-1:] == line.values[-1:] else None)


def _outcomes(rows: _Rows) -> list[Line]:
    """Return the rates of outcomes, the usual ones first; one that did not occur in an interval is 0 there."""
    found = [row.get("rates_by_outcome") for row in rows]
    newest = (found[-1] if found else None) or {}
    others = sorted({name for rates in found if rates for name in rates} - set(_OUTCOMES))
    return [
        Line(
            name,
            [None if rates is None else rates.get(name, 0.0) for rates in found],
            path=f"history.performance.-1.rates_by_outcome.{name}" if name in newest else None,
        )
        for name in (*_OUTCOMES, *others)
    ]


def _use(rows: _Rows) -> list[Line]:
    return [
        _line(rows, "host CPU", "cpu_percent", "system"),
        _line(rows, "host memory", "memory_percent", "system"),
        _line(rows, "process CPU (of one)", "process_cpu_percent", "system"),
        Line("process memory", [_share_of_memory(row) for row in rows]),
    ]


def _share_of_memory(row: Mapping[str, Any]) -> float | None:
    """Return the memory of this process as a share of the host's, in percent."""
    own, used, free = (row.get(name) for name in ("process_memory_mb", "memory_used_mb", "memory_available_mb"))
    if own is None or used is None or free is None or used + free <= 0:
        return None
    return float(100 * own / (used + free))
