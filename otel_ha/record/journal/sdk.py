"""The only module that uses private parts of the OpenTelemetry SDK; the trial checks that they work as expected.

It contains the SDK's aggregations with an entry for many measurements at once, the MeterProvider of a pipeline, and the
few functions that look inside a provider. If a private name is missing, the trial fails and everything is recorded
through the public API; functions that also run in that case have a fallback.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from threading import Lock, Thread
from time import time_ns
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)

from otel_ha.record.journal.cells import CELL, Cell, HistogramCell, SumCell
from otel_ha.record.journal.journal import TIME, Journal
from otel_ha.record.journal.observed import LEARNER, Learner
from otel_ha.record.resolver import Identity, identity
from otel_ha.turn import as_own_work
from otel_ha.version import DISTRO, SCHEMA_URL

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics._internal.aggregation import (
        _ExplicitBucketHistogramAggregation,
        _LastValueAggregation,
        _SumAggregation,
    )
else:
    try:
        from opentelemetry.sdk.metrics._internal.aggregation import (
            _ExplicitBucketHistogramAggregation,
            _LastValueAggregation,
            _SumAggregation,
        )
    except ImportError:  # another SDK: the trial fails, and none of the classes below is used
        _ExplicitBucketHistogramAggregation = _LastValueAggregation = _SumAggregation = object


# ---- Aggregations


class _NoReservoir:
    """Takes the place of an exemplar reservoir until there is an exemplar: most series never have one."""

    def collect(self, _: Any) -> list[Any]:
        """Return no exemplars."""
        return []


_NO_RESERVOIR = _NoReservoir()


def _no_reservoir(*_: Any, **__: Any) -> Any:
    return _NO_RESERVOIR


class _LateReservoir:
    """Mixed into an SDK aggregation: makes the exemplar reservoir when the first exemplar arrives."""

    _lock: Any
    _reservoir: Any
    reservoir: Callable[[], Any]
    """Makes the SDK's own reservoir of exemplars."""

    def _sample_exemplar(self, measurement: Any, should_sample_exemplar: bool) -> None:  # noqa: FBT001 - the SDK's
        with self._lock:
            if should_sample_exemplar and self._reservoir is _NO_RESERVOIR:
                self._reservoir = self.reservoir()
        super()._sample_exemplar(measurement, should_sample_exemplar)  # type: ignore[misc]  # the SDK's class follows


class _Settling(_LateReservoir):
    """Mixed into an SDK aggregation: a cell can settle to it, besides single measurements from the SDK."""

    _start_time_unix_nano: int
    _previous_collection_start_nano: int
    _attributes: Any
    kind: CellSum | CellHistogram
    spent = False
    """Whether the SDK may have replaced it: a delta reader starts a new aggregation after each collection."""

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take one measurement; an empty one whose context names a cell makes that cell settle here from now on."""
        cell = measurement.context.get(CELL) if measurement.context else None
        if isinstance(cell, Cell):
            cell.join(self)
        else:
            if measurement.context and (taken := measurement.context.get(TIME)):
                measurement = replace(measurement, time_unix_nano=taken)
            super().aggregate(measurement, should_sample_exemplar)  # type: ignore[misc]  # the SDK's class follows

    def reservoir(self) -> Any:
        """Make the SDK's own reservoir of exemplars."""
        return self.kind.make_reservoir()

    def start_at(self, nanoseconds: int) -> None:
        """Move the start of the series back to `nanoseconds` since the epoch, before this aggregation was made."""
        self._start_time_unix_nano = min(self._start_time_unix_nano, nanoseconds)
        self._previous_collection_start_nano = min(self._previous_collection_start_nano, nanoseconds)

    def share(self, other: _Settling) -> None:
        """Use the equal attributes of another aggregation: the SDK copies them for every reader."""
        if self._attributes == other._attributes:
            self._attributes = other._attributes

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the SDK's own point."""
        self.spent = collection_aggregation_temporality is AggregationTemporality.DELTA
        return super().collect(collection_aggregation_temporality, collection_start_nano)  # type: ignore[misc]  # as above


class _SettlingSum(_Settling, _SumAggregation):
    _value: float | None  # type: ignore[assignment]  # the SDK says int, and counts floats as well

    def absorb(self, cell: SumCell) -> None:
        """Add the total of a cell; it is noted in the same step, without a call, as a handler may raise."""
        with self._lock:
            self._value = (self._value or 0) + cell.total
            cell.given += 1


