"""Tiles of the status page: the figures that one looks at first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_ha.serve.page.html import Element, element
from otel_ha.serve.page.parts import Shown, figure, group_off
from otel_ha.serve.summary import words

__all__ = ["tiles"]

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
    """A figure below "current" of the summary, such as performance.queue_use, with a label after it."""

    path: str
    shown: Shown
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Tile:
    """A title, the main figure and lesser ones; `groups` of which one must be on, and why it may be unknown else."""

    title: str
    main: _Figure
    lesser: tuple[_Figure, ...]
    groups: tuple[str, ...]
    absent: str = "Not measured yet."


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
        _Figure("performance.p95_processing_time", _milliseconds),
        (
            _Figure("performance.p50_processing_time", _milliseconds, "P50"),
            _Figure("performance.p99_processing_time", _milliseconds, "P99"),
        ),
        ("performance",),
    ),
    _Tile(
        "Error share",
        _Figure("performance.error_rate", words.share),
        (_Figure("business.total_events_processed", words.count, "processed so far"),),
        ("performance", "business"),
    ),
    _Tile(
        "Lag (P95)",
        _Figure("performance.p95_lag", _milliseconds),
        (),
        ("performance",),
        "No event brings the time at its source.",
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


def tiles(current: Data, groups: Iterable[str]) -> Element:
    """Return the tiles for the part "current" of a summary, with the metric groups that are on."""
    on = frozenset(groups)
    return element("div", *(_draw(tile, current, on) for tile in _TILES), class_="tiles")


def _draw(tile: _Tile, current: Data, on: frozenset[str]) -> Element:
    main = _value(tile.main, current)
    lesser = [_lesser(each, current) for each in tile.lesser if _value(each, current) is not None]
    return element(
        "div",
        element("h3", tile.title),
        figure(f"current.{tile.main.path}", main, tile.main.shown, "p"),
        element("p", _why(tile, on), class_="why") if main is None else None,
        *lesser,
        class_="tile",
    )


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
