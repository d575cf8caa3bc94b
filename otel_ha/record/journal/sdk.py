"""What else is known of the SDK's inside, and the trial that tells whether it is as expected."""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ha.declare.instruments import ObservableCounter, ObservableGauge
from otel_ha.record.journal.aggregations import CellHistogram, CellSum, ObservedLastValue, ObservedSum
from otel_ha.record.journal.cells import HistogramCell, Scale, SumCell
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.observed import DirectObservers
from otel_ha.record.problems import Problems
from otel_ha.record.resolver import Identity, Shared, identity

_logger = logging.getLogger("otel_ha")

_BOUND: dict[str, Any] = {"sum": (5, [3]), "histogram": ((1, 1, 0), [1.5])}
_OTHER: dict[str, Any] = {"other": (7, [])}
_GROWN = ObservableCounter("grown", unit="1", description="What has grown.")
_LEVEL = ObservableGauge("level", unit="1", description="A level.")
_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@functools.cache
def is_supported() -> bool:
    """Whether the SDK's inside is as this package expects: tried on a pipeline of its own, once a process."""
    outside_of_spans = attach(Context())
    try:
        recorded = _exported_by_a_trial() == ([{**_BOUND, **_OTHER}, _OTHER], 3)
        return recorded and _observed_by_a_trial() == {"grown": [1, 2, 3], "level": [1, 3, 6]}
    except Exception as error:  # noqa: BLE001 - whatever has changed, the public API is still there
        _logger.debug("bound instruments: %r", error)
        return False
    finally:
        detach(outside_of_spans)


class OwnProvider(MeterProvider):
    """The SDK's MeterProvider, which asks no environment whether it is enabled, and is shut down by whoever made it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(shutdown_on_exit=False, **arguments)
        self._disabled = False


def _for_a_trial(readers: Sequence[MetricReader], views: Sequence[View]) -> OwnProvider:
    """Return a provider to which nothing applies that the environment says of the service's own."""
    return OwnProvider(
        metric_readers=readers, resource=Resource({}), exemplar_filter=TraceBasedExemplarFilter(), views=views
    )


def _exported_by_a_trial() -> tuple[list[dict[str, Any]], int]:
    """Return what a reader has of bound instruments and another one, and a reader that bound ones are kept from.

    The number is how many points of the first reader were gathered.
    """
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    views = [
        View(instrument_name="sum", aggregation=CellSum()),
        View(instrument_name="histogram", aggregation=CellHistogram((1.0, 2.0))),
    ]
    provider = _for_a_trial(readers, views)
    withhold_from(readers[1], provider, "trial", {"sum", "histogram"})
    points: list[Any] = []

    def gather(those: Iterable[Any]) -> list[Any]:
        gathered = list(those)
        points.extend(gathered)
        return gathered

    gather_points(readers[0], provider, gather)
    meter, journal = provider.get_meter("trial"), Journal(exemplars=True)
    journal.readers = functools.partial(readers_of, provider)
    meter.create_observable_gauge("settle", callbacks=[journal.settle])
    sums = SumCell(meter.create_counter("sum").add, ())
    distribution = HistogramCell(meter.create_histogram("histogram").record, (), Scale((1.0, 2.0)))
    for cell, amount, sampled in ((sums, 2, 3), (distribution, 0.5, 1.5)):
        journal.add(cell)
        cell.amounts.append(amount)
        cell.replay(sampled, set_span_in_context(NonRecordingSpan(_SAMPLED)))
    meter.create_counter("other").add(7)
    exported = [_figures(reader.get_metrics_data()) for reader in readers]
    provider.shutdown()
    return exported, len(points)


def _figures(data: MetricsData | None) -> dict[str, Any]:
    found = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
    return {metric.name: _value_and_exemplars(metric.data.data_points[0]) for metric in found}


def _value_and_exemplars(point: Any) -> tuple[Any, list[float]]:
    value = getattr(point, "bucket_counts", None) or getattr(point, "value", None)
    return value, [exemplar.value for exemplar in point.exemplars]


def _observed_by_a_trial() -> dict[str, list[Any]]:
    """Return what is exported of three collections, of which the first learns the aggregations."""
    reader = InMemoryMetricReader(preferred_temporality={sdk.ObservableCounter: AggregationTemporality.DELTA})
    views = [
        View(instrument_name="grown", aggregation=ObservedSum()),
        View(instrument_name="level", aggregation=ObservedLastValue()),
    ]
    provider = _for_a_trial([reader], views)
    meter, journal = provider.get_meter("trial"), Journal(exemplars=True)
    journal.readers = functools.partial(readers_of, provider)
    shared = Shared(Problems(lambda *_: None))
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


def withhold_from(reader: MetricReader, provider: MeterProvider, scope: str, names: Collection[str]) -> None:
    """Keep the measurements of a scope's instruments of these names from a reader: for it the SDK keeps no series."""
    storage: Any = provider._measurement_consumer._reader_storages[reader]
    consume = storage.consume_measurement

    def consume_others(measurement: Any, *more: Any) -> None:
        instrument = measurement.instrument
        if instrument.name not in names or instrument.instrumentation_scope.name != scope:
            consume(measurement, *more)

    storage.consume_measurement = consume_others


def gather_points(reader: MetricReader, provider: MeterProvider, gather: Callable[[Iterator[Any]], Sized]) -> None:
    """Have a reader's points go through `gather`, metric by metric: none need outlive the one that comes next.

    The reader is one of cumulative temporality only.
    """
    storage: Any = provider._measurement_consumer._reader_storages[reader]
    collect = storage.collect

    def collect_gathered() -> Any:
        for matches in list(storage._instrument_view_instrument_matches.values()):
            for match in matches:
                if "collect" not in vars(match):
                    match.collect = functools.partial(_gathered, match, gather)
        return collect()

    storage.collect = collect_gathered


def _gathered(match: Any, gather: Callable[[Iterator[Any]], Sized], *temporality_and_start: Any) -> Any:
    """Do as the SDK does where it collects one metric."""
    with match._lock:
        points = (each.collect(*temporality_and_start) for each in match._attributes_aggregation.values())
        return gather(point for point in points if point is not None) or None


def drop_series(provider: MeterProvider, name: str, gone: Iterable[Identity]) -> None:
    """Make the SDK forget series of an observable instrument, at the start of a collection.

    The SDK keeps their state for ever, and counts them; were one to come back, a delta would be negative.
    """
    keys = set(gone)
    with suppress(AttributeError):  # an SDK with another inside keeps them
        for storage in provider._measurement_consumer._reader_storages.values():
            for instrument, matches in list(storage._instrument_view_instrument_matches.items()):
                for match in matches if instrument.name == name else ():
                    with match._lock:
                        for key, aggregation in list(match._attributes_aggregation.items()):
                            attributes: Any = aggregation._attributes or {}
                            if identity(attributes) in keys:
                                del match._attributes_aggregation[key]


def readers_of(provider: MeterProvider) -> object:
    """Return what the SDK replaces by another object whenever a reader joins or leaves."""
    return provider._measurement_consumer._reader_storages
