"""Deduplicator: finds events that repeat a state of their entity, from the same source or from another one."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from examples.ingestor.event import Event

ACROSS = 30.0
"""Seconds in which another source may repeat a state; a broker may be slow. Each state is repeated once by a source."""
MOST_RECENT = 64
"""States of an entity that are compared: one source may be some states ahead of the other."""
MOST_DATED = 20_000
"""States that are compared by Home Assistant's own time, of all entities."""
MOST_ENTITIES = 100_000
"""Entities whose last state is remembered for another source that was away."""


@dataclass(slots=True)
class _Kept:
    """A state that was kept; `dated` means that it has Home Assistant's own time.

    `contents` has a hash of state and attributes for each source that has reported it.
    """

    state: str
    dated: bool
    bare: bool
    since: float
    contents: dict[str, int]


def no_attributes(_: str) -> Iterable[str]:
    """Return the names of the attributes that are written, if there are none."""
    return ()


class Deduplicator:
    """Finds events that repeat a state. A source may repeat itself after `window` seconds; with 0, always.

    Within a source, an event is a repetition if it has the last state and the same fields and attributes. Only the last
    state counts: on, off, on are three events. The window starts at the first of the repeated events, so an entity that
    always repeats itself still gets one point per window. Entities without new events are forgotten.

    Two sources of one home report each state twice; the first report is kept. If both reports have Home Assistant's own
    time, it decides. Otherwise the second one must follow within the window or ACROSS seconds, whichever is longer, or
    repeat the entity's last state: a source that was away reports that one once it is back, however late. Attributes
    are not compared, because MQTT sends them apart; but a report with attributes that are `written` does not repeat one
    without them.
    """

    def __init__(self, window: float, written: Callable[[str], Iterable[str]] = no_attributes) -> None:
        """Take the function that returns the names of the attributes that are written for an entity."""
        self._window = window
        self._written = written
        self._sources: set[str] = set()
        self._recent: OrderedDict[str, deque[_Kept]] = OrderedDict()
        self._last: OrderedDict[str, _Kept] = OrderedDict()
        self._dated: OrderedDict[tuple[str, int], _Kept] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of entities with recent states."""
        return len(self._recent)

    def is_duplicate(self, event: Event, now: float) -> bool:
        """Return whether `event` is a repetition at the time `now`, in seconds of a monotonic clock."""
        self._sources.add(event.source)
        recent = self._remembered(event.entity_id, now)
        content = hash((event.state, json.dumps((event.attributes, event.fields), sort_keys=True, default=str)))
        if (same := self._from_another_source(event, recent)) is not None:
            same.contents[event.source] = content
            return True
        if self._repeats_itself(event, content, recent, now):
            return True
        self._keep(event, _Kept(event.state, event.dated, self._is_bare(event), now, {event.source: content}))
        return False

    def _remembered(self, entity_id: str, now: float) -> Sequence[_Kept]:
        """Forget what is too old; return the states of an entity that are left, oldest first."""
        horizon = self._window if len(self._sources) == 1 else max(self._window, ACROSS)
        while self._recent:
            oldest, kept = next(iter(self._recent.items()))
            if now - kept[-1].since <= horizon:
                break
            del self._recent[oldest]
        recent = self._recent.get(entity_id)
        while recent and now - recent[0].since > horizon:
            recent.popleft()
        return recent or ()

    def _repeats_itself(self, event: Event, content: int, recent: Sequence[_Kept], now: float) -> bool:
        """Return whether the last state that the event's own source has reported within the window is the same."""
        if self._window <= 0:
            return False
        own = (kept for kept in reversed(recent) if event.source in kept.contents)
        last = next(own, None)
        return last is not None and now - last.since <= self._window and last.contents[event.source] == content

    def _from_another_source(self, event: Event, recent: Sequence[_Kept]) -> _Kept | None:
        """Return the oldest state that other sources have reported and this event repeats."""
        if len(self._sources) == 1:
            return None
        if not recent and (last := self._last.get(event.entity_id)) is not None:
            recent = (last,)
        candidates = [kept for kept in recent if not (kept.dated and event.dated)]
        if event.dated and (at_the_time := self._dated.get((event.entity_id, event.timestamp))) is not None:
            candidates.insert(0, at_the_time)
        bare = self._is_bare(event)
        for kept in candidates:
            if kept.state == event.state and event.source not in kept.contents and (bare or not kept.bare):
                return kept
        return None

    def _is_bare(self, event: Event) -> bool:
        """Return whether an event has nothing to write but its state."""
        return not event.fields and not any(name in event.attributes for name in self._written(event.entity_id))

    def _keep(self, event: Event, new: _Kept) -> None:
        if event.entity_id not in self._recent:
            self._recent[event.entity_id] = deque(maxlen=MOST_RECENT)
        self._recent[event.entity_id].append(new)
        self._recent.move_to_end(event.entity_id)
        self._last[event.entity_id] = new
        self._last.move_to_end(event.entity_id)
        if len(self._last) > MOST_ENTITIES:
            self._last.popitem(last=False)
        if event.dated:
            self._dated[event.entity_id, event.timestamp] = new
            if len(self._dated) > MOST_DATED:
                self._dated.popitem(last=False)
