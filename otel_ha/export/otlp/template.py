"""Template: the last request of a push, in which the next one replaces times and values.

OpenTelemetry's encoder makes new messages of each metric, each point and each attribute at every push, although only
times and values differ from the push before. So its messages are kept. The points of a series are recognized by the
attributes, which the SDK keeps for a series. If anything else differs, such as a new series, the encoder makes the
request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Histogram, MetricsData, Sum

from otel_ha.record.collected import metrics_of

MOST_POINTS = 500
"""Points of a request that is kept: twice those of the example service. A histogram's takes almost 2 kB of memory."""


class NotCoveredError(Exception):
    """A request has to be made by the encoder."""


class Template:
    """A request, and the metrics that it was made of. Raises NotCoveredError if it cannot be used again."""

    def __init__(self, data: MetricsData, request: Any) -> None:
        self._request = request
        self._heads: list[Any] = []
        self._points: list[list[tuple[Any, Any, Any]]] = []
        """The attributes, the bounds and the message of each point, by metric."""
        number = 0
        messages = (metric for of in request.resource_metrics for each in of.scope_metrics for metric in each.metrics)
        for (head, points), message in zip(_parts(data), messages, strict=True):
            number += len(points)
            if number > MOST_POINTS:
                raise NotCoveredError
            made = getattr(message, message.WhichOneof("data")).data_points
            self._heads.append(head)
            self._points.append([(*_lasting(point), each) for point, each in zip(points, made, strict=True)])

    def filled(self, data: MetricsData) -> bytes:
        """Return the request with other metrics. Raises NotCoveredError, and must not be used again, if they differ."""
        known = zip(self._heads, self._points, strict=True)
        for (head, points), (known_head, known_points) in zip(_parts(data), known, strict=True):
            if head != known_head:
                raise NotCoveredError
            kind = head[0]
            fill = _FILL[kind]
            for point, (attributes, bounds, message) in zip(points, known_points, strict=True):
                if point.exemplars or point.attributes is not attributes:
                    raise NotCoveredError
                if kind is Histogram and point.explicit_bounds != bounds:
                    raise NotCoveredError
                fill(message, point)
        return bytes(self._request.SerializeToString())


def _parts(data: MetricsData) -> Iterator[tuple[Any, Any]]:
    """Yield for each metric the part that is the same in each push, and its points."""
    for of_resource, of_scope, metric in metrics_of(data):
        content: Any = metric.data
        kind = type(content)
        temporality = getattr(content, "aggregation_temporality", None)
        # Of deltas, the SDK may make new attributes each time.
        if kind not in _FILL or temporality is AggregationTemporality.DELTA:
            raise NotCoveredError
        is_monotonic = getattr(content, "is_monotonic", None)
        of = (of_resource.resource, of_resource.schema_url, of_scope.scope, of_scope.schema_url)
        yield (kind, metric.name, metric.description, metric.unit, is_monotonic, *of), content.data_points


def _lasting(point: Any) -> tuple[Any, Any]:
    """Return the attributes and the bounds of a point. Raises NotCoveredError if anything else may change."""
    try:
        hash(tuple((point.attributes or {}).values()))
    except TypeError as error:  # a mapping, which its owner may change
        raise NotCoveredError from error
    if point.exemplars:
        raise NotCoveredError
    return point.attributes, getattr(point, "explicit_bounds", None)


def _fill_gauge(message: Any, point: Any) -> None:
    message.time_unix_nano = point.time_unix_nano
    if isinstance(point.value, int):
        message.as_int = point.value
    else:
        message.as_double = point.value


def _fill_sum(message: Any, point: Any) -> None:
    message.start_time_unix_nano = point.start_time_unix_nano
    _fill_gauge(message, point)


def _fill_histogram(message: Any, point: Any) -> None:
    message.start_time_unix_nano, message.time_unix_nano = point.start_time_unix_nano, point.time_unix_nano
    message.count, message.sum = point.count, point.sum
    message.min, message.max = point.min, point.max
    message.bucket_counts[:] = point.bucket_counts


_FILL: dict[type, Callable[[Any, Any], None]] = {Gauge: _fill_gauge, Sum: _fill_sum, Histogram: _fill_histogram}
