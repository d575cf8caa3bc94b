"""SourceTime: joins the states of mqtt_statestream with the times that it publishes after them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from examples.ingestor.event import Event

LONGEST_WAIT = 0.5
"""Seconds that a state waits for its time. Home Assistant waits for the broker's acknowledgement in between."""
MOST_LATE = 100
"""Times of an entity that are awaited further, although their states have been released."""
MOST_ENTITIES = 100_000
"""A limit of memory, in case topics contain random names."""
TOLERANCE = 20_000_000
"""Nanoseconds by which a state may arrive faster than the one that the clocks were compared with."""


class Release(Protocol):
    """Takes a state that no longer waits; its timestamp is its own if it is `timed`."""

    def __call__(self, event: Event, *, retained: bool) -> None:
        """Take it."""


@dataclass(slots=True)
class Held:
    """A state without its time; `retained` means that the broker had kept it. It is `late` if it no longer waits."""

    event: Event
    retained: bool
    deadline: float
    late: bool = False


class Clocks:
    """Compares Home Assistant's clock with ours on one connection, by the time that arrived fastest."""

    def __init__(self) -> None:
        self._least_age: float = float("inf")
        self._state_age = 0

    def compare(self, held: Held, moment: int, now: int) -> None:
        """Note that the time of a state has arrived `now`."""
        if now - moment < self._least_age:
            self._least_age = now - moment
            self._state_age = held.event.timestamp - moment

    def allow(self, held: Held, moment: int) -> bool:
        """Return whether a time can be that of a state: it is not later than the arrival."""
        return held.event.timestamp - moment >= self._state_age - TOLERANCE


class SourceTime:
    """Holds each state until `.../last_updated` follows, but not longer than `longest_wait` seconds.

    A state is held only once `last_updated` has been seen, because mqtt_statestream publishes it only with the option
    `publish_timestamps`. States of an entity are released in order, each with the first time that arrives after it. If
    the broker sends retained messages, the time may precede the state. The time of a state that could not wait for it
    must not become that of the next one, so it is awaited further. A time may be lost: the next one, which is later
    than the arrival of the state, belongs to one of the following states.
    """

    def __init__(
        self, release: Release, longest_wait: float = LONGEST_WAIT, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._release = release
        self._longest_wait = longest_wait
        self._clock = clock
        self._clocks = Clocks()
        self._published = False
        self._early: OrderedDict[str, int] = OrderedDict()
        self._undated: OrderedDict[str, deque[Held]] = OrderedDict()  # by entity
        self._order: deque[Held] = deque()
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
            self._undated.setdefault(event.entity_id, deque(maxlen=MOST_LATE)).append(held)
            if len(self._undated) > MOST_ENTITIES:
                self._undated.popitem(last=False)
            self._order.append(held)
            if self._timer is None:
                self._timer = loop.call_at(held.deadline, self._expire)

    def time(self, entity_id: str, moment: int, *, retained: bool) -> bool:
        """Give a time, in nanoseconds since 1970, to the state that waits for it.

        Return False if it belongs to the last state, which was released without it.
        """
        self._published = True
        undated = self._undated.get(entity_id)
        if not undated:
            if retained:
                self._early[entity_id] = moment
                if len(self._early) > MOST_ENTITIES:
                    self._early.popitem(last=False)
            return False
        if len(undated) == 1 and not retained:
            self._clocks.compare(undated[0], moment, self._clock())
        while len(undated) > 1 and not self._clocks.allow(undated[0], moment):
            self._release_late([undated.popleft()])
        held = undated.popleft()
        if not undated:
            del self._undated[entity_id]
        if held.late:
            return bool(undated)
        held.late = True
        self._release(replace(held.event, timestamp=moment, timed=True), retained=held.retained)
        return True

    def flush(self) -> None:
        """Release every held state without its time, when the connection ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._release_late(self._order)
        self._order.clear()
        self._undated.clear()
        self._early.clear()
        self._clocks = Clocks()

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while self._order and (self._order[0].late or self._order[0].deadline <= loop.time()):
            self._release_late([self._order.popleft()])
        self._timer = loop.call_at(self._order[0].deadline, self._expire) if self._order else None

    def _release_late(self, states: Iterable[Held]) -> None:
        """Release states without their times, if they still wait."""
        for held in states:
            if not held.late:
                held.late = True
                self._release(held.event, retained=held.retained)
