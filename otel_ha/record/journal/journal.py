"""The journal: measurements wait here in lists, and are settled when a collection starts.

Appending to a list takes no lock and is atomic, so a measurement, or a batch that is one entry, is recorded completely
or not at all, even if it interrupts a thread, a signal handler or a finalizer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import NonRecordingSpan, get_current_span, set_span_in_context

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Step
from otel_ha.record.journal.cells import Cell, Join
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

_Part = tuple[Cell, list[float]] | tuple[Cell, float, int]
"""Amounts for a cell; or one amount that was recorded several times."""

# From effect to cause. Work is received before it starts and starts before it ends. As the ends are taken before the
# starts, each end that is taken has a start, and no number in flight is negative.
_BACKWARDS: tuple[Step, ...] = ("ended", "started", "received")


def _stamped(context: Context) -> Context:
    """Return a context with the time and the identity of the span, which are all that an exemplar needs.

    A measurement may wait long for a collection, and must not hold the span with everything in it meanwhile.
    """
    span = NonRecordingSpan(get_current_span(context).get_span_context())
    return set_span_in_context(span, Context({TIME: time.time_ns()}))


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

    MOST_BATCHES = 10_000
    """Batches that are kept resolved; others are recorded as entries."""

    def __init__(self, *, exemplars: bool) -> None:
        self._exemplars = exemplars
        self._sorting = Turn()
        self._cells: list[Cell] = []
        self._batches: dict[Step, list[Batch]] = {step: [] for step in _BACKWARDS}
        self.batch_count = 0
        """The number of resolved batches, about: several threads may count at once."""
        self._entries: dict[Step, list[Entry]] = {step: [] for step in _BACKWARDS}
        self._dirty: list[Cell] = []
        self._taken: list[_Part] = []
        """The parts of amounts that have left their list, and that their cell still has to take."""
        self.replays: dict[tuple[Cell, int], tuple[float, Context]] = {}
        """By cell and bucket, the last measurement in a sampled span, which the next collection replays to the SDK."""
        self.increases: Increases | None = None
        """The growth of cells, if a history wants to know."""
        self.readers: Callable[[], object] = lambda: None
        self.join: Join = lambda cell, _: cell.look()
        self.balance: Callable[[], bool] = lambda: False
        """Called when everything is settled; returns whether it has recorded more, which is settled as well."""

    def __len__(self) -> int:
        """Return how many measurements and entries wait."""
        lists: list[list[Any]] = [cell.amounts for cell in self._cells]
        lists += [batch.amounts for batches in self._batches.values() for batch in batches]
        return sum(map(len, [*lists, *self._entries.values()])) + len(self.replays)

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
        self.batch_count += 1
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
        entries.append((changes, _stamped(context) if sampled else None))
        if len(entries) > LONG:
            self._in_turn(lambda: self._sort(entries))

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar."""
        try:
            return self._exemplars and get_current_span(context).get_span_context().trace_flags.sampled
        except Exception:  # noqa: BLE001 - a span of another tracer may do anything
            return False

    def shorten(self, those: Cell | Batch) -> None:
        """Move the amounts that wait there to their cells, unless another thread is doing so."""
        self._in_turn(lambda: self._take(those))

    def _in_turn(self, action: Callable[[], None]) -> None:
        self._sorting.run(action, 0, None)

    # ---- Settling

    def settle(self, _: CallbackOptions | None = None) -> list[Observation]:
        """Bring everything recorded so far to the SDK's aggregations; a callback of an observable without values.

        Leaves that to the next collection if a thread that shortens a list is interrupted by a handler that waits for
        this one.
        """
        self._sorting.run(self._settle, PATIENCE, None)
        return []

    def take_increases(self) -> Iterable[Increase]:
        """Return the growth that was settled since the last call."""
        return () if self.increases is None else self._sorting.run(self.increases.take, PATIENCE, ())

    def drop(self) -> None:
        """Forget measurements that are not settled yet: the meter was switched off meanwhile."""
        self._sorting.run(self._drop, PATIENCE, None)

    def _settle(self) -> None:
        self._gather()
        self._hand_over()
        self._replay()
        if self.balance():
            # Without the work that has ended meanwhile: it is not balanced.
            self._sort(self._entries["received"])
            self._hand_over()

    def _drop(self) -> None:
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
        dirty = self._dirty
        while dirty:
            cell = dirty[-1]
            cell.settle(self.readers(), self.join, self.increases)
            cell.dirty = False
            del dirty[-1]

    def _replay(self) -> None:
        """Record the measurements that may become exemplars through the SDK."""
        while self.replays:
            (cell, _), (amount, context) = self.replays.popitem()
            cell.replay(amount, context)
            if self.increases is not None:
                self.increases.add_one(cell, amount)

    # Amounts leave their list and are noted as taken in lines without a call, and so do those that a cell has taken: a
    # handler that raises between two instructions loses nothing, as the next turn continues.

    def _take(self, those: Cell | Batch) -> None:
        self._deal_out()
        amounts = those.amounts[:]  # those that other threads append meanwhile stay
        count = len(amounts)
        if not count:
            return
        if isinstance(those, Cell):
            parts: list[_Part] = [(those, amounts)]
        else:
            parts = [(cell, amount, count) for amount, cell in those.constants]
            if those.cell is not None:
                parts.append((those.cell, amounts))
        self._taken = parts
        del those.amounts[:count]
        self._deal_out()

    def _sort(self, entries: list[Entry]) -> None:
        """Move entries to their cells, but for the last measurement in a span of each bucket, which is put aside.

        The SDK keeps one exemplar for each bucket. It would take milliseconds to show it hundreds of others.
        """
        self._deal_out()
        if not entries:
            return
        found: defaultdict[Cell, list[float]] = defaultdict(list)
        taken, replays = entries[:], self.replays.copy()
        for changes, context in taken:
            for amount, cell in changes:
                last = amount
                if context is not None:
                    place = cell, cell.bucket_of(amount)
                    before = replays.get(place)
                    replays[place] = amount, context
                    if before is None:
                        continue
                    last = before[0]
                found[cell].append(last)
        parts: list[_Part] = list(found.items())
        count = len(taken)
        self._taken, self.replays = parts, replays
        del entries[:count]
        self._deal_out()

    def _deal_out(self) -> None:
        """Let the cells take what has left the lists."""
        taken = self._taken
        while taken:
            part = taken[-1]
            self._dirtied(part[0])
            if len(part) == 3:  # noqa: PLR2004 - see _Part
                part[0].take_alike(part[1], part[2])
            else:
                part[0].take(part[1])
            del taken[-1]

    def _dirtied(self, cell: Cell) -> None:
        if not cell.dirty:
            cell.dirty = True
            self._dirty.append(cell)
