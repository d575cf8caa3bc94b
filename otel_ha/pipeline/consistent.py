"""Readers that see related measurements all together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ha.recording import Cut

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
else:
    MetricReader = object


class Consistent(MetricReader):
    """Mixed into a MetricReader: its collections hold back groups of measurements while they read (see Cut)."""

    cut: Cut

    # The SDK marks collect() as final. A reader has no other place for what must come before a collection; the
    # collection itself stays the SDK's.
    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]
        """Collect, holding back groups of measurements until everything is read."""
        self.cut.begin(self)
        try:
            super().collect(timeout_millis=timeout_millis)
        finally:
            self.cut.end()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # Everything is read. What follows, an export to a collector that hangs perhaps, must hold back nothing.
        self.cut.end()
        super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)  # type: ignore[safe-super]
