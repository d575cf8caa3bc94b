"""The journal: measurements wait here in lists, and are settled when a collection starts.

Appending to a list takes no lock and is atomic, so a measurement, or a batch that is one entry, is recorded completely
or not at all, even if it interrupts a thread, a signal handler or a finalizer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context, set_value
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import get_current_span

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Step
from otel_ha.record.journal.cells import Cell
from otel_ha.record.journal.increases import Increase, Increases
from otel_ha.turn import PATIENCE, Turn

TIME = "otel_ha.time"
"""The key by which the context of a replayed measurement holds its time, in nanoseconds since the epoch."""

LONG = 2_000
"""The length at which a list is shortened, while there are few lists."""

SHORT = 10
"""The length at which a list is shortened if there are very many lists."""

Changes = Sequence[tuple[float, Cell]]
Entry = tuple[Changes, Context | None]
"""Measurements recorded together; with a context, they are replayed through the SDK, which makes an exemplar."""

# From effect to cause. Work is received before it starts and starts before it ends. As the ends are taken before the
# starts, each end that is taken has a start, and no number in flight is negative.
_BACKWARDS: tuple[Step, ...] = ("ended", "started", "received")


class Batch:
    """Measurements recorded together, resolved: a varying amount of one cell, and constant amounts of others."""

    __slots__ = ("_journal", "amounts", "cell", "constants", "generation", "limit")

    def __init__(self, journal: Journal, cell: Cell | None, constants: Changes) -> None:
        self.amounts: list[Any] = []
        self.limit = 0
        self.generation: object = None
        self.cell = cell
        self.constants = constants
        self._journal = journal

    def record(self, amount: float) -> bool:
        """Record an amount and return True; return False if it may become an exemplar and must be recorded in full."""
        if (context := current_context()) and self.samples(context):
            return False
        if len(self.amounts) > self.limit:
            self.shorten()
        self.amounts.append(amount)
        return True

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar."""
        return self._journal.samples(context)

    def shorten(self) -> None:
        """Add up the waiting amounts, unless another thread is doing so."""
        self._journal.shorten(self)


