"""Exposition: the text that the exporter and prometheus_client would write, at a part of the cost.

They make an object of each sample and escape every name anew, which takes tens of milliseconds without pause where
series are many: a full garbage collection, most of all. What a metric's lines look like they are asked here once, by
an example of the metric whose labels and values are marked; from then on a series is that text with its own labels and
values in it. So names, labels, their order and the format remain theirs, whichever format it is. What an example does
not show, such as two metrics that the exporter would merge, is left to them altogether.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from json import dumps
from operator import itemgetter
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

Encode = Callable[[Any], bytes]
"""What prometheus_client writes a registry with: one format of the exposition."""
Keys = tuple[str, ...]

CHUNK = 65_536
"""Characters after which a piece of text is given away: so small that none takes long, nor leaves a hole in memory."""

MOST_TEMPLATES = 5000
"""Metrics whose text is kept; beyond it, all of them are asked for anew."""

_MARK = re.compile("\x1f([0-9]+)\x1f")
_VALUE = 0.5
_LEAST_WITH_EXPONENT = 1_000_000
_spelled: Callable[[float], str] = floatToGoString


class NotCoveredError(Exception):
    """An example does not show how this is written."""


class Exporter(PrometheusMetricReader):
    """The exporter as a translator: collects nothing, and writes what it is given."""

    def __init__(self, *, target_info: bool) -> None:
        self._families = CollectorRegistry()
        super().__init__(disable_target_info=not target_info, registry=self._families)

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # see Consistent
        """Collect nothing."""

    def text(self, data: MetricsData, encode: Encode) -> str:
        """Return the text of collected metrics."""
        self._receive_metrics(with_ratios(data))
        return encode(self._families).decode()


@dataclass(frozen=True, slots=True)
class _Series:
    """The text of one series, and what goes into it: of its label values, its buckets and its sum or value."""

    text: str
    chosen: Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class _Template:
    """The text of one metric: its head, and a series for each set of attribute keys."""

    head: str
    series: dict[Keys, _Series]


class Exposition:
    """Writes collected metrics in one format."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._end = encode(CollectorRegistry()).decode()
        self._target_info: str | None = None
        self._templates: dict[Any, _Template] = {}

    def chunks(self, data: MetricsData | None, others: Sequence[Family]) -> Iterator[str]:
        """Return the text of collected metrics and of other collectors' families, in pieces."""
        if data is not None:
            try:
                planned = self._planned(data)
            except NotCoveredError:
                yield Exporter(target_info=True).text(data, self._encode).removesuffix(self._end)
            else:
                yield from _in_chunks(self._pieces(planned))
        yield self._encode(_Families(others)).decode()

    def _pieces(self, planned: list[tuple[Metric, _Template]]) -> Iterator[str]:
        yield self._target_info or ""
        for metric, template in planned:
            yield template.head
            yield from _written(metric, template)

    def _planned(self, data: MetricsData) -> list[tuple[Metric, _Template]]:
        """Return the metrics with their templates; raises NotCoveredError before anything is written."""
        if len(data.resource_metrics) != 1:
            raise NotCoveredError
        (of_resource,) = data.resource_metrics
        if self._target_info is None:
            alone = MetricsData([replace(of_resource, scope_metrics=[])])
            self._target_info = Exporter(target_info=True).text(alone, self._encode).removesuffix(self._end)
        planned = [
            (metric, self._template(of_resource, of_scope, metric))
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        ]
        # The exporter may write metrics of the same head as one.
        if len({template.head for _, template in planned}) < len(planned):
            raise NotCoveredError
        return planned

    def _template(self, of_resource: ResourceMetrics, of_scope: ScopeMetrics, metric: Metric) -> _Template:
        data, points = metric.data, metric.data.data_points
        bounds: Sequence[float] = ()
        if isinstance(data, Histogram):
            bounds = data.data_points[0].explicit_bounds
            if any(_is_unlike(point, bounds) for point in data.data_points):
                raise NotCoveredError
        elif not isinstance(data, Sum | Gauge):
            raise NotCoveredError
        # A series has the labels of all others as well, if only as empty ones.
        keys = {tuple(point.attributes or ()) for point in points}
        kind = (type(data), getattr(data, "is_monotonic", None), getattr(data, "aggregation_temporality", None))
        key = (of_scope.scope, metric.name, metric.description, metric.unit, kind, tuple(bounds), frozenset(keys))
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            example = _example(metric, sorted(keys), bounds)
            whole = MetricsData([replace(of_resource, scope_metrics=[replace(of_scope, metrics=[example])])])
            text = Exporter(target_info=False).text(whole, self._encode).removesuffix(self._end)
            buckets = len(bounds) + 1 if isinstance(data, Histogram) else 0
            template = self._templates[key] = _taken_apart(text, sorted(keys), buckets)
        return template


