"""Gains: what bound instruments gained since somebody last asked, beside what the SDK is told."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from otel_ha.record.journal.cells import Cell, HistogramCell
from otel_ha.record.resolver import Identity


@dataclass(slots=True)
class Increase:
    """What one attribute set of an instrument gained; of a histogram with counts by the index of their upper bound."""

    instrument: str
    identity: Identity
    bounds: Sequence[float] = ()
    total: float = 0
    counts: dict[int, int] = field(default_factory=dict)


class Increases:
    """Adds up what cells are settled with; whoever calls holds the journal's lock."""

    def __init__(self) -> None:
        self._gains: dict[Cell, Increase] = {}

    def note(self, cell: Cell) -> None:
        """Add what a cell is about to be settled with."""
        gain = self._of(cell)
        gain.total += cell.total
        if isinstance(cell, HistogramCell):
            for index, count in cell.counts.items():
                gain.counts[index] = gain.counts.get(index, 0) + count

    def note_one(self, cell: Cell, amount: float) -> None:
        """Add one amount, which goes to the SDK without the cell."""
        gain = self._of(cell)
        gain.total += amount
        if isinstance(cell, HistogramCell):
            index = bisect_left(cell.scale.bounds, amount)
            gain.counts[index] = gain.counts.get(index, 0) + 1

    def take(self) -> list[Increase]:
        """Return what was gained since this was last called."""
        taken, self._gains = self._gains, {}
        return list(taken.values())

    def _of(self, cell: Cell) -> Increase:
        gain = self._gains.get(cell)
        if gain is None:
            bounds = cell.scale.bounds if isinstance(cell, HistogramCell) else ()
            gain = self._gains[cell] = Increase(cell.instrument, cell.identity, bounds)
        return gain
