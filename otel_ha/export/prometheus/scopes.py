"""Metrics of several meters in one scrape: the scope of another meter is a label, ours is not.

The exporter can add the three labels of the scope to every series, or to none. Ours need none, and no other way to
Prometheus has them. But two libraries may measure the same, as the instrumentations of requests and urllib3 do: without
a label they give one series twice, of which Prometheus drops the second one. And if two meters have a metric of the
same name, the exporter writes both with the labels of the first one, so they are made one metric here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics

from otel_ha.declare.naming import prometheus_name
from otel_ha.export.prometheus.points import Points, in_columns
from otel_ha.record.collected import metrics_of
from otel_ha.version import DISTRO

LABEL = "otel_scope_name"


def with_scopes(data: MetricsData) -> MetricsData:
    """Return the metrics of one scrape: each name once, and the name of another meter's scope as an attribute."""
    if all(_is_ours(of_scope.scope.name) for _, of_scope, _ in metrics_of(data)):
        return data
    return replace(data, resource_metrics=[_in_one_scope(each) for each in data.resource_metrics])


def _is_ours(scope: str) -> bool:
    return scope.partition(".")[0] == DISTRO


def _in_one_scope(resource: ResourceMetrics) -> ResourceMetrics:
    alike: dict[Any, list[Metric]] = {}
    for of_scope in resource.scope_metrics:
        scope = of_scope.scope.name
        for metric in of_scope.metrics:
            labelled = metric if _is_ours(scope) else _with_points(metric, _labelled(metric.data.data_points, scope))
            alike.setdefault(_identity(metric), []).append(labelled)
    united = [_united(metrics) for metrics in alike.values()]
    return replace(resource, scope_metrics=[replace(resource.scope_metrics[0], metrics=united)])


def _identity(metric: Metric) -> tuple[Any, ...]:
    """Return what metrics have in common that Prometheus takes for one."""
    data: Any = metric.data
    return (prometheus_name(metric.name, metric.unit or ""), type(data), getattr(data, "is_monotonic", None))


def _labelled(points: Iterable[Any], scope: str) -> Iterator[Any]:
    for point in points:
        yield replace(point, attributes={LABEL: scope, **(point.attributes or {})})


def _united(metrics: Sequence[Metric]) -> Metric:
    first, *others = metrics
    if not others:
        return first
    return _with_points(first, chain.from_iterable(each.data.data_points for each in metrics))


def _with_points(metric: Metric, points: Iterable[Any]) -> Metric:
    """Return the metric with other points, in columns if its own are."""
    in_it: Any = in_columns(points) if isinstance(metric.data.data_points, Points) else list(points)
    return replace(metric, data=replace(metric.data, data_points=in_it))