class _SettlingHistogram(_Settling, _ExplicitBucketHistogramAggregation):
    """Keeps its buckets in tuples, which Python's garbage collector stops to track.

    Each collection replaces them. With lists, every few collections of many series would make the garbage collector
    look through all objects of the service, which halts it: for 0.5 s if there are 50,000 series.
    """

    _value: Sequence[int] | None  # type: ignore[assignment]  # the SDK has a list, and its annotation lacks the None
    _previous_value: Sequence[int] | None  # type: ignore[assignment]  # as above
    _sum: float  # type: ignore[assignment]  # as for _SettlingSum

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take one measurement, for which the SDK needs a list."""
        with self._lock:
            if self._value is not None:
                self._value = list(self._value)
        super().aggregate(measurement, should_sample_exemplar)

    def absorb(self, cell: HistogramCell) -> None:
        """Add the counts of a cell to the exported buckets; stored in one step, as above."""
        with self._lock:
            counts = [0] * (cell.scale.bucket_of[-1] + 1) if self._value is None else list(self._value)
            for index, count in cell.counts.items():
                counts[cell.scale.bucket_of[index]] += count
            least, most = min(self._min, cell.lowest), max(self._max, cell.highest)
            exported = tuple(counts)
            self._value, self._min, self._max = exported, least, most
            self._sum += cell.total
            cell.given += 1

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the SDK's own point, whose buckets are those of the series so far if it is cumulative."""
        point = super().collect(collection_aggregation_temporality, collection_start_nano)
        if self._previous_value is not None:
            self._previous_value = tuple(self._previous_value)
        return point


