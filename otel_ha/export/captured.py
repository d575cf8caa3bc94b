"""Capturing: how a test kit lets a pipeline record for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from opentelemetry.sdk.metrics.export import MetricReader

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Instrument
from otel_ha.history.history import History
from otel_ha.history.store import Moment
from otel_ha.record.gate import CollectionGate


@dataclass(frozen=True)
class Captured:
    """A pipeline that a test kit reads: its gate, and the parts of it that explain what is recorded.

    `groups` are the metric groups that are on, `viewed` the instruments that the user's Views match, and `history` is
    None if it is off.
    """

    gate: CollectionGate
    catalog: Catalog
    groups: Collection[str]
    viewed: Collection[Instrument]
    history: History | None


@dataclass(frozen=True)
class Capturing:
    """A test kit that captures: every pipeline that is made meanwhile gets one of its readers, and its clock.

    `configured` changes the settings with which telemetry starts, `reader` makes the reader of a pipeline, and `now` is
    the time of the history and of series that expire. No thread collects for the history.
    """

    configured: Callable[[TelemetryConfig], TelemetryConfig]
    reader: Callable[[Captured], MetricReader]
    now: Callable[[], Moment]

    def clock(self) -> float:
        """Return the seconds of the monotonic clock."""
        return self.now().clock
