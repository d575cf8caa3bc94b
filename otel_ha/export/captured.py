"""Capturing: how a test kit lets a pipeline record for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.sdk.metrics.export import MetricReader

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.history.store import Moment
from otel_ha.record.gate import CollectionGate


@dataclass(frozen=True)
class Capturing:
    """A test kit that captures: every pipeline that is made meanwhile gets one of its readers, and its clock.

    `configured` changes the settings with which telemetry starts, `reader` makes a reader for the gate of a pipeline,
    and `now` is the time of the history and of series that expire. No thread collects for the history.
    """

    configured: Callable[[TelemetryConfig], TelemetryConfig]
    reader: Callable[[CollectionGate], MetricReader]
    now: Callable[[], Moment]

    def clock(self) -> float:
        """Return the seconds of the monotonic clock."""
        return self.now().clock
