"""Series: one attribute set of an instrument, with a number for each stored collection."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otel_ha.declare.ports import AttributeValue
from otel_ha.history.distribution import packed, unpacked
from otel_ha.record.journal.increases import Increase
from otel_ha.record.resolver import Identity


class Series:
    """One series: a number for each collection, the newest last; NaN for a collection without it.

    A histogram's number is its count; its sum and the increases of its buckets are stored as well.
    """

    __slots__ = ("_numbers", "bounds", "identity", "increases")

    from_zero = True
    """Whether it was 0 before the first collection with it; counters of the host were not."""

    def __init__(self, identity: Identity, first: float, *, is_distribution: bool) -> None:
        self.identity = identity
        self.bounds: Sequence[float] = ()
        self.increases: list[bytes] | None = [b""] if is_distribution else None
        # One array with alternating count and sum: while a series is young, a second array would dominate its size.
        self._numbers = array("d", [first] * self._width)

    @property
    def _width(self) -> int:
        return 1 if self.increases is None else 2

    def number(self, age: int) -> float:
        """Return the number at the collection of this age (0: the newest); NaN before the first one."""
        index = -(age + 1) * self._width
        return self._numbers[index] if -index <= len(self._numbers) else math.nan

    def increase(self, oldest: int, newest: int, *, sums: bool = False) -> float:
        """Return the increase of the number, or of a histogram's sum, between the collections of two ages.

        If the number decreases, it was reset to 0 in between.
        """
        width, end = self._width, len(self._numbers)
        numbers = self._numbers[max(end - (oldest + 1) * width, 0) + sums : max(end - newest * width, 0) : width]
        before = numbers.pop(0) if len(numbers) > oldest - newest else math.nan
        grown = 0.0
        for now in numbers:
            if math.isnan(before):
                grown += now if self.from_zero and not math.isnan(now) else 0
            elif not math.isnan(now):
                grown += now - before if now >= before else now
            before = now
        return grown

    def total(self, age: int) -> float:
        """Return the sum of a histogram's values at the collection of this age; NaN before the first one."""
        index = -(age + 1) * self._width
        return self._numbers[index + self._width - 1] if -index <= len(self._numbers) else math.nan

    def all_buckets(self) -> Iterator[tuple[int, dict[int, int]]]:
        """Yield the increases of a histogram's buckets at each collection that has any, with its age."""
        increases = self.increases or ()
        for index, increase in enumerate(increases):
            if increase:
                yield len(increases) - 1 - index, unpacked(increase)

    def buckets(self, oldest: int, newest: int) -> Iterator[dict[int, int]]:
        """Yield the increases of a histogram's buckets at each collection after one age, up to another one."""
        increases = self.increases or ()
        end = len(increases)
        for increase in increases[max(end - oldest, 0) : max(end - newest, 0)]:
            if increase:
                yield unpacked(increase)

    def begin(self, *, again: bool) -> None:
        """Begin a collection; with `again`, it replaces the newest one and includes the increases of its buckets."""
        raise NotImplementedError

    def take(self, found: Any) -> None:
        """Store the data of the newest collection."""
        raise NotImplementedError

    def _append(self, numbers: Sequence[float]) -> None:
        self._numbers.extend(numbers)
        if self.increases is not None:
            self.increases.append(b"")

    def _add_increases(self, more: Mapping[int, int]) -> None:
        """Add to the increases of the buckets in the newest collection."""
        if self.increases is not None and more:
            increases = unpacked(self.increases[-1])
            self.increases[-1] = packed(
                {i: more.get(i, 0) + increases.get(i, 0) for i in more.keys() | increases.keys()}
            )

    def shorten(self, most: int) -> None:
        """Drop all but the newest `most` collections."""
        del self._numbers[: -most * self._width]
        if self.increases is not None:
            del self.increases[:-most]

    @property
    def is_gone(self) -> bool:
        """Whether no stored collection has it."""
        return all(map(math.isnan, self._numbers))

    def attribute(self, name: str) -> AttributeValue | None:
        """Return the value of an attribute, or None."""
        try:
            value: Any = self.identity[2 * self.identity[::2].index(name) + 1]
        except ValueError:
            return None
        return value[1] if isinstance(value, tuple) else value  # type: ignore[no-any-return]  # an Identity is untyped


class PointSeries(Series):
    """A series of the SDK: a collection may have a point of it."""

    __slots__ = ("_buckets", "from_zero")

    def __init__(self, identity: Identity, *, from_zero: bool, is_distribution: bool) -> None:
        super().__init__(identity, math.nan, is_distribution=is_distribution)
        self.from_zero = from_zero
        self._buckets: Sequence[int] = ()
        """The newest exported buckets."""

    def begin(self, *, again: bool) -> None:
        """Begin a collection, without a point at first; see Series."""
        if again:
            self._numbers[-self._width] = self._numbers[-1] = math.nan
        else:
            self._append([math.nan] * self._width)

    def take(self, found: Any) -> None:
        """Store a point; if two metrics have the same name, the first one wins."""
        if not math.isnan(self._numbers[-self._width]):
            return
        if self.increases is None:
            self._numbers[-1] = found.value
            return
        before = self._buckets or [0] * len(found.bucket_counts)
        pairs = enumerate(zip(before, found.bucket_counts, strict=True))
        self._add_increases({index: now - was for index, (was, now) in pairs if now > was})
        self.bounds, self._buckets = found.explicit_bounds, found.bucket_counts
        self._numbers[-2], self._numbers[-1] = found.count, found.sum


class IncreaseSeries(Series):
    """A journalled series: it receives its increases, and without one it is unchanged."""

    __slots__ = ()

    def __init__(self, increase: Increase) -> None:
        super().__init__(increase.identity, 0, is_distribution=bool(increase.bounds))
        self.bounds = increase.bounds

    def begin(self, *, again: bool) -> None:
        """Begin a collection, unchanged at first; see Series."""
        if not again:
            self._append(self._numbers[-self._width :])

    def take(self, found: Increase) -> None:
        """Add an increase."""
        self._numbers[-1] += found.total
        if self.increases is not None:
            self._numbers[-2] += sum(found.counts.values())
            self._add_increases(found.counts)
