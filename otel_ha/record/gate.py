"""CollectionGate: lets a collection through the API see the measurements of a batch all together or not at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, get_current

from otel_ha.declare.ports import Attributes, Change

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
else:
    MetricReader = object


class _RecordsInContext(Protocol):
    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None: ...


_Addressed = tuple[_RecordsInContext | None, float, Attributes]
"""A Change with the recorder of its instrument."""


class _Thread(threading.local):
    reader: object | None = None


class CollectionGate:
    """Lets a collection see the measurements of a batch all together or not at all.

    An event that leaves "in flight" and becomes "processed" is two measurements on two instruments. The SDK reads one
    instrument after the other while other threads record; so a batch that arrives during a collection waits, in memory,
    until the collection has read everything. No thread blocks: the lock is held for a batch or two at a time.
    """

    MOST_DEFERRED = 10_000
    """Batches that may wait. Beyond that, a collection that hangs costs consistency, never memory or counts."""

    def __init__(self) -> None:
        # Reentrant: a garbage collection inside a batch can run a finalizer that records.
        self._lock = threading.RLock()
        self._collections = 0
        self._thread = _Thread()
        self._deferred: deque[tuple[Sequence[_Addressed], Context]] = deque()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no batch be recorded until the block ends."""
        with self._lock:
            yield

    def apply(self, changes: Sequence[Change]) -> None:
        """Record a batch."""
        addressed = _addressed(changes)
        with self._lock:
            if self._collections and len(self._deferred) < self.MOST_DEFERRED:
                self._deferred.append((addressed, get_current()))
            else:
                _record(addressed, None)
                # Batches that finalizers deferred must not pile up if none of our readers collects.
                self._record_deferred()

    def defer(self, changes: Sequence[Change]) -> None:
        """Record a batch at the next collection; takes no lock, so a finalizer may call it wherever it interrupts."""
        self._deferred.append((_addressed(changes), get_current()))

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
        self._catch_up()
        with self._lock:
            self._collections += 1

    def end(self) -> None:
        """Record the batches held back, if no other thread collects; does nothing if this collection has ended."""
        if self._thread.reader is not None:
            self._thread.reader = None
            with self._lock:
                self._collections -= 1
            self._catch_up()

    def _catch_up(self) -> None:
        """Record deferred batches while no thread collects; between two of them, other threads have their turn."""
        while self._deferred:
            with self._lock:
                if self._collections:
                    return
                self._record_deferred()

    def _record_deferred(self) -> None:
        """Record the oldest deferred batch, if there is one."""
        with suppress(IndexError):  # asking first would leave a finalizer time to take it
            _record(*self._deferred.popleft())


class GatedReader(MetricReader):
    """Mixed into a MetricReader: while it collects, batches wait at its gate."""

    gate: CollectionGate

    # The SDK marks collect() as final. A reader has no other place for work that must precede a collection; the
    # collection itself stays the SDK's.
    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: as said above
        """Collect, holding back batches until everything is read."""
        self.gate.begin(self)
        try:
            super().collect(timeout_millis=timeout_millis)
        finally:
            self.gate.end()

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
