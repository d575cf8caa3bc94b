"""Tiles of the status page: the figures that one looks at first, and the time that they cover."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_ha.serve.page.html import Element, element
from otel_ha.serve.page.parts import Shown, figure, group_off
from otel_ha.serve.summary import words
from otel_ha.vocabulary import ingest

__all__ = ["covered", "tiles"]

Data = Mapping[str, Any]
_MIB = 2**20


def _milliseconds(value: float | None) -> str:
    return words.duration(None if value is None else value / 1000)


def _megabytes(value: float | None) -> str:
    return words.size(None if value is None else value * _MIB)


def _bytes_per_second(value: float | None) -> str:
    return words.NOTHING if value is None else f"{words.size(value)}/s"


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure below "current" of the summary, such as performance.queue_use, with a label after it.

    of_events: whether it means nothing while no event is processed.
    """

    path: str
    shown: Shown
    label: str = ""
    of_events: bool = False


@dataclass(frozen=True, slots=True)
class _Tile:
    """A title, the main figure and lesser ones; `groups` of which one must be on, and why it may be unknown else.

    metric: the name of the metric whose objectives the main figure is about.
    """

    title: str
    main: _Figure
    lesser: tuple[_Figure, ...]
    groups: tuple[str, ...]
    absent: str = "Not measured yet."
    metric: str = ""


_TILES = (
    _Tile(
        "Events per second",
        _Figure("performance.event_processing_rate", words.rate),
        (
            _Figure("performance.received_rate", words.rate, "received"),
            _Figure("performance.discarded_rate", words.rate, "discarded"),
        ),
        ("performance", "business"),
    ),
    _Tile(
        "P95 of processing",
        _Figure("performance.p95_processing_time", _milliseconds, of_events=True),
        (
            _Figure("performance.p50_processing_time", _milliseconds, "P50", of_events=True),
            _Figure("performance.p99_processing_time", _milliseconds, "P99", of_events=True),
        ),
        ("performance",),
        metric=ingest.EVENT_DURATION.name,
    ),
    _Tile(
        "Error share",
        _Figure("performance.error_rate", words.share, of_events=True),
        (_Figure("business.total_events_processed", words.count, "processed so far"),),
        ("performance", "business"),
    ),
    _Tile(
        "Lag (P95)",
        _Figure("performance.p95_lag", _milliseconds),
        (),
        ("performance",),
        "No event brings the time at its source.",
        ingest.LAG_TO_WRITE.name,
    ),
    _Tile(
        "Queue use",
        _Figure("performance.queue_use", words.share),
        (_Figure("performance.queue_depth", words.count, "waiting"),),
        ("performance",),
        "No queue has a known capacity.",
    ),
    _Tile("In flight", _Figure("performance.events_in_flight", words.count), (), ("business",)),
    _Tile(
        "Points per second",
        _Figure("performance.throughput_points_per_second", words.rate),
        (_Figure("business.data_points_written", words.count, "written so far"),),
        ("business",),
    ),
    _Tile(
        "Data received",
        _Figure("performance.bytes_received_per_second", _bytes_per_second),
        (_Figure("performance.bytes_sent_per_second", _bytes_per_second, "sent"),),
        ("business",),
    ),
    _Tile(
        "CPU of the host",
        _Figure("system.cpu_percent", words.percent),
        (_Figure("system.process_cpu_percent", words.percent, "of one CPU by this process"),),
        ("system",),
    ),
    _Tile(
        "Memory of the host",
        _Figure("system.memory_percent", words.percent),
        (_Figure("system.process_memory_mb", _megabytes, "by this process"),),
        ("system",),
    ),
)


def covered(current: Data) -> Element:
    """Return the sentence about the time that the figures of the part "current" of a summary cover."""
    window = figure("current.window", current.get("window"), words.duration)
    return element(
        "p", "Rates, percentiles and the error share are over the last ", window, "; the rest is of now.", class_="why"
    )


def tiles(current: Data, groups: Iterable[str], missed: Collection[str] = ()) -> Element:
    """Return the tiles for the part "current" of a summary, with the metric groups that are on.

    `missed` has the names of the metrics of which an objective is missed.
    """
    on = frozenset(groups)
    drawn = (_draw(tile, current, on, is_missed=tile.metric in missed) for tile in _TILES)
    return element("div", *drawn, class_="tiles")


def _draw(tile: _Tile, current: Data, on: frozenset[str], *, is_missed: bool) -> Element:
    main = _value(tile.main, current)
    is_idle = (current.get("performance") or {}).get("event_processing_rate") == 0
    shown = [each for each in tile.lesser if _value(each, current) is not None and not (is_idle and each.of_events)]
    if main is None:
        why: str | None = _why(tile, on)
    else:
        why = "No event was processed in this time." if is_idle and tile.main.of_events else None
    return element(
        "div",
        element("h3", tile.title),
        figure(f"current.{tile.main.path}", main, _nothing if why else tile.main.shown, "p"),
        element("p", why, class_="why") if why else None,
        *(_lesser(each, current) for each in shown),
        element("p", "✗ objective missed", class_="missed") if is_missed else None,
        class_="tile tile-missed" if is_missed else "tile",
    )


def _nothing(_: float | None) -> str:
    return words.NOTHING


def _lesser(each: _Figure, current: Data) -> Element:
    shown = figure(f"current.{each.path}", _value(each, current), each.shown)
    return element("p", shown, f" {each.label}", class_="lesser")


def _why(tile: _Tile, on: frozenset[str]) -> str:
    if on.isdisjoint(tile.groups):
        return group_off(*tile.groups)
    return tile.absent


def _value(each: _Figure, current: Data) -> float | None:
    part, _, name = each.path.partition(".")
    value: float | None = (current.get(part) or {}).get(name)
    return value
