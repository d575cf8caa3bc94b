"""Columns: the points of a metric with many series, without an object for each point until it is encoded.

The SDK makes several objects of each point. Tens of thousands of them, alive until the push has ended, make Python's
garbage collector look through all objects of the service, which halts it for tenths of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, overload

from otel_ha.export.otlp.parts import MOST_POINTS
from otel_ha.turn import giving_way

TURN = 250
"""Points after which other threads have a turn: about a millisecond of work."""


class Columns(Sequence[Any]):
    """The points of one metric, a column for each field; points are made again when they are asked for."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self._columns: dict[str, list[Any]] = {field.name: [] for field in fields(kind)}

    def take(self, point: Any) -> bool:
        """Add a point if it is of the same kind as the others; return whether it is."""
        if type(point) is not self._kind:
            return False
        for name, column in self._columns.items():
            value = getattr(point, name)
            column.append(() if type(value) is list and not value else value)  # a list for no exemplars
        return True

    def __len__(self) -> int:
        """Return the number of points."""
        return len(next(iter(self._columns.values())))

    def __iter__(self) -> Iterator[Any]:
        """Return the points."""
        return map(self._kind, *self._columns.values())

    @overload
    def __getitem__(self, part: int) -> Any: ...
    @overload
    def __getitem__(self, part: slice) -> list[Any]: ...
    def __getitem__(self, part: int | slice) -> Any:
        """Return a point, or a list of some of them."""
        if isinstance(part, int):
            return self._kind(*(column[part] for column in self._columns.values()))
        return list(map(self._kind, *(column[part] for column in self._columns.values())))


def gathered(points: Iterable[Any]) -> Sequence[Any]:
    """Return the points of a metric: as a list, or in columns if a push splits them anyway."""
    left = giving_way(points, TURN)
    few = list(islice(left, MOST_POINTS + 1))
    if len(few) <= MOST_POINTS:
        return few
    columns = Columns(type(few[0]))
    for source in (few, left):
        for point in source:
            if not columns.take(point):
                return [*columns, point, *left]
    return columns
