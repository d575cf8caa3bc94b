"""CollectionGate: lets a collection through the API see the measurements of a batch all together or not at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, get_current

from otel_ha.declare.ports import Attributes, Change
from otel_ha.errors import TelemetryError
from otel_ha.turn import PATIENCE, Turn, as_own_work

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
else:
    MetricReader = object


class _RecordsInContext(Protocol):
    gate: CollectionGate

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None: ...


_Addressed = tuple[_RecordsInContext, float, Attributes]
"""A Change with the recorder of its instrument."""


_LONGEST = 3_600_000
"""Milliseconds that the SDK gives a collection."""

_A_BATCH = 0.01
"""Seconds to wait for another thread that records a batch, which takes microseconds."""

_SLOW = 1.0
"""Seconds in which a thread with the turn may record nothing: it lacks the CPU. Beyond that, it hangs."""


class _Thread(threading.local):
    reader: object | None = None
    is_collecting = False
    is_recording = False
    wanted = 0
    """The number of waiting measurements that it still has to record."""


class CollectionGate:
    """Lets a collection see the measurements of a batch all together or not at all.

    An event that leaves "in flight" and becomes "processed" is two measurements on two instruments. The SDK reads one
    instrument after the other while other threads record; so a batch that arrives during a collection waits, in memory,
    until the collection has read everything. Every measurement is appended, and then recorded by a thread that has the
    turn, which lasts for one batch. A signal handler or a finalizer that interrupts this thread only appends.
    """

    MOST_DEFERRED = 10_000
    """Batches that may wait. Beyond that, a collection that hangs costs consistency, never memory or counts."""

    MOST_WAITING = 100_000
    """Measurements and batches that may wait if the thread that records hangs; later ones are dropped and counted."""

    def __init__(self) -> None:
        self._turn = Turn()
        self._collecting: set[int] = set()
        """The threads that collect."""
        self._thread = _Thread()
        self._deferred: deque[Callable[[], object]] = deque()
        self._recorded = 0
        """How many times a thread with the turn has recorded something."""
        self._stuck_at = -1
        """That number when a thread was last refused the turn: if it is still the same, the turn's thread may hang."""
        self._hangs_at = 0.0
        """The time from which it does hang, if the number is still the same."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no batch be recorded until the block ends."""
        with self._turn.taken():
            yield
        self.catch_up()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Record no batch during a block, which is given whether that worked: a thread may be interrupted in one."""
        with self._turn.taken(PATIENCE) as is_mine:
            yield is_mine

    def apply(self, changes: Sequence[Change]) -> None:
        """Record a batch."""
        self.defer(changes)
        self._record_some()

    def write(self, measurement: Callable[[], object]) -> None:
        """Record a single measurement, a call of an API instrument: the SDK's locks must not be waited for."""
        self._append(measurement)
        self._record_some()

    def defer(self, changes: Sequence[Change]) -> None:
        """Record a batch at the next collection; takes no lock, so a finalizer may call it wherever it interrupts."""
        addressed, context = self._addressed(changes), get_current()
        self._append(lambda: _record(addressed, context))

    def _addressed(self, changes: Sequence[Change]) -> Sequence[_Addressed]:
        """Return the changes with their current recorders: a deferred batch is recorded even if telemetry is ending.

        Not those with a recorder of another gate: telemetry that another thread has started has not seen this work.
        """
        found = [(instrument.recorder, amount, attributes) for instrument, amount, attributes in changes]
        return [each for each in found if each[0] is not None and each[0].gate is self]

    @property
    def waiting(self) -> int:
        """The number of batches that wait."""
        return len(self._deferred)

    @property
    def reader(self) -> object | None:
        """The reader for which this thread is collecting; None if it collects for none of ours."""
        return self._thread.reader

    def begin(self, reader: object) -> None:
        """Hold back batches from now on: this thread collects for `reader`."""
        self._thread.reader = reader
        # A batch that a thread is recording is complete first; if that thread is interrupted, this costs consistency.
        self._catch_up(PATIENCE)
        self._collecting.add(threading.get_ident())
        self._turn.run(_nothing, PATIENCE, None)

    def end(self) -> None:
        """Record the batches held back, if no other thread collects; does nothing if this collection has ended."""
        if self._thread.reader is not None:
            self._end(threading.get_ident())

    def collect(self, reader: object, collect: Callable[[], object]) -> None:
        """Hold back batches during `collect`; this thread collects nothing if it already does so.

        A handler that interrupts a collection would wait for the SDK's lock, which its own thread holds.
        """
        if not self._thread.is_collecting:
            as_own_work(partial(self._collect, reader, collect, threading.get_ident()))

    def _collect(self, reader: object, collect: Callable[[], object], ident: int) -> None:
        thread = self._thread
        try:
            thread.is_collecting = True
            self.begin(reader)
            collect()
        finally:  # _end(), in place: a handler that runs at its start may raise
            thread.is_collecting, thread.reader = False, None
            self._collecting.discard(ident)
            self.catch_up()

    def _end(self, ident: int) -> None:
        self._collecting.discard(ident)
        self._thread.reader = None
        self.catch_up()

    def catch_up(self) -> None:
        """Record the waiting measurements, unless a collection reads."""
        self._catch_up(_A_BATCH)

    def _catch_up(self, patience: float) -> None:
        # Not those that others add meanwhile, which could continue for ever.
        self._record_some(len(self._deferred), patience)

    def _append(self, measurement: Callable[[], object]) -> None:
        if len(self._deferred) >= self.MOST_WAITING:
            most = f"{self.MOST_WAITING:,}"
            raise TelemetryError(f"{most} measurements wait for a thread that hangs; later ones are dropped")
        self._deferred.append(measurement)

    def _record_some(self, number: int = 2, patience: float = _A_BATCH) -> None:
        """Record the oldest measurements: two for each new one, so that deferred ones do not pile up."""
        thread = self._thread
        thread.wanted += number
        if thread.is_recording:  # a batch reports a problem, or is interrupted: the call below it continues
            return
        thread.is_recording = True
        try:
            while thread.wanted > 0 and self._deferred and self._may_record():
                # Another thread has the turn for one batch. If it hangs, only a collection waits for it again.
                wait = 0 if self._stuck_at == self._recorded and patience == _A_BATCH and self._may_hang() else patience
                if not self._turn.run(self._record_oldest, wait, otherwise=False):
                    if self._stuck_at != self._recorded:
                        self._hangs_at, self._stuck_at = monotonic() + _SLOW, self._recorded
                    break
                thread.wanted -= 1
        finally:
            thread.is_recording, thread.wanted = False, 0

    def _may_hang(self) -> bool:
        """Whether to skip the wait for a thread that has recorded nothing since it last kept another one waiting.

        With more than MOST_DEFERRED batches deferred, it first gets _SLOW seconds: threads that only append would
        otherwise take the CPU that it lacks.
        """
        return len(self._deferred) <= self.MOST_DEFERRED or monotonic() >= self._hangs_at

    def _may_record(self) -> bool:
        if not self._collecting:
            return True
        return len(self._deferred) > self.MOST_DEFERRED and threading.get_ident() not in self._collecting

    def _record_oldest(self) -> bool:
        """Record a measurement or a batch, in turn; return True."""
        if self._may_record():
            try:
                oldest = self._deferred.popleft()
            except IndexError:  # asking first would leave a finalizer time to take it
                return True
            oldest()
            self._recorded += 1
        return True


class GatedReader(MetricReader):
    """Mixed into a MetricReader: while it collects, batches wait at its gate."""

    gate: CollectionGate

    # The SDK marks collect() as final. A reader has no other place for work that must precede a collection; the
    # collection itself stays the SDK's.
    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: as said above
        """Collect, holding back batches until everything is read.

        The SDK gives up a collection whose callbacks took too long only after the fact, and would count their sums
        twice in the next one. So this one takes the time that it takes; whoever waits for it has a limit of its own.
        """
        self.gate.collect(self, partial(super().collect, timeout_millis=max(timeout_millis, _LONGEST)))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # Everything is read. The rest, perhaps an export to a Collector that hangs, must hold back nothing.
        self.gate.end()
        super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)  # type: ignore[safe-super]  # abstract only in the base class


def _nothing() -> None:
    pass


def _record(changes: Sequence[_Addressed], context: Context | None) -> None:
    for recorder, amount, attributes in changes:
        recorder.record(amount, attributes, context)
