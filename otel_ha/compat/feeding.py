"""Feeding: figures of the earlier MetricsCollector for the ingest vocabulary, unless the service records them itself.

A service that moves step by step may report one write by record_influxdb_write() and by measured(ingest.WRITE) as well.
So figures wait until the next collection. By then an instrument that the service records itself has series of its own
with the same attributes; the waiting figures for them are dropped, and nothing is counted twice.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from otel_ha.declare.instruments import Attribute, Synchronous
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.resolver import Identity, attributes_of
from otel_ha.telemetry import running_telemetry

MOST_WAITING: Final = 1_000

Where = Mapping[Attribute, str | None]
"""The attributes of a figure: a series of the service's own is for the same if it has these values or lacks them."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure that waits, with the function that records it."""

    instrument: Synchronous
    where: tuple[tuple[str, str | None], ...]
    record: Callable[[], object]


def feed(instrument: Synchronous, where: Where, record: Callable[[], object]) -> None:
    """Let `record` run at the next collection, unless the service itself records to the instrument by then."""
    telemetry = running_telemetry()
    pipeline = None if telemetry is None else telemetry.pipeline
    if pipeline is not None and instrument.recorder is not None:
        found = _feeds.get(pipeline)
        if found is None:
            found = _feeds.setdefault(pipeline, Feed(collects=bool(pipeline.deliveries or pipeline.scrape)))
            pipeline.gate.before_collection = found.settle
        found.put(_Figure(instrument, tuple((each.name, value) for each, value in where.items()), record))


class Feed:
    """The waiting figures of one pipeline, and the series that come from them."""

    def __init__(self, *, collects: bool) -> None:
        self._most = MOST_WAITING if collects else 0
        self._waiting: deque[_Figure] = deque()
        self._ours: dict[Synchronous, set[Identity]] = {}

    def put(self, figure: _Figure) -> None:
        """Let a figure wait."""
        self._waiting.append(figure)
        if len(self._waiting) > self._most:
            self.settle()

    def settle(self) -> None:
        """Record the waiting figures that the service does not record itself; drop the others."""
        known: dict[tuple[Synchronous, tuple[tuple[str, str | None], ...]], bool] = {}
        while self._waiting:
            try:
                figure = self._waiting.popleft()
            except IndexError:  # another thread took it
                return
            key = (figure.instrument, figure.where)
            if key not in known:
                known[key] = self._is_recorded_otherwise(figure)
            if not known[key]:
                self._record(figure)

    def _is_recorded_otherwise(self, figure: _Figure) -> bool:
        ours = self._ours.get(figure.instrument, set())
        others = [attributes_of(each) for each in _series_of(figure.instrument) if each not in ours]
        return any(all(of.get(name) in {value, None} for name, value in figure.where) for of in others)

    def _record(self, figure: _Figure) -> None:
        before = _series_of(figure.instrument)
        figure.record()
        self._ours.setdefault(figure.instrument, set()).update(_series_of(figure.instrument) - before)


def _series_of(instrument: Synchronous) -> set[Identity]:
    intake = getattr(instrument.recorder, "intake", None)
    return set() if intake is None else set(intake.resolver.series)


_feeds: weakref.WeakKeyDictionary[Pipeline, Feed] = weakref.WeakKeyDictionary()
