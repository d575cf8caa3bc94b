"""LastSeen: the last state of each entity, to find the states that changed while a connection was down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from examples.ingestor.event import Event

MOST_ENTITIES = 100_000


@dataclass(frozen=True, slots=True)
class _State:
    """All that is remembered of an event; `moment` is the source's own time, in nanoseconds since 1970."""

    state: str
    fields: Mapping[str, str | float]
    attributes: Mapping[str, Any]
    moment: int | None


class LastSeen:
    """Remembers the last state of each entity; the entities that were seen least recently are forgotten first."""

    def __init__(self, most: int = MOST_ENTITIES) -> None:
        self._most = most
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._complete = False

    def note(self, event: Event) -> None:
        """Remember the state in an event as the last one of its entity."""
        self._states[event.entity_id] = _State(
            event.state, event.fields, event.attributes, event.timestamp if event.timed else None
        )
        self._states.move_to_end(event.entity_id)
        if len(self._states) > self._most:
            self._states.popitem(last=False)

    def date(self, entity_id: str, moment: int) -> None:
        """Give the last state of an entity the source's own time, which arrived later."""
        if (last := self._states.get(entity_id)) is not None:
            self._states[entity_id] = replace(last, moment=moment)

    def is_news(self, event: Event) -> bool:
        """Return whether an event is newer than the last one of its entity.

        If the times of both are the source's own, they decide; otherwise an event that differs is newer.
        """
        last = self._states.get(event.entity_id)
        if last is None:
            return True
        if event.timed and last.moment is not None and event.timestamp != last.moment:
            return event.timestamp > last.moment
        return (event.state, event.fields, event.attributes) != (last.state, last.fields, last.attributes)

    def missed(self, states: Sequence[Event]) -> list[Event]:
        """Return those of all current states that are news, and remember all of them.

        The first time, entities that were not seen yet are history. Later, they have appeared in the meantime.
        """
        known = [state for state in states if self._complete or state.entity_id in self._states]
        missed = [state for state in known if self.is_news(state)]
        self._states.clear()  # entities that do not exist any longer are forgotten
        for state in states:
            self.note(state)
        self._complete = True
        return missed