class _Observed(_LateReservoir):
    """Mixed into an SDK aggregation of an observable: accepts values directly, besides observations from the SDK."""

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take an observation; a learner in its context hands later values over directly."""
        super().aggregate(measurement, should_sample_exemplar)  # type: ignore[misc]  # the SDK's class follows
        learner = measurement.context.get(LEARNER) if measurement.context else None
        if isinstance(learner, Learner):
            learner.learn(self.take)

    def take(self, value: float) -> None:
        """Take a value as the SDK would."""
        raise NotImplementedError


class _ObservedSum(_Observed, _SumAggregation):
    _value: float | None  # type: ignore[assignment]  # as for _SettlingSum

    def take(self, value: float) -> None:
        """Add a value: observations with the same attributes are exported as their sum."""
        with self._lock:
            self._value = (self._value or 0) + value


class _ObservedLastValue(_Observed, _LastValueAggregation):
    _value: float | None  # type: ignore[assignment]  # as for _SettlingSum

    def take(self, value: float) -> None:
        """Replace the value."""
        with self._lock:
            self._value = value


class ObservedSum(SumAggregation):
    """For a View: the SDK's sum of an observable, which accepts values directly."""

    def _create_aggregation(self, instrument: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        monotonic = isinstance(instrument, metrics.ObservableCounter)
        made = _ObservedSum(attributes, monotonic, AggregationTemporality.CUMULATIVE, start, _no_reservoir)
        made.reservoir = reservoir_factory(_SumAggregation)
        return made


class ObservedLastValue(LastValueAggregation):
    """For a View: the SDK's last value of an observable, which accepts values directly."""

    def _create_aggregation(self, _: Any, attributes: Any, reservoir_factory: Any, __: int) -> Any:
        made = _ObservedLastValue(attributes, _no_reservoir, instrument_is_synchronous=False)
        made.reservoir = reservoir_factory(_LastValueAggregation)
        return made


class CellSum(SumAggregation):
    """For the View of one instrument: the SDK's sum, to which cells settle."""

    make_reservoir: Callable[[], Any]
    _is_monotonic: bool

    def _create_aggregation(self, instrument: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        self.make_reservoir = reservoir_factory(_SumAggregation)
        self._is_monotonic = isinstance(instrument, metrics.Counter)
        return self.of(attributes, start)

    def of(self, attributes: Any, start: int) -> Any:
        """Return an aggregation for an attribute set."""
        made = _SettlingSum(attributes, self._is_monotonic, AggregationTemporality.DELTA, start, _no_reservoir)
        made.kind = self
        return made


class CellHistogram(ExplicitBucketHistogramAggregation):
    """For the View of one instrument: the SDK's explicit-bucket histogram, to which cells settle."""

    make_reservoir: Callable[[], Any]

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(bounds)
        self._bounds = bounds

    def _create_aggregation(self, _: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        of_histogram = reservoir_factory(_ExplicitBucketHistogramAggregation)
        self.make_reservoir = partial(of_histogram, boundaries=self._bounds)
        return self.of(attributes, start)

    def of(self, attributes: Any, start: int) -> Any:
        """Return an aggregation for an attribute set."""
        made = _SettlingHistogram(attributes, AggregationTemporality.DELTA, start, _no_reservoir, self._bounds)
        made.kind = self
        return made


class Joining:
    """Makes cells join the aggregations of their series, and makes those of a new series, where that is possible.

    The SDK validates, copies and hashes the attributes again for each reader. So it makes the aggregations of the first
    series of each instrument only, which shows where and under which key it keeps them.
    """

    def __init__(self) -> None:
        self._readers: object = None
        self._places: dict[Any, Sequence[_Place]] = {}
        """By SDK instrument."""

    def join(self, cell: Cell, readers: Any) -> None:
        """Make a cell join the aggregation of each reader; `readers` are those of readers_of()."""
        if readers is not self._readers:
            self._places = {}
            self._readers = readers
        same, instrument = cell.identity, getattr(cell.write, "__self__", None)
        if set(map(type, same)) != {str}:  # the first series shows how the SDK spells the keys of text
            cell.look()
            return
        attributes = dict(zip(same[::2], same[1::2], strict=True))
        key = "mapping", tuple([(name, ("str", value)) for name, value in attributes.items()])
        places = self._places.get(instrument)
        if places:
            _join(cell, places, key, attributes)
            return
        cell.look()
        if places is None:
            self._places[instrument] = _places(readers, instrument, key)


_Place = tuple[Any, "CellSum | CellHistogram"]
"""Where the SDK keeps the aggregations of one instrument for one reader, and their kind."""


def _join(cell: Cell, places: Sequence[_Place], key: Any, attributes: dict[str, Any]) -> None:
    """Make a cell join the aggregation at each place; one that is not there yet begins with the cell."""
    start = cell.created or time_ns()
    for place, kind in places:
        with place._lock:
            known = place._attributes_aggregation
            aggregation = known.get(key)
            if aggregation is None:
                known[key] = made = kind.of(attributes, start)
        if aggregation is None:
            cell.aggregations += (made,)
        else:
            cell.join(aggregation)


def _places(readers: Any, instrument: Any, key: Any) -> Sequence[_Place]:
    """Return the places of an instrument's aggregations; the SDK has those of `key`.

    Returns nothing if the SDK has other private names or keys, or replaces aggregations after each collection.
    """
    found: list[_Place] = []
    try:
        for storage in readers.values():
            for place in storage._instrument_view_instrument_matches.get(instrument, ()):
                if place._reset_on_collect:
                    return ()
                found.append((place, place._attributes_aggregation[key].kind))
    except (AttributeError, KeyError):
        return ()
    return found


# ---- The provider


def without_fork_hook(init: Any) -> Any:
    """Return an SDK class's __init__ that registers no fork hook: Python cannot remove one, and each set-up adds some.

    Telemetry builds a new pipeline in a forked child (see otel_ha.telemetry), so the SDK's hooks would do nothing.
    """
    if not isinstance(init, FunctionType):  # other code has wrapped it
        return init
    hookless = ModuleType(os.__name__)
    vars(hookless).update({name: value for name, value in vars(os).items() if name != "register_at_fork"})
    made = FunctionType(init.__code__, {**init.__globals__, "os": hookless}, None, init.__defaults__, init.__closure__)
    made.__kwdefaults__ = init.__kwdefaults__
    return made


class OwnPeriodicReader(PeriodicExportingMetricReader):
    """The SDK's periodic reader, without its fork hook."""

    __init__ = without_fork_hook(PeriodicExportingMetricReader.__init__)


class OwnProvider(MeterProvider):
    """The SDK's MeterProvider, on even if OTEL_SDK_DISABLED is set, and shut down only by its maker.

    Its `journal`, if it has one, is settled before readers join and before meters are switched on or off.
    """

    def __init__(self, **arguments: Any) -> None:
        # Its own, not the class's, which another thread may hold at a fork.
        self._all_metric_readers_lock = Lock()
        self._make(shutdown_on_exit=False, **arguments)
        self._disabled = False
        self.journal: Journal | None = None
        self.balance: Callable[[], object] = lambda: None
        """Called before readers join if there is no journal; see Journal.balance."""

    _make = without_fork_hook(MeterProvider.__init__)

    # The SDK's locks are taken here: a handler that interrupts this and asks telemetry must be refused.

    def add_metric_reader(self, metric_reader: MetricReader) -> None:
        """Let a reader join; it sees measurements that are recorded from now on."""
        as_own_work(partial(self._join, metric_reader))

    def _join(self, metric_reader: MetricReader) -> None:
        with self._between_collections():
            self._settle()
        super().add_metric_reader(metric_reader)

    def remove_metric_reader(self, metric_reader: MetricReader) -> None:
        """Let a reader leave."""
        as_own_work(partial(super().remove_metric_reader, metric_reader))

    def _set_meter_configurator(self, **arguments: Any) -> None:
        """Switch meters on or off; the old state applies to measurements that were recorded until now."""
        as_own_work(partial(self._switch, **arguments))

    def _switch(self, **arguments: Any) -> None:
        with self._between_collections():
            self._settle()
            super()._set_meter_configurator(**arguments)

    def _between_collections(self) -> AbstractContextManager[Any]:
        """Return the lock that the SDK holds while it collects."""
        lock: AbstractContextManager[Any] = nullcontext() if self.journal is None else self._measurement_consumer._lock
        return lock

    def _settle(self) -> None:
        """Count the measurements recorded until now or, if our meter is switched off, drop them."""
        if self.journal is None:
            self.balance()
        elif not self._shutdown:
            meter: Any = self.get_meter(DISTRO, schema_url=SCHEMA_URL)
            (self.journal.settle if meter._is_enabled() else self.journal.drop)()


def withhold_from(reader: MetricReader, provider: MeterProvider, scope: str, names: Collection[str]) -> None:
    """Withhold the measurements of a scope's instruments from a reader, so that the SDK keeps no series for it."""
    storage: Any = provider._measurement_consumer._reader_storages[reader]
    consume = storage.consume_measurement

    def consume_others(measurement: Any, *more: Any) -> None:
        instrument = measurement.instrument
        if instrument.name not in names or instrument.instrumentation_scope.name != scope:
            consume(measurement, *more)

    storage.consume_measurement = consume_others


def gather_points(reader: MetricReader, provider: MeterProvider, gather: Callable[[Iterator[Any]], Sized]) -> None:
    """Pass a reader's points through `gather`, metric by metric, so that no point has to outlive the next one.

    Every temporality of the reader is cumulative.
    """
    storage: Any = provider._measurement_consumer._reader_storages[reader]
    collect = storage.collect

    def collect_gathered() -> Any:
        for matches in list(storage._instrument_view_instrument_matches.values()):
            for match in matches:
                if "collect" not in vars(match):
                    match.collect = partial(_gathered, match, gather)
        return collect()

    storage.collect = collect_gathered


def _gathered(match: Any, gather: Callable[[Iterator[Any]], Sized], *temporality_and_start: Any) -> Any:
    """Collect one metric as the SDK does."""
    with match._lock:
        points = (each.collect(*temporality_and_start) for each in match._attributes_aggregation.values())
        return gather(point for point in points if point is not None) or None


def drop_series(provider: MeterProvider, name: str, gone: Iterable[Identity]) -> None:
    """Make the SDK forget series of an observable instrument, at the start of a collection.

    The SDK would keep and count them for ever; if one came back, its delta would be negative. An SDK with other private
    names keeps them.
    """
    keys = set(gone)
    with suppress(AttributeError):
        for storage in provider._measurement_consumer._reader_storages.values():
            for instrument, matches in list(storage._instrument_view_instrument_matches.items()):
                for match in matches if instrument.name == name else ():
                    with match._lock:
                        for key, aggregation in list(match._attributes_aggregation.items()):
                            attributes: Any = aggregation._attributes or {}
                            if identity(attributes) in keys:
                                del match._attributes_aggregation[key]


def readers_of(provider: MeterProvider) -> object:
    """Return the object that the SDK replaces whenever a reader joins or leaves."""
    return provider._measurement_consumer._reader_storages


def is_matched(view: View, instrument: Any) -> bool:
    """Whether a View applies to an SDK instrument; True if the SDK does not say."""
    match: Callable[[Any], bool] | None = getattr(view, "_match", None)
    return match is None or match(instrument)


def thread_of(reader: PeriodicExportingMetricReader) -> Thread | None:
    """Return the thread that exports for a reader; None if there is none or the SDK does not say."""
    thread: Thread | None = getattr(reader, "_daemon_thread", None)
    return thread
