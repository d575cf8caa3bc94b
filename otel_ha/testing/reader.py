"""CapturingReader: the metric reader by which the kit sees a pipeline, until it ends and for ever after."""

from __future__ import annotations

import threading
from typing import Any

from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from otel_ha.export.captured import Captured
from otel_ha.record.gate import CollectionGate, GatedReader


class CapturingReader(GatedReader, MetricReader):
    """Collects when it is asked; keeps its last collection when the pipeline shuts down.

    `pipeline` describes the pipeline; None if the reader is on a MeterProvider of other code.
    """

    def __init__(self, gate: CollectionGate, pipeline: Captured | None = None) -> None:
        super().__init__()
        self.gate = gate
        self.pipeline = pipeline
        self._data: MetricsData | None = None
        self._has_ended = False
        self._one_at_a_time = threading.RLock()  # a source that asks the kit collects within a collection

    def data(self) -> MetricsData | None:
        """Return a collection of now, or the last one; None if nothing was recorded."""
        with self._one_at_a_time:
            if not self._has_ended:
                self._data = None
                self.collect()
            return self._data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        """Collect a last time."""
        with self._one_at_a_time:
            self.data()
            self._has_ended = True

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        self.gate.end()
        self._data = metrics_data
