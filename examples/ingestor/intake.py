"""Intake: the bounded queue between the sources and the worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator

from examples.ingestor import counted
from examples.ingestor.descriptions import Descriptions
from examples.ingestor.event import Event
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)

TURN = 50
"""Events that are processed before other tasks get a turn."""


class Intake:
    """Holds events until the worker takes them. A full queue discards new events, so that sources never wait.

    If a source waited, Home Assistant would disconnect it, or messages would pile up uncounted in a client library.
    Sources also put what they learn about entities into `descriptions`.
    `overflowed` is the number of events that a full queue has discarded.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[tuple[float, Event]] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self.descriptions = Descriptions()
        self._overflowing = False
        self.overflowed = 0
        ingest.QUEUE_SIZE.observe(lambda: len(self), queue="ingest")
        ingest.QUEUE_CAPACITY.observe(lambda: capacity, queue="ingest")
        ingest.QUEUE_AGE.observe(self.oldest_age, queue="ingest")

    def __len__(self) -> int:
        """Return the number of queued events."""
        return len(self._events)

    def put(self, event: Event) -> None:
        """Count a received event and add it to the queue."""
        self.receive(event.source)
        self.queue(event)

    def receive(self, source: str) -> None:
        """Count an event as received: in flight until `queue` or `discard` is called for it."""
        counted.events(source).receive()

    def queue(self, event: Event) -> None:
        """Add a received event, or discard it if the queue is full."""
        if len(self._events) >= self._capacity:
            counted.events(event.source).discard("overflow")
            self._overflow()
            return
        self._events.append((time.monotonic(), event))
        self._changed.set()

    def _overflow(self) -> None:
        """Log the first event that a full queue discards; and again only if the queue was empty in between."""
        self.overflowed += 1
        if not self._overflowing:
            logger.warning(
                "the queue of %d events is full; new events are discarded while it is (--queue-capacity)",
                self._capacity,
            )
        self._overflowing = True

    def refuse(self, source: str, reason: str) -> None:
        """Count an event that is received and discarded before it reaches the queue."""
        self.receive(source)
        self.discard(source, reason)

    def discard(self, source: str, reason: str) -> None:
        """Discard a received event that is not in the queue."""
        counted.events(source).discard(reason)

    def close(self) -> None:
        """Let `events` end once the queue is empty."""
        self._closed = True
        self._changed.set()

    def abandon(self) -> None:
        """Discard the remaining events, if there is no time to process them."""
        while self._events:
            _, event = self._events.popleft()
            counted.events(event.source).discard("shutdown")

    def oldest_age(self) -> float:
        """Return the seconds that the oldest event has waited; 0 if the queue is empty."""
        try:
            return time.monotonic() - self._events[0][0]
        except IndexError:  # a collection runs in another thread, so the queue may become empty at any time
            return 0.0

    async def events(self) -> AsyncIterator[tuple[float, Event]]:
        """Yield the time of arrival, of the monotonic clock, and the event, until the queue is closed and empty."""
        while True:
            for _ in range(min(len(self._events), TURN)):
                yield self._events.popleft()
            if self._events:
                await asyncio.sleep(0)  # sources must read from their connections even while the queue is long
                continue
            self._overflowing = False
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
