"""Distribution: the counts of a histogram's buckets, and their quantiles."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence

_FINE = 1.1
"""If the bounds of a bucket have a smaller ratio, its quantiles are their geometric mean."""

_WIDTHS = {"H": 16, "I": 32, "Q": 64}
"""Bits per number of an array, by its type code."""

Edges = tuple[float, float]


def packed(increases: Mapping[int, int]) -> bytes:
    """Return the increases of buckets as compact bytes: pairs of index and count in the narrowest type that fits."""
    numbers = [number for pair in sorted(increases.items()) for number in pair]
    code = next(code for code, bits in _WIDTHS.items() if max(numbers, default=0) < 1 << bits)
    return code.encode() + array(code, numbers).tobytes()


def unpacked(increases: bytes) -> dict[int, int]:
    """Return the increases from packed()."""
    numbers = array(chr(increases[0]) if increases else "Q")
    numbers.frombytes(increases[1:])
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


class Distribution:
    """Counts by the edges of buckets; accepts series with different bounds."""

    def __init__(self) -> None:
        # Most series share one list of bounds: their counts are added up by index, and get edges when they are needed.
        self._parts: dict[int, tuple[Sequence[float], dict[int, int]]] = {}

    def add(self, bounds: Sequence[float], increases: Mapping[int, int]) -> None:
        """Add counts by the index of their bucket; the bound at that index is its upper bound (inclusive)."""
        part = self._parts.get(id(bounds))
        if part is None:
            part = self._parts[id(bounds)] = bounds, {}
        counts = part[1]
        for index, count in increases.items():
            counts[index] = counts.get(index, 0) + count

    def merge(self, other: Distribution) -> None:
        """Add the counts of another distribution."""
        for bounds, counts in other._parts.values():
            self.add(bounds, counts)

    def _ascending(self) -> list[tuple[Edges, int]]:
        counts: dict[Edges, int] = {}
        for bounds, by_index in self._parts.values():
            for index, count in by_index.items():
                low = bounds[index - 1] if index else -math.inf
                edges = low, bounds[index] if index < len(bounds) else math.inf
                counts[edges] = counts.get(edges, 0) + count
        return sorted(counts.items(), key=lambda item: item[0][1])

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Return the quantile for each share: the value of rank ceil(share * count); 0 without values.

        In a fine bucket (bounds 6 % apart) the geometric mean is returned, which is within 3 % of the value; in a wider
        one, a linear interpolation between the bounds, like Prometheus' histogram_quantile().
        """
        ascending = self._ascending()
        total = sum(count for _, count in ascending)
        return [self._at(ascending, max(math.ceil(share * total), 1)) if total else 0.0 for share in shares]

    def share_within(self, bound: float) -> float | None:
        """Return the share of values up to a bound; None without values, or if a bucket has values on both sides."""
        ascending = self._ascending()
        total = sum(count for _, count in ascending)
        if not total or any(low < bound < high for (low, high), count in ascending if count):
            return None
        return sum(count for (_, high), count in ascending if high <= bound) / total

    @property
    def is_empty(self) -> bool:
        """Whether there are no values."""
        return not any(counts for _, counts in self._parts.values())

    @staticmethod
    def _at(ascending: Sequence[tuple[Edges, int]], rank: int) -> float:
        before = 0
        for (low, high), count in ascending:
            if before + count >= rank:
                return _within(low, high, (rank - before) / count)
            before += count
        return ascending[-1][0][1]


def _within(low: float, high: float, share: float) -> float:
    low = max(low, 0.0)  # histograms record no negative values
    if math.isinf(high):
        return low
    return math.sqrt(low * high) if low and high / low < _FINE else low + (max(high, low) - low) * share
