"""Increases: how much each cell has grown since the history last asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from otel_ha.record.journal.cells import Cell, HistogramCell
from otel_ha.record.resolver import Identity


@dataclass(slots=True)
class Increase:
    """The growth of one series; of a histogram, with counts by the index of their upper bound."""

    instrument: str
    identity: Identity
    bounds: Sequence[float] = ()
    total: float = 0
    counts: dict[int, int] = field(default_factory=dict)


class Increases:
    """Adds up the settled growth of cells; the caller holds the journal's lock."""

    def __init__(self) -> None:
        self._increases: dict[Cell, Increase] = {}

    def add(self, cell: Cell) -> None:
        """Add the growth that a cell is about to settle."""
        increase = self._of(cell)
        increase.total += cell.total
        if isinstance(cell, HistogramCell):
            for index, count in cell.counts.items():
                increase.counts[index] = increase.counts.get(index, 0) + count

    def add_one(self, cell: Cell, amount: float) -> None:
        """Add one amount, which reaches the SDK without the cell."""
        increase = self._of(cell)
        increase.total += amount
        if isinstance(cell, HistogramCell):
            index = bisect_left(cell.scale.bounds, amount)
            increase.counts[index] = increase.counts.get(index, 0) + 1

    def take(self) -> list[Increase]:
        """Return the growth since the last call."""
        taken, self._increases = self._increases, {}
        return list(taken.values())

    def _of(self, cell: Cell) -> Increase:
        increase = self._increases.get(cell)
        if increase is None:
            bounds = cell.scale.bounds if isinstance(cell, HistogramCell) else ()
            increase = self._increases[cell] = Increase(cell.instrument, cell.identity, bounds)
        return increase
