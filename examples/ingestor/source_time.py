"""SourceTime: joins the states of mqtt_statestream with the times that it publishes after them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from examples.ingestor.event import Event

LONGEST_WAIT = 0.5
"""Seconds that a state waits for its time. Home Assistant waits for the broker's acknowledgement in between."""

MOST_LATE = 100
"""Times of an entity that are awaited further, although their states have been released."""


class Release(Protocol):
    """Takes a state that no longer waits; its timestamp is its own if it is `timed`."""

    def __call__(self, event: Event, *, retained: bool) -> None:
        """Take it."""


@dataclass(slots=True)
class Held:
    """A state that waits for its time; `retained` means that the broker had kept it."""

    event: Event
    retained: bool
    deadline: float
    waiting: bool = True


class SourceTime:
    """Holds each state until `.../last_updated` follows, but not longer than `longest_wait` seconds.

    A state is held only once `last_updated` has been seen, because mqtt_statestream publishes it only with the option
    `publish_timestamps`. States of an entity are released in order, each with the first time that arrives after it. If
    the broker sends retained messages, the time may precede the state. The time of a state that could not wait for it
    must not become that of the next one, so it is awaited further; it cannot be later than the arrival of its state.
    """

    def __init__(self, release: Release, longest_wait: float = LONGEST_WAIT) -> None:
        self._release = release
        self._longest_wait = longest_wait
        self._published = False
        self._early: dict[str, int] = {}
        self._held: dict[str, deque[Held]] = {}  # by entity
        self._order: deque[Held] = deque()
        self._late: dict[str, deque[int]] = {}  # arrivals of the states that were released without their times
        self._timer: asyncio.TimerHandle | None = None

    def state(self, event: Event, *, retained: bool) -> None:
        """Hold a state until its time arrives; release it at once if there is none to wait for."""
        if retained and (moment := self._early.pop(event.entity_id, None)) is not None:
            self._release(replace(event, timestamp=moment, timed=True), retained=retained)
        elif not self._published:
            self._release(event, retained=retained)
        else:
            loop = asyncio.get_running_loop()
            held = Held(event, retained, loop.time() + self._longest_wait)
            self._held.setdefault(event.entity_id, deque()).append(held)
            self._order.append(held)
            if self._timer is None:
                self._timer = loop.call_at(held.deadline, self._expire)

    def time(self, entity_id: str, moment: int, *, retained: bool) -> bool:
        """Give a time, in nanoseconds since 1970, to the state that waits for it.

        Return False if it belongs to the last state, which was released without it.
        """
        self._published = True
        if self._is_late(entity_id, moment):
            return bool(self._late[entity_id] or self._held.get(entity_id))
        held = self._next(entity_id)
        if held is not None:
            self._release(replace(held.event, timestamp=moment, timed=True), retained=held.retained)
        elif retained:
            self._early[entity_id] = moment
        return held is not None

    def flush(self) -> None:
        """Release every held state without its time, when the connection ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._early.clear()
        self._expire_until(float("inf"))
        self._late.clear()

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._expire_until(loop.time())
        self._timer = loop.call_at(self._order[0].deadline, self._expire) if self._order else None

    def _expire_until(self, moment: float) -> None:
        while self._order and (not self._order[0].waiting or self._order[0].deadline <= moment):
            held = self._order.popleft()
            if held.waiting:
                self._next(held.event.entity_id)
                late = self._late.setdefault(held.event.entity_id, deque(maxlen=MOST_LATE))
                late.append(held.event.timestamp)
                self._release(held.event, retained=held.retained)

    def _is_late(self, entity_id: str, moment: int) -> bool:
        """Return whether a time belongs to a state that was released without it."""
        late = self._late.get(entity_id)
        while late:
            if moment <= late.popleft():
                return True
        return False

    def _next(self, entity_id: str) -> Held | None:
        """Take the first held state of an entity, None if there is none."""
        waiting = self._held.get(entity_id)
        if not waiting:
            return None
        held = waiting.popleft()
        held.waiting = False
        if not waiting:
            del self._held[entity_id]
        return held
