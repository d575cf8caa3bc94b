"""Gains: what the fine buckets of histograms gained since somebody last asked."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otel_ha.bound.cells import Cell, HistogramCell
from otel_ha.recording import Identity


class Gain(NamedTuple):
    """What one histogram's attribute set gained: counts by the index of their upper bound."""

    instrument: str
    identity: Identity
    bounds: Sequence[float]
    counts: Mapping[int, int]


class Gains:
    """Adds up what cells are settled with; whoever settles holds the journal's lock.

    It is cut in the very collection that asked for it: of what another one settles afterwards the first has no series.
    """

    def __init__(self) -> None:
        self._counts: dict[HistogramCell, dict[int, int]] = {}
        self._asked_by: int | None = None
        self._cut: list[Gain] = []

    def ask(self) -> None:
        """Have it cut by the collection that this thread starts now."""
        self._asked_by = threading.get_ident()

    def settled(self) -> None:
        """Cut it, if this thread's is the collection that asked for it."""
        if self._asked_by == threading.get_ident():
            self._asked_by = None
            self._cut = self._take()

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
        """Return what was gained until the collection that asked."""
        cut, self._cut = self._cut, []
        return cut

    def _take(self) -> list[Gain]:
        taken, self._counts = self._counts, {}
        return [Gain(cell.scale.instrument, cell.identity, cell.scale.bounds, counts) for cell, counts in taken.items()]
