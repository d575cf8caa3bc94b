"""The journal: what is recorded waits here in lists, and is settled when a collection starts.

Appending to a list takes no lock and is atomic, so a measurement, or a group of them that is one entry, is recorded as
a whole or not at all, whatever thread, signal or finalizer it interrupts.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context, set_value
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import get_current_span

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Step
from otel_ha.record.journal.cells import Cell
from otel_ha.record.journal.increases import Increase, Increases

TIME = "otel_ha.time"
"""The key by which the context of a measurement that is replayed says when it was taken."""

LONG = 2_000
"""Entries of one list that are long, while there are few lists."""

SHORT = 10
"""Entries that are long where there are very many lists."""

Changes = Sequence[tuple[float, Cell]]
Entry = tuple[Changes, Context | None]
"""Measurements that belong together; with a context, they are replayed through the SDK, which makes an exemplar."""

# From effect to cause. Work is received before it starts and starts before it ends; so where the ends are taken before
# the starts, there is to each end that is taken a start, and nothing is in flight a negative number of times.
_BACKWARDS: tuple[Step, ...] = ("ended", "started", "received")


class Batch:
    """Measurements that belong together, resolved: one of a cell, whose amount is another each time, and constants."""

    __slots__ = ("_journal", "amounts", "cell", "constants", "generation", "limit")

    def __init__(self, journal: Journal, cell: Cell | None, constants: Changes) -> None:
        self.amounts: list[Any] = []
        self.limit = 0
        self.generation: object = None
        self.cell = cell
        self.constants = constants
        self._journal = journal

    def record(self, amount: float) -> bool:
        """Record an amount, and return True; not where it may become an exemplar, which is recorded otherwise."""
        if (context := current_context()) and self.samples(context):
            return False
        if len(self.amounts) > self.limit:
            self.shorten()
        self.amounts.append(amount)
        return True

    def samples(self, context: Context) -> bool:
        """Whether what is recorded in this context may become an exemplar."""
        return self._journal.samples(context)

    def shorten(self) -> None:
        """Add up what waits, unless somebody is at it."""
        self._journal.shorten(self)


class Journal:
    """Takes what is recorded, and settles it when a collection starts."""

    MOST_REPLAYS = 10_000
    """Groups in sampled spans that wait for a collection; of more, the SDK is given no exemplars."""

    MOST_GROUPS = 10_000
    """Groups that are kept resolved; what is beyond is recorded as entries."""

    def __init__(self, *, exemplars: bool) -> None:
        self._exemplars = exemplars
        self._sorting = threading.Lock()
        self._cells: list[Cell] = []
        self._groups: dict[Step, list[Batch]] = {step: [] for step in _BACKWARDS}
        self._entries: dict[Step, list[Entry]] = {step: [] for step in _BACKWARDS}
        self._dirty: list[Cell] = []
        self._replays: list[Entry] = []
        self.gains: Increases | None = None
        """What cells gain, where somebody wants to know."""
        self.readers: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        """Return how many entries wait."""
        lists: list[list[Any]] = [cell.amounts for cell in self._cells]
        lists += [group.amounts for groups in self._groups.values() for group in groups]
        return sum(map(len, [*lists, *self._entries.values(), self._replays]))

    # ---- Recording

    def add(self, cell: Cell) -> None:
        """Settle this cell from now on."""
        cell.limit = self._limit()
        self._cells.append(cell)

    def group(self, step: Step, cell: Cell | None, constants: Changes) -> Batch | None:
        """Return a new group; None where there are very many."""
        if sum(map(len, self._groups.values())) >= self.MOST_GROUPS:
            return None
        group = Batch(self, cell, constants)
        group.limit = self._limit()
        self._groups[step].append(group)
        return group

    def _limit(self) -> int:
        # The more lists there are the shorter each of the later ones is kept, so that all together stay bounded.
        lists = len(self._cells) + sum(map(len, self._groups.values()))
        return max(SHORT, min(LONG, 10 * LONG // (lists + 1)))

    def write(self, changes: Changes, step: Step = "received", context: Context | None = None) -> None:
        """Take measurements that belong together, as recorded in `context` (default: the current one)."""
        if context is None:
            context = current_context()
        sampled = context and self.samples(context)
        entries = self._entries[step]
        # The SDK keeps exemplars; it is given these one by one when the journal is settled.
        entries.append((changes, set_value(TIME, time.time_ns(), context) if sampled else None))
        if len(entries) > LONG:
            self._in_turn(lambda: self._sort(entries))

    def samples(self, context: Context) -> bool:
        """Whether what is recorded in this context may become an exemplar."""
        return self._exemplars and get_current_span(context).get_span_context().trace_flags.sampled

    def shorten(self, those: Cell | Batch) -> None:
        """Take to its cells what waits there, unless somebody is at it."""
        self._in_turn(lambda: self._take(those))

    def _in_turn(self, action: Callable[[], None]) -> None:
        if self._sorting.acquire(blocking=False):
            try:
                action()
            finally:
                self._sorting.release()

    # ---- Settling

    def settle(self, _: CallbackOptions | None = None) -> list[Observation]:
        """Bring everything recorded so far to the SDK's aggregations. An observable's callback: it observes nothing."""
        with self._sorting:
            self._gather()
            self._hand_over()
            self._replay()
        return []

    def gained(self) -> list[Increase]:
        """Return what was settled since this was last called, where somebody wants to know."""
        if self.gains is None:
            return []
        with self._sorting:
            return self.gains.take()

    def drop(self) -> None:
        """Forget what was recorded and not settled yet: the meter was disabled meanwhile."""
        with self._sorting:
            self._gather()
            self._replays.clear()
            dirty, self._dirty = self._dirty, []
            for cell in dirty:
                cell.drop()

    def _gather(self) -> None:
        """Take to their cells all that waits."""
        for step in _BACKWARDS:
            for group in self._groups[step]:
                if group.amounts:
                    self._take(group)
            self._sort(self._entries[step])
        for cell in self._cells:
            if cell.amounts:
                self._take(cell)

    def _hand_over(self) -> None:
        """Settle the cells that gained something."""
        dirty, self._dirty = self._dirty, []
        for cell in dirty:
            cell.dirty = False
        for cell in dirty:
            if self.gains is not None:
                self.gains.note(cell)
            cell.settle(self.readers())

    def _replay(self) -> None:
        """Record through the SDK what may become an exemplar."""
        replays, self._replays = self._replays, []
        for changes, context in replays:
            for amount, cell in changes:
                cell.replay(amount, context or Context())
                if self.gains is not None:
                    self.gains.note_one(cell, amount)

    def _take(self, those: Cell | Batch) -> None:
        amounts = _prefix(those.amounts)
        if not amounts:
            return
        if isinstance(those, Cell):
            self._gained(those).take(amounts)
            return
        if those.cell is not None:
            self._gained(those.cell).take(amounts)
        for amount, cell in those.constants:
            self._gained(cell).take_alike(amount, len(amounts))

    def _sort(self, entries: list[Entry]) -> None:
        """Take entries to their cells, or put them aside for the SDK."""
        found: defaultdict[Cell, list[float]] = defaultdict(list)
        for entry in _prefix(entries):
            changes, context = entry
            if context is not None and len(self._replays) < self.MOST_REPLAYS:
                self._replays.append(entry)
                continue
            for amount, cell in changes:
                found[cell].append(amount)
        for cell, amounts in found.items():
            self._gained(cell).take(amounts)

    def _gained(self, cell: Cell) -> Cell:
        if not cell.dirty:
            cell.dirty = True
            self._dirty.append(cell)
        return cell


def _prefix(entries: list[Any]) -> list[Any]:
    """Take out what is there; others append meanwhile, and what they append stays."""
    count = len(entries)
    taken = entries[:count]
    del entries[:count]
    return taken
