"""Kept: the last collections, series by series, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from otel_ha.declare.instruments import Attribute, Histogram, Instrument, Observable
from otel_ha.declare.ports import AttributeValue
from otel_ha.history.distribution import unpacked
from otel_ha.history.series import IncreaseSeries, PointSeries, Series
from otel_ha.record.journal.increases import Increase
from otel_ha.record.resolver import Identity, identity


class Moment(NamedTuple):
    """When a collection was taken: seconds since the epoch, and of a clock that is never set."""

    timestamp: float
    clock: float

    @classmethod
    def now(cls) -> Self:
        """Return the present one."""
        return cls(time.time(), time.monotonic())


class Store:
    """The last `length` collections of a catalog's instruments, after the moment at which all of them began.

    Its memory is bounded by `length` times the series that the instruments declare. A collection may be provisional:
    then the next one takes its place.
    """

    def __init__(self, instruments: Iterable[Instrument], length: int, begin: Moment) -> None:
        self.length = length
        self.moments: deque[Moment] = deque([begin])
        self.began = True
        """Whether the first moment is the one at which all of them began, and no collection."""
        self._is_provisional = False
        self._declared = {instrument.name: instrument for instrument in instruments}
        self._series: dict[str, dict[Identity, Series]] = {name: {} for name in self._declared}

    def take(self, moment: Moment, metrics: Iterable[Any], increases: Iterable[Increase], *, provisional: bool) -> None:
        """Keep a collection; what is no instrument of the catalog is left out, and what a View made something else."""
        if self._is_provisional:
            self.moments.pop()
        self.moments.append(moment)
        for series in self._all():
            series.begin(again=self._is_provisional)
        self._is_provisional = provisional
        for increase in increases:
            self._add(increase)
        for metric in metrics:
            self._put(metric)
        self._shorten(self.length + 1 + provisional)

    def _put(self, metric: Any) -> None:
        instrument = self._declared.get(metric.name)
        wanted = "bucket_counts" if isinstance(instrument, Histogram) else "value"
        if instrument is None or not hasattr(metric.data.data_points[0], wanted):
            return
        of_instrument = self._series[instrument.name]
        for point in metric.data.data_points:
            key = identity(point.attributes)
            series = of_instrument.get(key)
            if series is None:
                series = of_instrument[key] = PointSeries(
                    key,
                    from_zero=not isinstance(instrument, Observable),
                    is_distribution=isinstance(instrument, Histogram),
                )
            series.take(point)

    def _add(self, increase: Increase) -> None:
        of_instrument = self._series[increase.instrument]
        series = of_instrument.get(increase.identity)
        if series is None:
            series = of_instrument[increase.identity] = IncreaseSeries(increase)
        series.take(increase)

    def _all(self) -> Iterator[Series]:
        for of_instrument in self._series.values():
            yield from of_instrument.values()

    def _shorten(self, most: int) -> None:
        while len(self.moments) > most:
            self.moments.popleft()
            self.began = False
        for of_instrument in self._series.values():
            for key, series in list(of_instrument.items()):
                series.shorten(most)
                if series.is_gone:
                    del of_instrument[key]

    def chosen(self, instrument: Instrument, where: Mapping[str, AttributeValue]) -> list[Series]:
        """Return the series of an instrument that have these attributes, given by keyword."""
        names = {attribute.keyword: attribute.name for attribute in instrument.attributes}
        wanted = [(names[keyword], value) for keyword, value in where.items()]
        every = self._series.get(instrument.name, {}).values()
        return [series for series in every if all(_has(series, name, value) for name, value in wanted)]

    def latest(
        self, instrument: Instrument, by: Attribute | None, where: Mapping[str, AttributeValue], at: int = -1
    ) -> dict[str, float]:
        """Return the sum of the values at a collection, by the values of an attribute (by "" without one)."""
        found: dict[str, float] = {}
        age = -1 - at if at < 0 else len(self.moments) - 1 - at
        for series in self.chosen(instrument, where):
            value = series.number(age)
            if not math.isnan(value):
                name = _value_of(series, by)
                found[name] = found.get(name, 0) + value
        return found

    def increase(
        self,
        instrument: Instrument,
        by: Attribute | None,
        where: Mapping[str, AttributeValue],
        span: tuple[int, int],
        *,
        sums: bool = False,
    ) -> dict[str, float]:
        """Return what sums gained between two collections, by the values of an attribute; right across resets."""
        found: dict[str, float] = {}
        for series in self.chosen(instrument, where):
            name = _value_of(series, by)
            found[name] = found.get(name, 0) + self._increase(series, span, sums=sums)
        return found

    def distributions(
        self, instrument: Instrument, where: Mapping[str, AttributeValue], span: tuple[int, int]
    ) -> Iterator[tuple[Sequence[float], dict[int, int]]]:
        """Yield the bounds of each series, and what their buckets gained between two collections."""
        start, end = span
        for series in self.chosen(instrument, where):
            increases = series.increases or ()
            missing = len(self.moments) - len(increases)
            for index in range(max(start + 1 - missing, 0), end + 1 - missing):
                if increases[index]:
                    yield series.bounds, unpacked(increases[index])

    def _increase(self, series: Series, span: tuple[int, int], *, sums: bool) -> float:
        start, end = span
        newest = len(self.moments) - 1
        numbers = series.numbers(newest - start, newest - end, sums=sums)
        before = numbers.pop(0) if len(numbers) > end - start else math.nan
        grown = 0.0
        for now in numbers:
            if math.isnan(before):
                grown += now if series.from_zero and not math.isnan(now) else 0
            elif not math.isnan(now):
                grown += now - before if now >= before else now
            before = now
        return grown


def _value_of(series: Series, by: Attribute | None) -> str:
    value = None if by is None else series.attribute(by.name)
    return "" if value is None else str(value)


def _has(series: Series, name: str, value: AttributeValue) -> bool:
    found = series.attribute(name)
    return found == value and type(found) is type(value)  # 1, 1.0 and True are three values
