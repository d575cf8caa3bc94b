"""Increases: how much each cell has grown since the history last asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from otel_ha.record.journal.cells import Cell, HistogramCell
from otel_ha.record.resolver import Identity

Counts = Mapping[int, int]
"""The counts of a histogram's buckets, by the index of their upper bound; empty for a sum."""


class Increase(NamedTuple):
    """The growth of one series; a sum has no bounds."""

    instrument: str
    identity: Identity
    bounds: Sequence[float]
    total: float
    counts: Counts


class Increases:
    """Adds up the settled growth of cells; the caller holds the journal's lock.

    Numbers, and dicts of numbers, are nothing that Python's garbage collector tracks. An object for each of many series
    would make it look through all objects of the service at every second or third collection.
    """

    def __init__(self) -> None:
        self._totals: dict[Cell, float] = {}
        self._counts: dict[Cell, Counts] = {}

    def absorb(self, cell: Cell) -> None:
        """Add the growth of a cell; stored in one step, without a call, as a handler may raise."""
        # A cell replaces its counts, and never changes them.
        total, counts = self._with(cell, cell.total, cell.counts if isinstance(cell, HistogramCell) else {})
        self._totals[cell] = total
        self._counts[cell] = counts
        cell.given += 1

    def add_one(self, cell: Cell, amount: float) -> None:
        """Add one amount, which reaches the SDK without the cell."""
        counts = {bisect_left(cell.scale.bounds, amount): 1} if isinstance(cell, HistogramCell) else {}
        self._totals[cell], self._counts[cell] = self._with(cell, amount, counts)

    def take(self) -> Iterator[Increase]:
        """Return the growth since the last call, as it is now."""
        totals, counts = self._totals, self._counts
        self._totals, self._counts = {}, {}
        return (_increase(cell, total, counts[cell]) for cell, total in totals.items())

    def _with(self, cell: Cell, amount: float, counts: Counts) -> tuple[float, Counts]:
        """Return the growth of a cell so far and this together."""
        if before := self._counts.get(cell):
            counts = {index: before.get(index, 0) + counts.get(index, 0) for index in before.keys() | counts.keys()}
        return self._totals.get(cell, 0) + amount, counts


def _increase(cell: Cell, total: float, counts: Counts) -> Increase:
    bounds = cell.scale.bounds if isinstance(cell, HistogramCell) else ()
    return Increase(cell.instrument, cell.identity, bounds, total, counts)
