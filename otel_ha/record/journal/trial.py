"""The trial: whether the SDK's private parts work as the journal expects, tried on a separate pipeline."""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ha.declare.instruments import ObservableCounter, ObservableGauge
from otel_ha.record.journal.cells import HistogramCell, Scale, SumCell
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.observed import DirectObservers
from otel_ha.record.journal.sdk import (
    CellHistogram,
    CellSum,
    ObservedLastValue,
    ObservedSum,
    OwnProvider,
    gather_points,
    readers_of,
    withhold_from,
)
from otel_ha.record.problems import Problems
from otel_ha.record.resolver import Shared

_logger = logging.getLogger("otel_ha")

_SETTLED: dict[str, Any] = {"sum": (5, [3]), "histogram": ((1, 1, 0), [1.5])}
_OTHER: dict[str, Any] = {"other": (7, [])}
_GROWN = ObservableCounter("grown", unit="1", description="A growing number.")
_LEVEL = ObservableGauge("level", unit="1", description="A level.")
_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@functools.cache
def is_supported() -> bool:
    """Whether the journal works with this SDK; tried once per process, and False if anything is unexpected."""
    outside_of_spans = attach(Context())
    try:
        return (
            _exported() == ([{**_SETTLED, **_OTHER}, _OTHER, {**_SETTLED, **_OTHER}], 3)
            and _observed() == {"grown": [1, 2, 3], "level": [1, 3, 6]}
            and _settled_for_a_reader_that_joins() == {"sum": (3, [])}
        )
    except Exception as error:  # noqa: BLE001 - the public API is always there
        _logger.debug("the journal does not support this SDK: %r", error)
        return False
    finally:
        detach(outside_of_spans)


def _provider(readers: Sequence[MetricReader], *views: View) -> OwnProvider:
    """Return a provider that ignores everything the environment says for the service's own."""
    return OwnProvider(
        metric_readers=readers, resource=Resource({}), exemplar_filter=TraceBasedExemplarFilter(), views=views
    )


def _journal_of(provider: OwnProvider) -> Journal:
    journal = Journal(exemplars=True)
    journal.readers = functools.partial(readers_of, provider)
    provider.get_meter("trial").create_observable_gauge("settle", callbacks=[journal.settle])
    return journal


def _exported() -> tuple[list[dict[str, Any]], int]:
    """Return the exports of three readers, and how many points of the first one were gathered.

    The journal's measurements are withheld from the second reader.
    """
    readers = [InMemoryMetricReader(), InMemoryMetricReader(), InMemoryMetricReader()]
    provider = _provider(
        readers,
        View(instrument_name="sum", aggregation=CellSum()),
        View(instrument_name="histogram", aggregation=CellHistogram((1.0, 2.0))),
    )
    withhold_from(readers[1], provider, "trial", {"sum", "histogram"})
    points: list[Any] = []

    def gather(those: Iterable[Any]) -> list[Any]:
        gathered = list(those)
        points.extend(gathered)
        return gathered

    gather_points(readers[0], provider, gather)
    meter, journal = provider.get_meter("trial"), _journal_of(provider)
    sums = SumCell(meter.create_counter("sum").add, ())
    distribution = HistogramCell(meter.create_histogram("histogram").record, (), Scale((1.0, 2.0)))
    for cell, amount, sampled in ((sums, 2, 3), (distribution, 0.5, 1.5)):
        journal.add(cell)
        cell.amounts.append(amount)
        cell.replay(sampled, set_span_in_context(NonRecordingSpan(_SAMPLED)))
    meter.create_counter("other").add(7)
    exported = [_values(reader.get_metrics_data()) for reader in readers]
    provider.shutdown()
    return exported, len(points)


def _settled_for_a_reader_that_joins() -> dict[str, Any]:
    """Return the export of a reader that joins after a first amount was recorded and before a second one."""
    provider = _provider([], View(instrument_name="sum", aggregation=CellSum()))
    provider.journal = journal = _journal_of(provider)
    cell = SumCell(provider.get_meter("trial").create_counter("sum").add, ())
    journal.add(cell)
    cell.amounts.append(2)
    provider.add_metric_reader(reader := InMemoryMetricReader())
    cell.amounts.append(3)
    exported = _values(reader.get_metrics_data())
    provider.shutdown()
    return exported


def _values(data: MetricsData | None) -> dict[str, Any]:
    found = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
    return {metric.name: _value_and_exemplars(metric.data.data_points[0]) for metric in found}


def _value_and_exemplars(point: Any) -> tuple[Any, list[float]]:
    value = getattr(point, "bucket_counts", None) or getattr(point, "value", None)
    return value, [exemplar.value for exemplar in point.exemplars]


def _observed() -> dict[str, list[Any]]:
    """Return the exports of three collections, the first of which learns the aggregations."""
    reader = InMemoryMetricReader(preferred_temporality={sdk.ObservableCounter: AggregationTemporality.DELTA})
    provider = _provider(
        [reader],
        View(instrument_name="grown", aggregation=ObservedSum()),
        View(instrument_name="level", aggregation=ObservedLastValue()),
    )
    meter, journal = provider.get_meter("trial"), _journal_of(provider)
    shared = Shared(Problems())
    grown, level = (DirectObservers(each, shared, journal) for each in (_GROWN, _LEVEL))
    meter.create_observable_counter("grown", callbacks=[grown.callback])
    meter.create_observable_gauge("level", callbacks=[level.callback])
    values: list[float] = []
    for each in (grown, level):
        each.observe(lambda: values[-1], {})
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for value in (1, 3, 6):
        values.append(value)
        shared.gate.begin(reader)
        data: Any = reader.get_metrics_data()
        shared.gate.end()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            found[metric.name].append(metric.data.data_points[0].value)
    provider.shutdown()
    return found
