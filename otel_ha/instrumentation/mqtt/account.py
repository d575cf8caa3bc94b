"""The account of one aiomqtt client: messages that wait in its queue, and those that loops are working on."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from otel_ha.declare.measurement import Measurement
from otel_ha.instrumentation.mqtt.receiving import SOURCE, Events
from otel_ha.instrumentation.patches import quietly
from otel_ha.vocabulary import ingest

__all__ = ["Account"]

Place = tuple[int, asyncio.Task[Any] | None]
"""Where a message is worked on: the identity of the iterator, and the task; several tasks may share either."""


def _topic(message: Any) -> str:
    return str(message.topic)


class Account:
    """Messages are counted as queued until they are `got`, then as active until the place asks for the next one.

    A place that asks for no other one has left its loop: by a break or a return, by an exception or by cancellation.
    The iterator goes then, or its task ends, or the client's block does, and each of them tells which it was.
    """

    _events = Events(ingest.QUEUED_EVENT, _topic)
    _event = ingest.EVENT.bind(source=SOURCE)

    def __init__(self, queue: Any = None) -> None:
        self._queue = queue
        self.is_in_use = True
        self._queued = 0
        self._given_up = 0
        """Messages that are counted as discarded, but still wait in the queue of a client that may be used again."""
        self._asking = 0
        self._work: dict[Place, Measurement] = {}
        self._iterators: set[int] = set()
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._is_closed = False

    def received(self, lost: int, reason: str) -> None:
        """Count a message that was put into the queue, and those that were lost on the way or pushed out by it."""
        if self._is_closed:
            return
        self.is_in_use = True
        self._event.receive()
        self._queued += 1
        self._discard(max(lost, 0), reason)

    def recount(self) -> None:
        """Count again what waits, as telemetry has been replaced."""
        for _ in range(self._queued):
            self._event.receive()

    def asks(self, iterator: Any) -> None:
        """Note that a place asks for its next message, and so is done with the one before."""
        self.is_in_use = True
        self._asking += 1
        self._end((id(iterator), _current_task()))

    def got(self, iterator: Any, message: Any) -> None:
        """Note that a place has got a message."""
        self._asking -= 1
        if self._is_closed:
            return
        if self._given_up:
            self._given_up -= 1
            return
        if self._queued:
            self._queued -= 1
        else:  # it came before the library was instrumented
            self._event.receive()
        task = _current_task()
        self._watch(iterator, task)
        event = self._events.measured(self._events.domain(message))
        self._work[id(iterator), task] = event.start((message,), {}).__enter__()

    def got_none(self) -> None:
        """Note that a place was disconnected or cancelled while it waited.

        A message that was taken out of the queue for a place that is cancelled at the same moment is lost.
        """
        self._asking -= 1
        if not self._asking and self._queue is not None:
            self._discard(self._queued + self._given_up - self._queue.qsize(), "lost")

    def leaves(self, error: BaseException | None) -> None:
        """Note that the current task leaves the client's block, by an exception or without."""
        task = _current_task()
        for place in [place for place in list(self._work) if place[1] is task]:
            self._end(place, error)

    def shut_down(self) -> None:
        """Give up what still waits; if the client is used again, it is not counted a second time."""
        self.is_in_use = False
        given_up = self._queued
        self._discard(given_up, "shutdown")
        self._given_up += given_up

    def close(self, reason: str) -> None:
        """Discard everything: the client is gone, or is not instrumented any more."""
        self._is_closed = True
        self._discard(self._queued, reason)
        for place in list(self._work):
            if (measurement := self._work.get(place)) is not None:
                measurement.discard(reason)
                self._end(place)

    def _discard(self, number: int, reason: str) -> None:
        for _ in range(min(number, self._queued)):
            self._queued -= 1
            self._event.discard(reason)

    def _watch(self, iterator: Any, task: asyncio.Task[Any] | None) -> None:
        key = id(iterator)
        if key not in self._iterators:
            self._iterators.add(key)
            weakref.finalize(iterator, self._iterator_is_gone, key, asyncio.get_running_loop()).atexit = False
        if task is not None and task not in self._tasks:
            self._tasks.add(task)
            task.add_done_callback(self._task_is_done)

    def _iterator_is_gone(self, key: int, loop: asyncio.AbstractEventLoop) -> None:
        """End the work of an iterator: when its loop is left, it goes at once, before an exception gets any further.

        If that exception ends the client's block or the task, this is known when the loop runs its next callbacks.
        """
        self._iterators.discard(key)
        for place in [place for place in list(self._work) if place[0] == key]:
            task, measurement = place[1], self._work.get(place)
            if measurement is None:  # the garbage collector may call this in any thread
                continue
            if measurement.span is not None and task is _current_task():
                quietly(measurement.span.pause)  # the task goes on outside of the span, which ends a little later
            if task is not None and task.cancelling():
                self._end(place, asyncio.CancelledError())
                continue
            try:
                loop.call_soon_threadsafe(self._left, measurement, place)
            except RuntimeError:  # the loop is closed
                self._end(place, _error_of(task))

    def _left(self, measurement: Measurement, place: Place) -> None:
        if self._work.get(place) is measurement:  # another iterator may have got the identity
            self._end(place, _error_of(place[1]))

    def _task_is_done(self, task: asyncio.Task[Any]) -> None:
        for place in [place for place in list(self._work) if place[1] is task]:
            self._end(place, _error_of(task))

    def _end(self, place: Place, error: BaseException | None = None) -> None:
        measurement = self._work.pop(place, None)
        if measurement is not None:
            quietly(measurement.__exit__, None if error is None else type(error), error, None)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _error_of(task: asyncio.Task[Any] | None) -> BaseException | None:
    """Return how a task ended; `exception()` would keep asyncio from logging that nobody has asked for it."""
    if task is None or not task.done():
        return None
    if task.cancelled():
        return asyncio.CancelledError()
    error: BaseException | None = getattr(task, "_exception", None)
    return error
