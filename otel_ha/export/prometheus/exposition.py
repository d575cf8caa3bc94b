"""Exposition: the text that the exporter and prometheus_client would write, at a fraction of the cost.

They make an object of each sample and escape every name again, which blocks for tens of milliseconds if there are many
series, most of it a full garbage collection. Here they are asked once for each metric (see template.py), so names,
labels, their order and the format remain theirs, in every format. Metrics that an example does not cover, such as
histograms with two sets of bounds, are left to them entirely; and so is everything, if a trial shows that they escape
or spell differently from the versions known here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from importlib import metadata
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import CollectorRegistry

from otel_ha.export.prometheus.exemplars import Exemplars, with_exemplars
from otel_ha.export.prometheus.exporter import Encode, Exporter, Families
from otel_ha.export.prometheus.points import Points, in_columns
from otel_ha.export.prometheus.restricted import restricted_text
from otel_ha.export.prometheus.template import NotCoveredError, Template, example, taken_apart, written
from otel_ha.record.collected import metrics_of

_logger = logging.getLogger("otel_ha")

CHUNK = 65_536
"""Characters after which a piece of text is passed on: small enough to be quick and to leave no hole in memory."""

MOST_TEMPLATES = 5000
"""Metrics whose template is kept; when there are more, all templates are made again."""


def exposition(encode: Encode) -> Exposition:
    """Return the writer of one format, after a trial of whether it escapes and spells as expected."""
    trial = _trial()
    trusted = "".join(Exposition(encode).chunks(trial, ())) == Exporter(target_info=True).text(trial, encode)
    if not trusted:
        _logger.warning(
            "prometheus_client %s is not fully supported: it writes every scrape itself, which is slower; "
            "install another version",
            metadata.version("prometheus_client"),
        )
    return Exposition(encode, trusted=trusted)


class Exposition:
    """Writes collected metrics in one format; if that is not `trusted`, the exporter writes all of them."""

    def __init__(self, encode: Encode, *, trusted: bool = True) -> None:
        self._encode = encode
        self._trusted = trusted
        self._end = encode(CollectorRegistry()).decode()
        self._is_openmetrics = bool(self._end)  # "# EOF"; the classic format takes an exemplar's time for the sample's
        self._target_info: str | None = None
        self.templates: dict[Any, Template] = {}

    def chunks(
        self,
        data: MetricsData | None,
        others: Sequence[Family],
        names: AbstractSet[str] | None = None,
        exemplars: Exemplars | None = None,
    ) -> Iterator[str]:
        """Return the text of collected metrics and of other collectors' families, in pieces.

        With `names`, only samples of these names are written; `others` are restricted already. `exemplars` are written
        in OpenMetrics only.
        """
        if data is not None:
            pieces = self._pieces(data, exemplars if self._is_openmetrics else None)
            yield from _in_chunks(pieces if names is None else restricted_text(pieces, names, self._encode))
        yield self._encode(Families(others)).decode()

    def _pieces(self, data: MetricsData, exemplars: Exemplars | None) -> Iterator[str]:
        try:
            planned = self._planned(data)
        except NotCoveredError:
            yield Exporter(target_info=True).text(data, self._encode).removesuffix(self._end)
            return
        yield self._target_info or ""
        for metric, points, template in planned:
            known = None if exemplars is None else exemplars.of(metric)
            yield template.head
            yield from written(points, template) if known is None else with_exemplars(points, template, known)

    def _planned(self, data: MetricsData) -> list[tuple[Metric, Points, Template]]:
        """Return metrics with their points and templates; raises NotCoveredError before anything is written."""
        if not self._trusted or len(data.resource_metrics) != 1:
            raise NotCoveredError
        if self._target_info is None:
            alone = MetricsData([replace(data.resource_metrics[0], scope_metrics=[])])
            self._target_info = Exporter(target_info=True).text(alone, self._encode).removesuffix(self._end)
        planned = [
            (metric, points := _points(metric), self._template(of_resource, of_scope, metric, points))
            for of_resource, of_scope, metric in metrics_of(data)
        ]
        # The exporter may write metrics of the same head as one.
        if len({template.head for _, _, template in planned}) < len(planned):
            raise NotCoveredError
        return planned

    def _template(
        self, of_resource: ResourceMetrics, of_scope: ScopeMetrics, metric: Metric, points: Points
    ) -> Template:
        data, keys, bounds = metric.data, points.keys(), points.bounds or ()
        kind = (type(data), getattr(data, "is_monotonic", None), getattr(data, "aggregation_temporality", None))
        key = (metric.name, metric.description, metric.unit, kind, bounds, frozenset(keys))
        template = self.templates.get(key)
        if template is None:
            if len(self.templates) >= MOST_TEMPLATES:
                self.templates.clear()
            shown = replace(of_scope, metrics=[example(metric, sorted(keys), bounds)])
            whole = MetricsData([replace(of_resource, scope_metrics=[shown])])
            # A new exporter: its metrics wait in a queue, which scrapes in other threads would empty.
            text = Exporter(target_info=False).text(whole, self._encode).removesuffix(self._end)
            buckets = len(bounds) + 1 if isinstance(data, Histogram) else 0
            template = self.templates[key] = taken_apart(text, sorted(keys), buckets)
        return template


def _points(metric: Metric) -> Points:
    """Return the points of a metric in columns; raises NotCoveredError if that is impossible."""
    points: Any = metric.data.data_points
    found = points if isinstance(points, Points) else in_columns(points)
    if not isinstance(found, Points) or isinstance(metric.data, Histogram) != (found.bounds is not None):
        raise NotCoveredError
    return found


def _in_chunks(pieces: Iterable[str]) -> Iterator[str]:
    """Return the text in pieces of about CHUNK characters."""
    chunk, size = list[str](), 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(chunk)
            chunk, size = [], 0
    yield "".join(chunk)


def _trial() -> MetricsData:
    """Return metrics with every kind of text that is escaped or spelled specially."""
    labels: dict[str, Any] = {"text": '"\\\n%é', "number": 1, "flag": True}
    counts = [0, 1, 2_000_000]
    histogram = HistogramDataPoint(labels, 0, 0, sum(counts), 1e7, counts, (0.1, 1.0), 0.0, 1.0)
    gauges = [NumberDataPoint({**labels, "number": n}, 0, 0, value) for n, value in enumerate((-0.0, 1e-7, 1e6, 3))]
    metrics = [
        Metric("trial.histogram", None, "s", Histogram([histogram], AggregationTemporality.CUMULATIVE)),
        Metric("trial.gauge", None, "1", Gauge(gauges)),
    ]
    of_scope = ScopeMetrics(InstrumentationScope("trial"), metrics, "")
    return MetricsData([ResourceMetrics(Resource({}), [of_scope], "")])
