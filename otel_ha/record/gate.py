"""CollectionGate: lets a collection through the API see the measurements of a batch all together or not at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, get_current

from otel_ha.declare.ports import Attributes, Change
from otel_ha.turn import PATIENCE, Turn, working

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
else:
    MetricReader = object


class _RecordsInContext(Protocol):
    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None: ...


_Addressed = tuple[_RecordsInContext | None, float, Attributes]
"""A Change with the recorder of its instrument."""


_A_BATCH = 0.01
"""Seconds to wait for another thread that records a batch, which takes microseconds."""


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

    def __init__(self) -> None:
        self._turn = Turn()
        self._collecting: set[int] = set()
        """The threads that collect."""
        self._thread = _Thread()
        self._deferred: deque[Callable[[], object]] = deque()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no batch be recorded until the block ends."""
        with self._turn.taken():
            yield
        self.catch_up()

    def apply(self, changes: Sequence[Change]) -> None:
        """Record a batch."""
        self.defer(changes)
        self._record_some()

    def write(self, measurement: Callable[[], object]) -> None:
        """Record a single measurement, a call of an API instrument: the SDK's locks must not be waited for."""
        self._deferred.append(measurement)
        self._record_some()

    def defer(self, changes: Sequence[Change]) -> None:
        """Record a batch at the next collection; takes no lock, so a finalizer may call it wherever it interrupts."""
        addressed, context = _addressed(changes), get_current()
        self._deferred.append(lambda: _record(addressed, context))

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
        self.catch_up()
        self._collecting.add(threading.get_ident())
        # A batch that a thread is recording is complete first; if that thread is interrupted, this costs consistency.
        with self._turn.taken(PATIENCE):
            pass

    def end(self) -> None:
        """Record the batches held back, if no other thread collects; does nothing if this collection has ended."""
        if self._thread.reader is not None:
            self._thread.reader = None
            self._collecting.discard(threading.get_ident())
            self.catch_up()

    @contextmanager
    def collecting(self, reader: object) -> Iterator[bool]:
        """Hold back batches for a block, which is given whether this thread may collect: not if it does so already.

        A handler that interrupts a collection would wait for the SDK's lock, which its own thread holds.
        """
        if self._thread.is_collecting:
            yield False
            return
        with working():
            self._thread.is_collecting = True
            try:
                self.begin(reader)
                yield True
            finally:
                self._thread.is_collecting = False
                self.end()

    def catch_up(self) -> None:
        """Record the waiting measurements, unless a collection reads."""
        # Not those that others add meanwhile, which could continue for ever.
        self._record_some(len(self._deferred))

    def _record_some(self, number: int = 2) -> None:
        """Record the oldest measurements: two for each new one, so that deferred ones do not pile up."""
        thread = self._thread
        thread.wanted += number
        if thread.is_recording:  # a batch reports a problem, or is interrupted: the call below it continues
            return
        thread.is_recording = True
        try:
            # Another thread has the turn for one batch.
            while thread.wanted > 0 and self._deferred and self._may_record() and self._turn.take(_A_BATCH):
                thread.wanted -= 1
                try:
                    if self._may_record():
                        self._record_oldest()
                finally:
                    self._turn.give_back()
        finally:
            thread.is_recording, thread.wanted = False, 0

    def _may_record(self) -> bool:
        if not self._collecting:
            return True
        return len(self._deferred) > self.MOST_DEFERRED and threading.get_ident() not in self._collecting

    def _record_oldest(self) -> None:
        with suppress(IndexError):  # asking first would leave a finalizer time to take it
            self._deferred.popleft()()


class GatedReader(MetricReader):
    """Mixed into a MetricReader: while it collects, batches wait at its gate."""

    gate: CollectionGate

    # The SDK marks collect() as final. A reader has no other place for work that must precede a collection; the
    # collection itself stays the SDK's.
    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: as said above
        """Collect, holding back batches until everything is read."""
        with self.gate.collecting(self) as may_collect:
            if may_collect:
                super().collect(timeout_millis=timeout_millis)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # Everything is read. The rest, perhaps an export to a Collector that hangs, must hold back nothing.
        self.gate.end()
        super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)  # type: ignore[safe-super]  # abstract only in the base class


def _addressed(changes: Sequence[Change]) -> Sequence[_Addressed]:
    """Return the changes with their current recorders: a deferred batch is recorded even if telemetry is ending."""
    return [(instrument.recorder, amount, attributes) for instrument, amount, attributes in changes]


def _record(changes: Sequence[_Addressed], context: Context | None) -> None:
    for recorder, amount, attributes in changes:
        if recorder is not None:
            recorder.record(amount, attributes, context)
