"""Intake: the bounded queue between the sources and the worker."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

from examples.ingestor import counted
from examples.ingestor.event import Event
from otel_ha.vocabulary import ingest

TURN = 50
"""Events that are worked off before others get their turn."""


class Intake:
    """Holds events until the worker takes them. A full queue discards what is new: the sources never wait.

    A source that waited would be cut off by Home Assistant or leave the messages to pile up in a client library,
    where nobody counts them.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[tuple[float, Event]] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        ingest.QUEUE_SIZE.observe(lambda: len(self._events), queue="ingest")
        ingest.QUEUE_CAPACITY.observe(lambda: capacity, queue="ingest")
        ingest.QUEUE_AGE.observe(self.oldest_age, queue="ingest")

    def put(self, event: Event) -> None:
        """Take an event in, or discard it if the queue is full."""
        counted.events(event.source).receive()
        if len(self._events) >= self._capacity:
            counted.events(event.source).discard("overflow")
            return
        self._events.append((time.monotonic(), event))
        self._changed.set()

    def refuse(self, source: str, reason: str) -> None:
        """Count an event that is discarded before it gets into the queue."""
        counted.events(source).receive()
        counted.events(source).discard(reason)

    def close(self) -> None:
        """Let the worker end once it has taken what is left."""
        self._closed = True
        self._changed.set()

    def abandon(self) -> None:
        """Discard what is left; for when there is no time to work it off."""
        while self._events:
            _, event = self._events.popleft()
            counted.events(event.source).discard("shutdown")

    def oldest_age(self) -> float:
        """Return the seconds that the next event has waited; 0 if there is none."""
        try:
            return time.monotonic() - self._events[0][0]
        except IndexError:  # asked by the collecting thread, between the worker's steps
            return 0.0

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events in their order, until the queue is closed and empty."""
        while True:
            for _ in range(min(len(self._events), TURN)):
                yield self._events.popleft()[1]
            if self._events:
                await asyncio.sleep(0)  # a long queue must not keep the sources from their connections
                continue
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
