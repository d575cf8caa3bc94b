"""Gains: what the fine buckets of histograms gained since somebody last asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otel_ha.bound.cells import Cell, HistogramCell
from otel_ha.recorder import AttributeValue
from otel_ha.recording import attributes_of


class Gain(NamedTuple):
    """What one histogram's attribute set gained: counts by the index of their upper bound."""

    instrument: str
    attributes: Mapping[str, AttributeValue]
    bounds: Sequence[float]
    counts: Mapping[int, int]


class Gains:
    """Adds up what cells are settled with; whoever settles holds the journal's lock."""

    def __init__(self) -> None:
        self._counts: dict[HistogramCell, dict[int, int]] = {}

    def note(self, cell: Cell) -> None:
        """Add what a cell is about to be settled with."""
        if isinstance(cell, HistogramCell):
            kept = self._counts.get(cell)
            if kept is None:
                self._counts[cell] = dict(cell.counts)
                return
            for index, count in cell.counts.items():
                kept[index] = kept.get(index, 0) + count

    def note_one(self, cell: Cell, amount: float) -> None:
        """Add one amount, which goes to the SDK without the cell."""
        if isinstance(cell, HistogramCell):
            kept, index = self._counts.setdefault(cell, {}), bisect_left(cell.scale.bounds, amount)
            kept[index] = kept.get(index, 0) + 1

    def take(self) -> list[Gain]:
        """Return what was gained, and begin anew."""
        taken, self._counts = self._counts, {}
        return [
            Gain(cell.scale.instrument, attributes_of(cell.identity), cell.scale.bounds, counts)
            for cell, counts in taken.items()
        ]
