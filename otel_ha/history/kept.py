"""Kept: the last collections, series by series, in bounded memory."""

from __future__ import annotations

import math
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from otel_ha.bound import Gain
from otel_ha.history.distribution import packed, unpacked
from otel_ha.instruments import Attribute, Histogram, Instrument, Observable
from otel_ha.recorder import AttributeValue
from otel_ha.recording import Identity, identity


class Moment(NamedTuple):
    """When a collection was taken: seconds since the epoch, and of a clock that is never set."""

    timestamp: float
    clock: float

    @classmethod
    def now(cls) -> Self:
        """Return the present one."""
        return cls(time.time(), time.monotonic())


class Series:
    """One series: a number for each collection, the newest last; NaN where a collection did not have it.

    Of a histogram that number is the count, and there are the sum and what its buckets gained as well.
    """

    __slots__ = (
        "attributes",
        "bounds",
        "buckets",
        "from_zero",
        "gains",
        "is_distribution",
        "is_fine",
        "sums",
        "values",
    )

    def __init__(self, attributes: Mapping[str, Any], *, from_zero: bool, is_distribution: bool) -> None:
        self.attributes = attributes  # the SDK's own, which are there anyway
        self.from_zero = from_zero
        """Whether it was 0 before it was first seen; what the host counts was not."""
        self.is_distribution = is_distribution
        self.values = array("d")
        self.sums = array("d")
        self.gains: list[bytes] = []
        self.bounds: Sequence[float] = ()
        self.buckets: Sequence[int] = ()
        """The exported buckets, when they were last seen."""
        self.is_fine = False

    def put(self, point: Any) -> None:
        """Append what a collection has of it; None for nothing."""
        if self.is_distribution:
            self._put_distribution(point)
        else:
            self.values.append(math.nan if point is None else point.value)

    def _put_distribution(self, point: Any) -> None:
        gained: dict[int, int] = {}
        if point is not None and not self.is_fine:
            self.bounds = point.explicit_bounds
            before = self.buckets or [0] * len(point.bucket_counts)
            pairs = enumerate(zip(before, point.bucket_counts, strict=True))
            gained = {index: now - was for index, (was, now) in pairs if now > was}
            self.buckets = point.bucket_counts
        self.values.append(math.nan if point is None else point.count)
        self.sums.append(math.nan if point is None else point.sum)
        self.gains.append(packed(gained) if gained else b"")

    def refine(self, gain: Gain) -> None:
        """Take what the fine buckets gained, in place of the exported ones from now on."""
        if not self.is_fine:
            self.is_fine, self.bounds, self.buckets = True, gain.bounds, ()
            self.gains = [b""] * len(self.gains)  # whatever there is was counted by other buckets
        self.add_gains(gain.counts)

    def drop_newest(self) -> dict[int, int]:
        """Forget the newest collection; return what its buckets gained, which the next one has gained as well."""
        self.values.pop()
        if not self.gains:
            return {}
        self.sums.pop()
        return unpacked(self.gains.pop())

    def add_gains(self, more: Mapping[int, int]) -> None:
        """Add to what the buckets gained in the newest collection."""
        gains = unpacked(self.gains[-1])
        self.gains[-1] = packed({i: more.get(i, 0) + gains.get(i, 0) for i in more.keys() | gains.keys()})

    def shorten(self, most: int) -> None:
        """Keep the newest `most` collections."""
        if len(self.values) > most:
            del self.values[:-most]
            del self.sums[:-most]
            del self.gains[:-most]

    @property
    def is_gone(self) -> bool:
        """Whether no collection that is kept has it."""
        return all(map(math.isnan, self.values))


class Kept:
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

    def take(self, moment: Moment, metrics: Iterable[Any], gains: Iterable[Gain], *, provisional: bool) -> None:
        """Keep a collection; what is no instrument of the catalog is left out, and what a View made something else."""
        carried = self._drop_newest() if self._is_provisional else []
        self._is_provisional = provisional
        self.moments.append(moment)
        seen: set[int] = set()
        for metric in metrics:
            instrument = self._declared.get(metric.name)
            wanted = "bucket_counts" if isinstance(instrument, Histogram) else "value"
            if instrument is not None and hasattr(metric.data.data_points[0], wanted):
                for point in metric.data.data_points:
                    series = self._of(instrument, point.attributes)
                    if id(series) not in seen:
                        seen.add(id(series))
                        series.put(point)
        for series in self._all():
            if id(series) not in seen:
                series.put(None)
        for gain in gains:
            known = self._series.get(gain.instrument, {}).get(gain.identity)
            if known is not None:
                known.refine(gain)
        for series, earlier in carried:
            series.add_gains(earlier)
        self._shorten(self.length + 1 + provisional)

    def _of(self, instrument: Instrument, attributes: Mapping[str, Any]) -> Series:
        of_instrument = self._series[instrument.name]
        key = identity(attributes)
        series = of_instrument.get(key)
        if series is None:
            series = of_instrument[key] = Series(
                attributes,
                from_zero=not isinstance(instrument, Observable),
                is_distribution=isinstance(instrument, Histogram),
            )
        return series

    def _all(self) -> Iterator[Series]:
        for of_instrument in self._series.values():
            yield from of_instrument.values()

    def _drop_newest(self) -> list[tuple[Series, dict[int, int]]]:
        self.moments.pop()
        dropped = [(series, series.drop_newest()) for series in self._all()]
        return [(series, gains) for series, gains in dropped if gains]

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
        for series in self.chosen(instrument, where):
            value = self._value(series.values, at)
            if not math.isnan(value):
                name = _value_of(series, by)
                found[name] = found.get(name, 0) + value
        return found

    def gained(
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
            found[name] = found.get(name, 0) + self._gain(series, series.sums if sums else series.values, span)
        return found

    def distributions(
        self, instrument: Instrument, where: Mapping[str, AttributeValue], span: tuple[int, int]
    ) -> Iterator[tuple[Sequence[float], dict[int, int]]]:
        """Yield the bounds of each series, and what their buckets gained between two collections."""
        start, end = span
        for series in self.chosen(instrument, where):
            missing = len(self.moments) - len(series.gains)
            for index in range(max(start + 1 - missing, 0), end + 1 - missing):
                if series.gains[index]:
                    yield series.bounds, unpacked(series.gains[index])

    def _value(self, values: array[float], at: int) -> float:
        """Return a value by the number of its collection; series are as long as they are old."""
        index = at if at < 0 else at - len(self.moments)
        return values[index] if -index <= len(values) else math.nan

    def _gain(self, series: Series, values: array[float], span: tuple[int, int]) -> float:
        start, end = span
        gained = 0.0
        before = self._value(values, start)
        for at in range(start + 1, end + 1):
            now = self._value(values, at)
            if math.isnan(before):
                gained += now if series.from_zero and not math.isnan(now) else 0
            elif not math.isnan(now):
                gained += now - before if now >= before else now
            before = now
        return gained


def _value_of(series: Series, by: Attribute | None) -> str:
    return "" if by is None else str(series.attributes.get(by.name, ""))


def _has(series: Series, name: str, value: AttributeValue) -> bool:
    found = series.attributes.get(name)
    return found == value and type(found) is type(value)  # 1, 1.0 and True are three values
