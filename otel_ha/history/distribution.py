"""Distribution: how many values lay between which bounds, and the quantiles that follow."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence

_FINE = 1.1
"""Bounds that are nearer to each other than this ratio are answered with their geometric mean."""

_WIDTHS = {"H": 16, "I": 32, "Q": 64}
"""The bits of an array's numbers, by its type code."""

Edges = tuple[float, float]


def packed(increases: Mapping[int, int]) -> bytes:
    """Return what buckets gained in as little memory as is simple: pairs of index and count, as wide as the widest."""
    numbers = [number for pair in sorted(increases.items()) for number in pair]
    code = next(code for code, bits in _WIDTHS.items() if max(numbers, default=0) < 1 << bits)
    return code.encode() + array(code, numbers).tobytes()


def unpacked(increases: bytes) -> dict[int, int]:
    """Return what was packed."""
    numbers = array(chr(increases[0]) if increases else "Q")
    numbers.frombytes(increases[1:])
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


class Distribution:
    """Counts by the edges of buckets; series with other bounds can be added to it."""

    def __init__(self) -> None:
        self._counts: dict[Edges, int] = {}

    def add(self, bounds: Sequence[float], increases: Mapping[int, int]) -> None:
        """Add counts by the index of their bucket, whose upper bound is the one at that index (included)."""
        for index, count in increases.items():
            edges = (bounds[index - 1] if index else -math.inf, bounds[index] if index < len(bounds) else math.inf)
            self._counts[edges] = self._counts.get(edges, 0) + count

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Return, for each share, the value that this share of all values does not exceed; 0 where there are none.

        The value meant is the one of rank ceil(share * count). Of fine buckets (bounds 6 % apart) the geometric mean is
        returned, which is within 3 % of it; of wider ones what a straight line between the bounds gives, as
        Prometheus' histogram_quantile() does.
        """
        ascending = sorted(self._counts.items(), key=lambda item: item[0][1])
        total = sum(self._counts.values())
        return [self._at(ascending, max(math.ceil(share * total), 1)) if total else 0.0 for share in shares]

    @staticmethod
    def _at(ascending: Sequence[tuple[Edges, int]], rank: int) -> float:
        before = 0
        for (low, high), count in ascending:
            if before + count >= rank:
                return _within(low, high, (rank - before) / count)
            before += count
        return ascending[-1][0][1]


def _within(low: float, high: float, share: float) -> float:
    low = max(low, 0.0)  # no histogram takes less
    if math.isinf(high):
        return low
    return math.sqrt(low * high) if low and high / low < _FINE else low + (max(high, low) - low) * share