class _Families(Collector):
    """Families that were collected, as something to encode."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _is_unlike(point: HistogramDataPoint, bounds: Sequence[float]) -> bool:
    same = point.explicit_bounds is bounds or tuple(point.explicit_bounds) == tuple(bounds)
    return not same or len(point.bucket_counts) != len(bounds) + 1


def _example(metric: Metric, keys: Sequence[Keys], bounds: Sequence[float]) -> Metric:
    """Return the metric with one series for each set of keys, whose label values are marks: numbers between US."""
    points: list[Any] = []
    for of_point in keys:
        attributes = {key: f"\x1f{number}\x1f" for number, key in enumerate(of_point)}
        if isinstance(metric.data, Histogram):
            # The bucket of number n has counted n + 1.
            counts = [1] * (len(bounds) + 1)
            points.append(HistogramDataPoint(attributes, 0, 0, len(counts), _VALUE, counts, bounds, 0.0, 0.0))
        else:
            points.append(NumberDataPoint(attributes, 0, 0, _VALUE))
    data: Any = metric.data
    return replace(metric, data=replace(data, data_points=points))


def _taken_apart(text: str, keys: Sequence[Keys], buckets: int) -> _Template:
    """Return the template that the text of an example shows."""
    lines = text.removesuffix("\n").split("\n")
    heads = [line for line in lines if line.startswith("# ")]
    samples = lines[len(heads) :]
    each, rest = divmod(len(samples), len(keys))
    if rest or not each or lines[: len(heads)] != heads:
        raise NotCoveredError
    series = {
        of_series: _series(samples[number * each : (number + 1) * each], len(of_series), buckets)
        for number, of_series in enumerate(keys)
    }
    return _Template("".join(f"{line}\n" for line in heads), series)


def _series(lines: Sequence[str], labels: int, buckets: int) -> _Series:
    text, chosen = "", list[int]()
    for line in lines:
        before, _, value = line.rpartition(" ")
        # Text and numbers of marks take turns.
        parts = _MARK.split(before)
        text += "%s".join(part.replace("%", "%%") for part in parts[::2]) + " %s\n"
        bucket = buckets if float(value) == _VALUE else int(float(value)) - 1
        chosen += [*map(int, parts[1::2]), labels + bucket]
    return _Series(text, itemgetter(*chosen))


def _written(metric: Metric, template: _Template) -> Iterator[str]:
    """Return the text of each series of a metric."""
    for point in metric.data.data_points:
        attributes = point.attributes or {}
        series = template.series[tuple(attributes)]
        values = [_escaped(value) for value in attributes.values()]
        if isinstance(point, HistogramDataPoint):
            values += _cumulative(point.bucket_counts)
            values.append(_spelled(point.sum))
        elif isinstance(point, NumberDataPoint):
            values.append(_spelled(point.value))
        yield series.text % series.chosen(values)


def _in_chunks(pieces: Iterable[str]) -> Iterator[str]:
    """Return the text in pieces of about the same size."""
    chunk, size = list[str](), 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(chunk)
            chunk, size = [], 0
    yield "".join(chunk)


def _escaped(value: Any) -> str:
    text = str(value) if isinstance(value, str) else dumps(value, default=str)
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _cumulative(counts: Sequence[int]) -> Iterator[str]:
    """Return the counts of buckets and of all below them, as prometheus_client spells them."""
    total, spelled = 0, "0.0"
    for count in counts:
        if count:
            total += count
            spelled = f"{total}.0" if total < _LEAST_WITH_EXPONENT else _spelled(total)
        yield spelled


def with_ratios(data: MetricsData) -> MetricsData:
    """Name gauges of unit 1 as the specification does, "_ratio" at the end; the exporter leaves that out.

    The Collector and Prometheus' own OTLP receiver append it, so without this one metric would have two names.
    Source: OpenTelemetry specification, Prometheus and OpenMetrics compatibility, metric metadata.
    """
    return replace(
        data,
        resource_metrics=[
            replace(
                of_resource,
                scope_metrics=[
                    replace(of_scope, metrics=[_with_ratio(metric) for metric in of_scope.metrics])
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in data.resource_metrics
        ],
    )


def _with_ratio(metric: Metric) -> Metric:
    if metric.unit == "1" and isinstance(metric.data, Gauge) and not metric.name.endswith("ratio"):
        return replace(metric, name=f"{metric.name}.ratio")
    return metric
