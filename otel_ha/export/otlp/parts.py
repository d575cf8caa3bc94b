"""Parts: the metrics of one push in requests that receivers accept.

A Collector takes at most 4 MiB by gRPC and 20 MiB by HTTP, unless it is configured otherwise, and refuses the whole
request. Encoding a large one also holds up the event loop of the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from otel_ha.record.collected import metrics_of

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics

MOST_POINTS = 2_000
"""Data points of one request: 2 kB each make 4 MiB, and a histogram with 14 bounds and 3 attributes has 0.4 kB."""

_Found = tuple["ResourceMetrics", "ScopeMetrics", "Metric"]


def number_of_points(metrics: MetricsData) -> int:
    """Return the number of data points."""
    return sum(len(metric.data.data_points) for _, _, metric in metrics_of(metrics))


def parts_of(metrics: MetricsData, most: int | None = None) -> Iterator[MetricsData]:
    """Return metrics in parts of at most `most` data points (default: MOST_POINTS); a metric may be in several."""
    most = most or MOST_POINTS
    if number_of_points(metrics) <= most:
        yield metrics
        return
    part: list[_Found] = []
    room = most
    for of_resource, of_scope, metric in metrics_of(metrics):
        points = metric.data.data_points
        start = 0
        while start < len(points):
            piece = points[start : start + room]
            data: Any = metric.data
            part.append((of_resource, of_scope, replace(metric, data=replace(data, data_points=piece))))
            start += len(piece)
            room -= len(piece)
            if not room:
                yield _together(part)
                part, room = [], most
    if part:
        yield _together(part)


def _together(found: list[_Found]) -> MetricsData:
    """Return metrics with their resources and scopes as one collection."""
    from opentelemetry.sdk.metrics.export import MetricsData  # noqa: PLC0415 - loaded by whoever collects

    resources: dict[int, tuple[ResourceMetrics, dict[int, tuple[ScopeMetrics, list[Metric]]]]] = {}
    for of_resource, of_scope, metric in found:
        _, scopes = resources.setdefault(id(of_resource), (of_resource, {}))
        scopes.setdefault(id(of_scope), (of_scope, []))[1].append(metric)
    return MetricsData(
        [
            replace(of_resource, scope_metrics=[replace(of_scope, metrics=few) for of_scope, few in scopes.values()])
            for of_resource, scopes in resources.values()
        ]
    )