class Journal:
    """Holds measurements in lists, and settles them when a collection starts."""

    MOST_REPLAYS = 10_000
    """Entries from sampled spans that wait for a collection; later ones get no exemplars."""

    MOST_BATCHES = 10_000
    """Batches that are kept resolved; others are recorded as entries."""

    def __init__(self, *, exemplars: bool) -> None:
        self._exemplars = exemplars
        self._sorting = Turn()
        self._cells: list[Cell] = []
        self._batches: dict[Step, list[Batch]] = {step: [] for step in _BACKWARDS}
        self._entries: dict[Step, list[Entry]] = {step: [] for step in _BACKWARDS}
        self._dirty: list[Cell] = []
        self.replays: list[Entry] = []
        """Entries from sampled spans, which the next collection replays through the SDK."""
        self.increases: Increases | None = None
        """The growth of cells, if a history wants to know."""
        self.readers: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        """Return how many measurements and entries wait."""
        lists: list[list[Any]] = [cell.amounts for cell in self._cells]
        lists += [batch.amounts for batches in self._batches.values() for batch in batches]
        return sum(map(len, [*lists, *self._entries.values(), self.replays]))

    @property
    def batch_count(self) -> int:
        """The number of resolved batches."""
        return sum(map(len, self._batches.values()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing be settled until the block ends."""
        with self._sorting.taken():
            yield

    # ---- Recording

    def add(self, cell: Cell) -> None:
        """Settle this cell from now on."""
        cell.limit = self._limit()
        self._cells.append(cell)

    def batch(self, step: Step, cell: Cell | None, constants: Changes) -> Batch | None:
        """Return a new batch; None if there are very many."""
        if self.batch_count >= self.MOST_BATCHES:
            return None
        batch = Batch(self, cell, constants)
        batch.limit = self._limit()
        self._batches[step].append(batch)
        return batch

    def _limit(self) -> int:
        # The more lists there are, the shorter later ones are kept, so that all of them together stay bounded.
        lists = len(self._cells) + self.batch_count
        return max(SHORT, min(LONG, 10 * LONG // (lists + 1)))

    def write(self, changes: Changes, step: Step = "received", context: Context | None = None) -> None:
        """Take measurements that are recorded together, in `context` (default: the current one)."""
        if context is None:
            context = current_context()
        sampled = context and self.samples(context)
        entries = self._entries[step]
        # The SDK keeps exemplars: these measurements are replayed to it when the journal is settled.
        entries.append((changes, set_value(TIME, time.time_ns(), context) if sampled else None))
        if len(entries) > LONG:
            self._in_turn(lambda: self._sort(entries))

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar."""
        return self._exemplars and get_current_span(context).get_span_context().trace_flags.sampled

    def shorten(self, those: Cell | Batch) -> None:
        """Move the amounts that wait there to their cells, unless another thread is doing so."""
        self._in_turn(lambda: self._take(those))

    def _in_turn(self, action: Callable[[], None]) -> None:
        if self._sorting.take(0):
            try:
                action()
            finally:
                self._sorting.give_back()

    # ---- Settling

    def settle(self, _: CallbackOptions | None = None) -> list[Observation]:
        """Bring everything recorded so far to the SDK's aggregations; a callback of an observable without values.

        Leaves that to the next collection if a thread that shortens a list is interrupted by a handler that waits for
        this one.
        """
        with self._sorting.taken(PATIENCE) as is_mine:
            if is_mine:
                self._gather()
                self._hand_over()
                self._replay()
        return []

    def take_increases(self) -> list[Increase]:
        """Return the growth that was settled since the last call."""
        if self.increases is None:
            return []
        with self._sorting.taken(PATIENCE) as is_mine:
            return self.increases.take() if is_mine else []

    def drop(self) -> None:
        """Forget measurements that are not settled yet: the meter was switched off meanwhile."""
        with self._sorting.taken(PATIENCE) as is_mine:
            if not is_mine:
                return
            self._gather()
            self.replays.clear()
            dirty, self._dirty = self._dirty, []
            for cell in dirty:
                cell.drop()

    def _gather(self) -> None:
        """Move everything that waits to its cells."""
        for step in _BACKWARDS:
            for batch in self._batches[step]:
                if batch.amounts:
                    self._take(batch)
            self._sort(self._entries[step])
        for cell in self._cells:
            if cell.amounts:
                self._take(cell)

    def _hand_over(self) -> None:
        """Settle the cells that have grown."""
        dirty, self._dirty = self._dirty, []
        for cell in dirty:
            cell.dirty = False
        for cell in dirty:
            if self.increases is not None:
                self.increases.add(cell)
            cell.settle(self.readers())

    def _replay(self) -> None:
        """Record entries that may become exemplars through the SDK."""
        replays, self.replays = self.replays, []
        for changes, context in replays:
            for amount, cell in changes:
                cell.replay(amount, context or Context())
                if self.increases is not None:
                    self.increases.add_one(cell, amount)

    def _take(self, those: Cell | Batch) -> None:
        amounts = _prefix(those.amounts)
        if not amounts:
            return
        if isinstance(those, Cell):
            self._dirtied(those).take(amounts)
            return
        if those.cell is not None:
            self._dirtied(those.cell).take(amounts)
        for amount, cell in those.constants:
            self._dirtied(cell).take_alike(amount, len(amounts))

    def _sort(self, entries: list[Entry]) -> None:
        """Move entries to their cells, or put them aside for the SDK."""
        found: defaultdict[Cell, list[float]] = defaultdict(list)
        for entry in _prefix(entries):
            changes, context = entry
            if context is not None and len(self.replays) < self.MOST_REPLAYS:
                self.replays.append(entry)
                continue
            for amount, cell in changes:
                found[cell].append(amount)
        for cell, amounts in found.items():
            self._dirtied(cell).take(amounts)

    def _dirtied(self, cell: Cell) -> Cell:
        if not cell.dirty:
            cell.dirty = True
            self._dirty.append(cell)
        return cell


def _prefix(entries: list[Any]) -> list[Any]:
    """Remove and return the present items; items that other threads append meanwhile stay."""
    count = len(entries)
    taken = entries[:count]
    del entries[:count]
    return taken
