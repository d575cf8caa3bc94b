"""Series: one attribute set of an instrument, with a number for each collection that is kept."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from otel_ha.declare.ports import AttributeValue
from otel_ha.history.distribution import packed, unpacked
from otel_ha.record.journal.increases import Increase
from otel_ha.record.resolver import Identity


class Series:
    """One series: a number for each collection, the newest last; NaN where a collection did not have it.

    Of a histogram that number is the count, and there are the sum and what its buckets gained as well.
    """

    __slots__ = ("_figures", "bounds", "identity", "increases")

    from_zero = True
    """Whether it was 0 before it was first seen; what the host counts was not."""

    def __init__(self, identity: Identity, first: float, *, is_distribution: bool) -> None:
        self.identity = identity
        self.bounds: Sequence[float] = ()
        self.increases: list[bytes] | None = [b""] if is_distribution else None
        # In one array, count and sum in turn: as long as a series is young, a second one would be most of it.
        self._figures = array("d", [first] * self._width)

    @property
    def _width(self) -> int:
        return 1 if self.increases is None else 2

    def number(self, age: int) -> float:
        """Return the number for the collection that so many came after; NaN before its first."""
        index = -(age + 1) * self._width
        return self._figures[index] if -index <= len(self._figures) else math.nan

    def numbers(self, oldest: int, newest: int, *, sums: bool = False) -> array[float]:
        """Return the numbers, or a histogram's sums, for the collections of these ages, from its first one on."""
        width, end = self._width, len(self._figures)
        return self._figures[max(end - (oldest + 1) * width, 0) + sums : max(end - newest * width, 0) : width]

    def begin(self, *, again: bool) -> None:
        """Begin a collection; `again`: in place of the newest one, and what its buckets gained is gained in this."""
        raise NotImplementedError

    def take(self, found: Any) -> None:
        """Take what there is of it in the newest collection."""
        raise NotImplementedError

    def _append(self, figures: Sequence[float]) -> None:
        self._figures.extend(figures)
        if self.increases is not None:
            self.increases.append(b"")

    def _add_increases(self, more: Mapping[int, int]) -> None:
        """Add to what the buckets gained in the newest collection."""
        if self.increases is not None and more:
            increases = unpacked(self.increases[-1])
            self.increases[-1] = packed(
                {i: more.get(i, 0) + increases.get(i, 0) for i in more.keys() | increases.keys()}
            )

    def shorten(self, most: int) -> None:
        """Keep the newest `most` collections."""
        del self._figures[: -most * self._width]
        if self.increases is not None:
            del self.increases[:-most]

    @property
    def is_gone(self) -> bool:
        """Whether no collection that is kept has it."""
        return all(map(math.isnan, self._figures))

    def attribute(self, name: str) -> AttributeValue | None:
        """Return the value of an attribute; None where it has none."""
        try:
            value: Any = self.identity[2 * self.identity[::2].index(name) + 1]
        except ValueError:
            return None
        return value[1] if isinstance(value, tuple) else value  # type: ignore[no-any-return]


class PointSeries(Series):
    """A series that the SDK keeps: a collection has a point of it or not."""

    __slots__ = ("_buckets", "from_zero")

    def __init__(self, identity: Identity, *, from_zero: bool, is_distribution: bool) -> None:
        super().__init__(identity, math.nan, is_distribution=is_distribution)
        self.from_zero = from_zero
        self._buckets: Sequence[int] = ()
        """The exported buckets, when they were last seen."""

    def begin(self, *, again: bool) -> None:
        """Begin a collection, which has no point of it yet; see Series."""
        if again:
            self._figures[-self._width] = self._figures[-1] = math.nan
        else:
            self._append([math.nan] * self._width)

    def take(self, found: Any) -> None:
        """Take a point; where two metrics have one name, the first one counts."""
        if not math.isnan(self._figures[-self._width]):
            return
        if self.increases is None:
            self._figures[-1] = found.value
            return
        before = self._buckets or [0] * len(found.bucket_counts)
        pairs = enumerate(zip(before, found.bucket_counts, strict=True))
        self._add_increases({index: now - was for index, (was, now) in pairs if now > was})
        self.bounds, self._buckets = found.explicit_bounds, found.bucket_counts
        self._figures[-2], self._figures[-1] = found.count, found.sum


class IncreaseSeries(Series):
    """A series of a bound instrument: it is told what it gains, and is what it was where it gains nothing."""

    __slots__ = ()

    def __init__(self, increase: Increase) -> None:
        super().__init__(increase.identity, 0, is_distribution=bool(increase.bounds))
        self.bounds = increase.bounds

    def begin(self, *, again: bool) -> None:
        """Begin a collection, in which it has gained nothing yet; see Series."""
        if not again:
            self._append(self._figures[-self._width :])

    def take(self, found: Increase) -> None:
        """Add a gain."""
        self._figures[-1] += found.total
        if self.increases is not None:
            self._figures[-2] += sum(found.counts.values())
            self._add_increases(found.counts)
