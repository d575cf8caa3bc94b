"""Exemplars of the scrape: the newest measurement with a trace of each counter, and of each bucket of a histogram.

The SDK gives an exemplar to one collection only. Several Prometheus servers may scrape, and a scrape may fail, so each
exemplar is shown until a newer one takes its place, as Prometheus' own clients do.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import Histogram, Metric, MetricsData, Sum

from otel_ha.declare.keys import Key, look_up, typed_key_of
from otel_ha.export.prometheus.points import Points
from otel_ha.export.prometheus.template import Template, escaped, spelled, written
from otel_ha.record.collected import metrics_of
from otel_ha.turn import PATIENCE, Turn

MOST_SERIES = 1_000
"""Series of one metric whose exemplars are kept; the first ones give way to later ones."""

LONGEST = 128
"""Characters of the names and values of an exemplar's labels together, as OpenMetrics limits them."""

_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]|^(?=[0-9])")


class Shown(NamedTuple):
    """An exemplar as a scrape shows it, and its time in nanoseconds since the epoch."""

    time: int
    text: str


Buckets = dict[int, Shown]
"""The exemplars of one series by bucket; a counter has bucket 0."""


class Exemplars:
    """The newest exemplars of each series, by metric."""

    def __init__(self) -> None:
        self._metrics: dict[Any, dict[Key, Buckets]] = {}
        self._taking = Turn()

    def take(self, data: MetricsData) -> None:
        """Keep the exemplars of a collection."""
        self._taking.run(partial(self._take, data), PATIENCE, None)

    def of(self, metric: Metric) -> Mapping[Key, Buckets] | None:
        """Return the exemplars of a metric's series, by typed_key_of() their attributes; None without any."""
        return self._metrics.get(_key(metric))

    def _take(self, data: MetricsData) -> None:
        for _, _, metric in metrics_of(data):
            if _may_have_exemplars(metric.data):
                for attributes, bounds, exemplars in _sampled(metric.data.data_points):
                    with suppress(TypeError):  # a value that cannot be hashed
                        self._keep(_key(metric), typed_key_of(attributes), bounds, exemplars)

    def _keep(self, metric: Any, series: Key, bounds: Sequence[float], exemplars: Iterable[Any]) -> None:
        known = self._metrics.get(metric, {})
        buckets = known.get(series, {})
        for exemplar in exemplars:
            bucket = bisect_left(bounds, exemplar.value)
            before = buckets.get(bucket)
            is_newer = before is None or before.time <= exemplar.time_unix_nano
            if is_newer and exemplar.trace_id and exemplar.span_id:
                buckets[bucket] = Shown(exemplar.time_unix_nano, _text(exemplar))
        if buckets:
            if series not in known and len(known) >= MOST_SERIES:
                del known[next(iter(known))]
            known[series] = buckets
            self._metrics[metric] = known


def with_exemplars(points: Points, template: Template, known: Mapping[Key, Buckets]) -> Iterator[str]:
    """Return the text of each series of a metric, with its exemplars."""
    for (attributes, _, _), text in zip(points.rows(), written(points, template), strict=True):
        buckets = look_up(known, typed_key_of(attributes))
        if not buckets:
            yield text
            continue
        lines = text.split("\n")
        for bucket, line in template.series[tuple(attributes)].lines.items():
            if (exemplar := buckets.get(bucket)) is not None:
                lines[line] += exemplar.text
        yield "\n".join(lines)


def _key(metric: Metric) -> Any:
    return (metric.name, metric.unit, type(metric.data))


def _may_have_exemplars(data: Any) -> bool:
    """Whether OpenMetrics allows exemplars of such data: counters and histograms."""
    return isinstance(data, Histogram) or (isinstance(data, Sum) and data.is_monotonic)


def _sampled(points: Any) -> Iterator[tuple[Mapping[str, Any], Sequence[float], Sequence[Any]]]:
    """Return the attributes, the bounds and the exemplars of each point that has any."""
    if isinstance(points, Points):
        yield from ((attributes, points.bounds or (), exemplars) for attributes, exemplars in points.sampled())
        return
    for point in points:
        if point.exemplars:
            yield point.attributes or {}, getattr(point, "explicit_bounds", ()), point.exemplars


def _text(exemplar: Any) -> str:
    """Return an exemplar as it follows the value of its sample."""
    seconds, rest = divmod(exemplar.time_unix_nano, 10**9)
    labels = ",".join(f'{name}="{escaped(value)}"' for name, value in _labels(exemplar).items())
    return f" # {{{labels}}} {spelled(exemplar.value)} {seconds}.{rest // 10**6:03d}"


def _labels(exemplar: Any) -> dict[str, str]:
    """Return the labels of an exemplar: the ids of its span, and those attributes for which there is room."""
    labels = {"trace_id": f"{exemplar.trace_id:032x}", "span_id": f"{exemplar.span_id:016x}"}
    left = LONGEST - sum(len(name) + len(value) for name, value in labels.items())
    for key, value in (exemplar.filtered_attributes or {}).items():
        name, text = _NOT_IN_A_LABEL.sub("_", key), value if isinstance(value, str) else str(value)
        is_free = name not in labels and not name.startswith("__") and text.isprintable()
        if is_free and (used := len(name) + len(text)) <= left:
            labels[name] = text
            left -= used
    return labels
