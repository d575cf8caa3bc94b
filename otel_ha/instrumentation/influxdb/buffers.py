"""Write buffers: points that wait in a client until their batch is complete."""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable

from otel_ha.instrumentation.influxdb.writes import lost
from otel_ha.instrumentation.watching import observe
from otel_ha.vocabulary import ingest

__all__ = ["WriteBuffers"]


class WriteBuffers:
    """The items that wait in the batching clients of one library.

    It takes no lock: a client may be closed wherever the garbage collector interrupts.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._waiting: dict[int, deque[int]] = {}
        """The points of each item that waits, by the identity of its client."""
        self._is_used = False
        self._stop: Callable[[], None] | None = None
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._waiting.clear)  # the parent writes them

    def begin(self) -> None:
        """Report the size, from the first item on; may be repeated."""
        if self._stop is None:
            self._stop = observe(ingest.QUEUE_SIZE, self._size, queue=self._queue)

    def end(self) -> None:
        """Stop reporting, and forget what waits."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._is_used = False
        self._waiting.clear()

    def enter(self, client: object, points: int) -> None:
        """Note an item that is about to enter a client's buffer."""
        waiting = self._waiting.get(id(client))
        if waiting is None:
            waiting = self._waiting.setdefault(id(client), deque())
            weakref.finalize(client, self._waiting.pop, id(client), None).atexit = False
        self._is_used = True
        waiting.append(points)

    def refused(self, client: object, points: int, reason: str) -> None:
        """Note that an item did not enter the buffer: its points are lost."""
        try:
            self._waiting[id(client)].remove(points)
        except (KeyError, ValueError):
            return  # the buffer was closed meanwhile, and counted it
        if points:
            lost(points, reason)

    def leave(self, client: object, items: int) -> None:
        """Note that so many items leave a client's buffer."""
        waiting = self._waiting.get(id(client))
        while waiting and items > 0:  # fewer, if some entered before the library was instrumented
            waiting.popleft()
            items -= 1

    def closed(self, client: object) -> None:
        """Note that a client has written its last batch: what still waits came too late, and is lost."""
        waiting = self._waiting.pop(id(client), None)
        if waiting and (points := sum(waiting)):
            lost(points, "closed")

    def _size(self) -> int | None:
        return sum(map(len, list(self._waiting.values()))) if self._is_used else None
