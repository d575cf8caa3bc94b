"""CapturingReader: the metric reader by which the kit sees a pipeline, until it ends and for ever after."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from otel_ha.record.gate import CollectionGate, GatedReader


class CapturingReader(GatedReader, MetricReader):
    """Collects when it is asked; keeps its last collection when the pipeline shuts down."""

    def __init__(self, gate: CollectionGate) -> None:
        super().__init__()
        self.gate = gate
        self._data: MetricsData | None = None
        self._has_ended = False

    def data(self) -> MetricsData | None:
        """Return a collection of now, or the last one; None if nothing was recorded."""
        if not self._has_ended:
            self._data = None
            self.collect()
        return self._data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        """Collect a last time."""
        self.data()
        self._has_ended = True

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        self.gate.end()
        self._data = metrics_data
