"""The Prometheus exporter as a translator of collected metrics, and the one suffix that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, MetricsData, Sum
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from otel_ha.record.collected import metrics_of

Encode = Callable[[Any], bytes]
"""A function of prometheus_client that writes a registry in one exposition format."""


class Families(Collector):
    """Collected families, as a collector that can be encoded."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """Return the families."""
        return self._families


class Exporter(PrometheusMetricReader):
    """The exporter without a pipeline: collects nothing, and writes the metrics that it is given."""

    def __init__(self, *, target_info: bool) -> None:
        self._families = CollectorRegistry()
        super().__init__(disable_target_info=not target_info, scope_info_enabled=False, registry=self._families)

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: see GatedReader
        """Collect nothing."""

    def text(self, data: MetricsData, encode: Encode) -> str:
        """Return the text of collected metrics."""
        self._receive_metrics(with_ratios(data))
        families = list(self._families.collect())
        try:
            return encode(Families(families)).decode()
        except UnicodeEncodeError:
            return encode(Families(map(_encodable_family, families))).decode()


def encodable(text: str) -> str:
    """Return a text in which half of a surrogate pair is replaced by the text of its code.

    Other code may record one through the OpenTelemetry API: it cannot be encoded, and would cost the whole scrape.
    """
    return text.encode(errors="backslashreplace").decode()


def _encodable_family(family: Family) -> Family:
    family.documentation = encodable(family.documentation)
    family.samples = [
        sample._replace(labels={name: encodable(value) for name, value in sample.labels.items()})
        for sample in family.samples
    ]
    return family


def with_ratios(data: MetricsData) -> MetricsData:
    """Append "_ratio" to the names of gauges of unit 1, as the specification asks; the exporter leaves it out.

    The Collector and Prometheus' own OTLP receiver append it, so one metric would otherwise have two names.
    Source: OpenTelemetry specification, Prometheus and OpenMetrics compatibility, metric metadata.
    """
    return _with_metrics(data, lambda metrics: [_with_ratio(metric) for metric in metrics])


def writable(data: MetricsData) -> tuple[MetricsData, list[Metric]]:
    """Return the metrics that the exporter can write, and the others: one of those would break the whole scrape."""
    left_out = [metric for _, _, metric in metrics_of(data) if not _is_known(metric)]
    if not left_out:
        return data, left_out
    return _with_metrics(data, lambda metrics: [metric for metric in metrics if _is_known(metric)]), left_out


def _is_known(metric: Metric) -> bool:
    return isinstance(metric.data, Sum | Gauge | Histogram)


def _with_metrics(data: MetricsData, change: Callable[[Sequence[Metric]], Sequence[Metric]]) -> MetricsData:
    return replace(
        data,
        resource_metrics=[
            replace(
                of_resource,
                scope_metrics=[
                    replace(of_scope, metrics=change(of_scope.metrics)) for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in data.resource_metrics
        ],
    )


def _with_ratio(metric: Metric) -> Metric:
    if metric.unit == "1" and isinstance(metric.data, Gauge) and not metric.name.endswith("ratio"):
        return replace(metric, name=f"{metric.name}.ratio")
    return metric
