"""Points in columns: the parts of a metric's points that a scrape needs, without an object for each point.

The SDK makes an object of each point. If there are many series, thousands of these objects live until the text is
written, and every few scrapes they make Python's garbage collector go through all objects of the process, which blocks
an event loop for tens of milliseconds. Columns hold numbers, and attributes that exist anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

Row = tuple[Mapping[str, Any], Sequence[int], float]
"""The attributes of a point; the counts of its buckets, if it is a histogram; its value, of a histogram the sum."""


class Points:
    """The points of one metric: numbers, or histograms with the same bounds.

    Iterating yields points again, with everything that the exposition shows: without times and extremes.
    """

    def __init__(self) -> None:
        self.bounds: tuple[float, ...] | None = None
        """The bounds of histograms; None for numbers."""
        self._attributes: list[Mapping[str, Any]] = []
        self._values: list[float] = []
        self._counts: list[int] = []
        self._exemplars: dict[int, Sequence[Any]] = {}

    def take(self, point: Any) -> bool:
        """Add a point if it is of the same kind as those before; return whether it is."""
        if isinstance(point, HistogramDataPoint):
            bounds = tuple(point.explicit_bounds)
            if not self._values:
                self.bounds = bounds
            if bounds != self.bounds or len(point.bucket_counts) != len(bounds) + 1:
                return False
            self._counts += point.bucket_counts
            self._values.append(point.sum)
        elif isinstance(point, NumberDataPoint) and self.bounds is None:
            self._values.append(point.value)
        else:
            return False
        if point.exemplars:
            self._exemplars[len(self._attributes)] = point.exemplars
        self._attributes.append(point.attributes or {})
        return True

    def keys(self) -> set[tuple[str, ...]]:
        """Return the sets of attribute keys, each in the order of its series."""
        return {tuple(attributes) for attributes in self._attributes}

    def sampled(self) -> Iterator[tuple[Mapping[str, Any], Sequence[Any]]]:
        """Return the attributes and the exemplars of each point that has any."""
        for number, exemplars in self._exemplars.items():
            yield self._attributes[number], exemplars

    def rows(self) -> Iterator[Row]:
        """Return the row of each point."""
        buckets = 0 if self.bounds is None else len(self.bounds) + 1
        for number, (attributes, value) in enumerate(zip(self._attributes, self._values, strict=True)):
            yield attributes, self._counts[number * buckets : (number + 1) * buckets], value

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        """Return the points as the SDK's."""
        for number, (attributes, counts, value) in enumerate(self.rows()):
            exemplars = self._exemplars.get(number, [])
            if self.bounds is None:
                yield NumberDataPoint(attributes, 0, 0, value, exemplars)
            else:
                yield HistogramDataPoint(attributes, 0, 0, sum(counts), value, counts, self.bounds, 0.0, 0.0, exemplars)


def in_columns(points: Iterable[Any]) -> Points | list[Any]:
    """Return points in columns, or as a list if they are of different kinds."""
    columns, left = Points(), iter(points)
    for point in left:
        if not columns.take(point):
            return [*columns, point, *left]
    return columns
