"""The way out by scrape: a reader that Prometheus collects, on a registry of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData
from prometheus_client import CollectorRegistry

from otel_ha.pipeline.consistent import Consistent
from otel_ha.recording import Cut


class ScrapeReader(Consistent, PrometheusMetricReader):
    """The Prometheus reader: collected by a scrape and by nothing else."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.registry = CollectorRegistry()
        super().__init__(registry=self.registry)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricReader
        """Do nothing: what a flush collected here would come out a second time with the next scrape."""
        return True

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(_with_ratios(metrics_data), timeout_millis=timeout_millis, **kwargs)


def _with_ratios(metrics_data: MetricsData) -> MetricsData:
    """Name gauges of unit 1 as the specification does, "_ratio" at the end; the exporter leaves that out.

    The Collector and Prometheus' own OTLP receiver append it, so without this one metric would have two names.
    Source: OpenTelemetry specification, Prometheus and OpenMetrics compatibility, metric metadata.
    """
    return replace(
        metrics_data,
        resource_metrics=[
            replace(
                of_resource,
                scope_metrics=[
                    replace(of_scope, metrics=[_with_ratio(metric) for metric in of_scope.metrics])
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in metrics_data.resource_metrics
        ],
    )


def _with_ratio(metric: Metric) -> Metric:
    if metric.unit == "1" and isinstance(metric.data, Gauge) and not metric.name.endswith("ratio"):
        return replace(metric, name=f"{metric.name}.ratio")
    return metric
