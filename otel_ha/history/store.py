"""Store: the last collections, series by series, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from otel_ha.declare.instruments import Attribute, Histogram, Instrument, Observable
from otel_ha.declare.ports import AttributeValue
from otel_ha.history.distribution import Distribution
from otel_ha.history.series import IncreaseSeries, PointSeries, Series
from otel_ha.record.journal.increases import Increase
from otel_ha.record.resolver import Identity, identity

_SLACK = 0.5
"""Seconds by which a window may be shorter than requested: collections are not exactly on time."""


class Moment(NamedTuple):
    """The time of a collection: seconds since the epoch, and seconds of a monotonic clock."""

    timestamp: float
    clock: float

    @classmethod
    def now(cls) -> Self:
        """Return the current moment."""
        return cls(time.time(), time.monotonic())


class Store:
    """The last `length` collections of the given instruments, after the start at the moment `begin`.

    Its memory is bounded by `length` times the series that the instruments declare. The next collection replaces a
    provisional one.
    """

    def __init__(self, instruments: Iterable[Instrument], length: int, begin: Moment) -> None:
        self.length = length
        self.moments: deque[Moment] = deque([begin])
        self.began = True
        """Whether the first moment is the start, and not a collection."""
        self.is_provisional = False
        """Whether the next collection replaces the newest one."""
        self._declared = {instrument.name: instrument for instrument in instruments}
        self._distributions: dict[str, list[Distribution]] = {}
        """Those of each collection, by instrument, until they are forgotten."""
        self._series: dict[str, dict[Identity, Series]] = {name: {} for name in self._declared}

    def take(self, moment: Moment, metrics: Iterable[Any], increases: Iterable[Increase], *, provisional: bool) -> None:
        """Store a collection, without undeclared metrics and those that a View turned into another kind."""
        self.forget_distributions()
        if self.is_provisional:
            self.moments.pop()
        self.moments.append(moment)
        for series in self._all():
            series.begin(again=self.is_provisional)
        self.is_provisional = provisional
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
            for series in of_instrument.values():
                series.shorten(most)
            # A list of all items would be a new object for each series; see Increases.
            for key in [key for key, series in of_instrument.items() if series.is_gone]:
                del of_instrument[key]

    def start_of(self, window: float, *, slack: float = _SLACK) -> int:
        """Return the number of the collection at which a window starts: the last one that is old enough."""
        newest = self.moments[-1].clock
        old_enough = [n for n, moment in enumerate(self.moments) if newest - moment.clock >= window - slack]
        return min(old_enough[-1] if old_enough else 0, max(len(self.moments) - 2, 0))

    def chosen(self, instrument: Instrument, where: Mapping[str, AttributeValue]) -> list[Series]:
        """Return the series of an instrument that have the attributes `where`, by keyword."""
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
        """Return the increase between two collections, by the values of an attribute; resets are accounted for.

        A histogram's is that of its count, or with `sums` that of its sum.
        """
        found: dict[str, float] = {}
        newest = len(self.moments) - 1
        ages = newest - span[0], newest - span[1]
        for series in self.chosen(instrument, where):
            name = _value_of(series, by)
            found[name] = found.get(name, 0) + series.increase(*ages, sums=sums)
        return found

    def rows(
        self,
        instrument: Instrument,
        by: Sequence[Attribute],
        where: Mapping[str, AttributeValue],
        span: tuple[int | None, int],
    ) -> dict[tuple[str, ...], float]:
        """Return the increase between two collections by the values of several attributes, like increase().

        Without a start, the values at the end, as in latest().
        """
        found: dict[tuple[str, ...], float] = {}
        newest, (start, end) = len(self.moments) - 1, span
        for series in self.chosen(instrument, where):
            value = series.number(newest - end) if start is None else series.increase(newest - start, newest - end)
            if not math.isnan(value):
                key = tuple(_value_of(series, each) for each in by)
                found[key] = found.get(key, 0) + value
        return found

    def at(self, instrument: Instrument, at: int) -> list[Series]:
        """Return the series that an instrument has at a collection."""
        age = len(self.moments) - 1 - at
        return [each for each in self.chosen(instrument, {}) if not math.isnan(each.number(age))]

    def distribution(
        self, instrument: Instrument, where: Mapping[str, AttributeValue], span: tuple[int, int]
    ) -> Distribution:
        """Return the distribution of a histogram's values between two collections."""
        start, end = span
        found = Distribution()
        if not where:
            for each in self._distributions_of(instrument)[start + 1 : end + 1]:
                found.merge(each)
            return found
        for bounds, increases in self.distributions(instrument, where, span):
            found.add(bounds, increases)
        return found

    def distributions(
        self, instrument: Instrument, where: Mapping[str, AttributeValue], span: tuple[int, int]
    ) -> Iterator[tuple[Sequence[float], dict[int, int]]]:
        """Yield the bounds of each series, and the increases of its buckets, at each collection of a span."""
        newest, (start, end) = len(self.moments) - 1, span
        for series in self.chosen(instrument, where):
            for increases in series.buckets(newest - start, newest - end):
                yield series.bounds, increases

    def _distributions_of(self, instrument: Instrument) -> list[Distribution]:
        """Return the distribution of a histogram's values at each collection, over all series."""
        found = self._distributions.get(instrument.name)
        if found is None:
            found = [Distribution() for _ in self.moments]
            for series in self.chosen(instrument, {}):
                for age, increases in series.all_buckets():
                    found[-1 - age].add(series.bounds, increases)
            self._distributions[instrument.name] = found  # complete, as a signal handler may look meanwhile
        return found

    def forget_distributions(self) -> None:
        """Free the memory of what distribution() has prepared for further calls."""
        self._distributions.clear()


def _value_of(series: Series, by: Attribute | None) -> str:
    value = None if by is None else series.attribute(by.name)
    return "" if value is None else str(value)


def _has(series: Series, name: str, value: AttributeValue) -> bool:
    found = series.attribute(name)
    return found == value and type(found) is type(value)  # 1, 1.0 and True are three values
