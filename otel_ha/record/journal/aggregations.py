"""The SDK's own aggregations, with a way in for many measurements at once: a cell settles to one for each reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics._internal.aggregation import (
    _ExplicitBucketHistogramAggregation,
    _LastValueAggregation,
    _SumAggregation,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, LastValueAggregation, SumAggregation

from otel_ha.record.journal.cells import CELL, Cell, HistogramCell, SumCell
from otel_ha.record.journal.journal import TIME
from otel_ha.record.journal.observed import LEARNER, Learner


class _NoReservoir:
    """Stands for a reservoir of exemplars until there is one to keep: most series never have any."""

    def collect(self, _: Any) -> list[Any]:
        """Return none."""
        return []


_NO_RESERVOIR = _NoReservoir()


def _no_reservoir(*_: Any, **__: Any) -> Any:
    return _NO_RESERVOIR


class _Sparing:
    """Mixed into an aggregation of the SDK: makes a reservoir of exemplars for the first one that comes."""

    _lock: Any
    _reservoir: Any
    reservoir: Callable[[], Any]
    """Makes the SDK's own reservoir of exemplars."""

    def _sample_exemplar(self, measurement: Any, should_sample_exemplar: bool) -> None:  # noqa: FBT001 - the SDK's
        with self._lock:
            if should_sample_exemplar and self._reservoir is _NO_RESERVOIR:
                self._reservoir = self.reservoir()
        super()._sample_exemplar(measurement, should_sample_exemplar)  # type: ignore[misc]


class _Bound(_Sparing):
    """Mixed into an aggregation of the SDK: takes what cells settle, beside what comes one by one."""

    _start_time_unix_nano: int
    _attributes: Any
    spent = False
    """Whether the SDK may have put it aside: it does so with those of a delta reader, which start anew each time."""

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take one measurement; the one of nothing that names a cell makes it settle here."""
        cell = measurement.context.get(CELL) if measurement.context else None
        if isinstance(cell, Cell):
            cell.join(self)
        else:
            if measurement.context and (taken := measurement.context.get(TIME)):
                measurement = replace(measurement, time_unix_nano=taken)
            super().aggregate(measurement, should_sample_exemplar)  # type: ignore[misc]

    def start_at(self, nanoseconds: int) -> None:
        """Say that the series started then: before the collection that made the SDK make this."""
        self._start_time_unix_nano = min(self._start_time_unix_nano, nanoseconds)
        self._previous_collection_start_nano = self._start_time_unix_nano

    def share(self, other: _Bound) -> None:
        """Have the attributes of another one that are the same: the SDK makes a copy for every reader."""
        if self._attributes == other._attributes:
            self._attributes = other._attributes

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the SDK's own point."""
        self.spent = collection_aggregation_temporality is AggregationTemporality.DELTA
        return super().collect(collection_aggregation_temporality, collection_start_nano)  # type: ignore[misc]


class _BoundSum(_Bound, _SumAggregation):
    _value: float | None  # type: ignore[assignment]

    def absorb(self, cell: SumCell) -> None:
        """Take what a cell has gained."""
        with self._lock:
            self._value = (self._value or 0) + cell.total


class _BoundHistogram(_Bound, _ExplicitBucketHistogramAggregation):
    _value: list[int] | None  # type: ignore[assignment]
    _sum: float  # type: ignore[assignment]

    def absorb(self, cell: HistogramCell) -> None:
        """Take what a cell has gained, in the buckets that are exported."""
        with self._lock:
            if self._value is None:
                self._value = self._get_empty_bucket_counts()
            for index, count in cell.counts.items():
                self._value[cell.scale.bucket_of[index]] += count
            self._sum += cell.total
            self._min = min(self._min, cell.lowest)
            self._max = max(self._max, cell.highest)


class _Observed(_Sparing):
    """Mixed into an aggregation of the SDK for an observable: takes values directly, beside what is observed."""

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take what was observed; whom it names hands over what comes after it."""
        super().aggregate(measurement, should_sample_exemplar)  # type: ignore[misc]
        learner = measurement.context.get(LEARNER) if measurement.context else None
        if isinstance(learner, Learner):
            learner.learn(self.take)

    def take(self, value: float) -> None:
        """Take a value as the SDK would."""
        raise NotImplementedError


class _ObservedSum(_Observed, _SumAggregation):
    _value: float | None  # type: ignore[assignment]

    def take(self, value: float) -> None:
        """Add a value: of what is observed with the same attributes, the sum is exported."""
        with self._lock:
            self._value = (self._value or 0) + value


class _ObservedLastValue(_Observed, _LastValueAggregation):
    _value: float | None  # type: ignore[assignment]

    def take(self, value: float) -> None:
        """Take a value in place of the one before."""
        with self._lock:
            self._value = value


class ObservedSum(SumAggregation):
    """The SDK's sum of an observable, for a View, which takes values directly."""

    def _create_aggregation(self, instrument: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        monotonic = isinstance(instrument, metrics.ObservableCounter)
        made = _ObservedSum(attributes, monotonic, AggregationTemporality.CUMULATIVE, start, _no_reservoir)
        made.reservoir = reservoir_factory(_SumAggregation)
        return made


class ObservedLastValue(LastValueAggregation):
    """The SDK's last value of an observable, for a View, which takes values directly."""

    def _create_aggregation(self, _: Any, attributes: Any, reservoir_factory: Any, __: int) -> Any:
        made = _ObservedLastValue(attributes, _no_reservoir, instrument_is_synchronous=False)
        made.reservoir = reservoir_factory(_LastValueAggregation)
        return made


class CellSum(SumAggregation):
    """The SDK's sum, for a View, which cells can settle to."""

    def _create_aggregation(self, instrument: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        monotonic = isinstance(instrument, metrics.Counter)
        made = _BoundSum(attributes, monotonic, AggregationTemporality.DELTA, start, _no_reservoir)
        made.reservoir = reservoir_factory(_SumAggregation)
        return made


class CellHistogram(ExplicitBucketHistogramAggregation):
    """The SDK's explicit-bucket histogram, for a View, which cells can settle to."""

    def __init__(self, boundaries: tuple[float, ...]) -> None:
        super().__init__(boundaries)
        self._reservoir: Callable[[], Any] | None = None

    def _create_aggregation(self, _: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        bounds = self._boundaries
        made = _BoundHistogram(attributes, AggregationTemporality.DELTA, start, _no_reservoir, bounds)
        if self._reservoir is None:
            self._reservoir = partial(reservoir_factory(_ExplicitBucketHistogramAggregation), boundaries=bounds)
        made.reservoir = self._reservoir
        return made
