"""Deduplicator: finds events that repeat the last state of their entity."""

from __future__ import annotations

import json
from collections import OrderedDict

from examples.ingestor.event import Event


class Deduplicator:
    """Finds events that repeat an entity's last state and attributes within `window` seconds; 0 finds none.

    Only the last state counts: on, off, on are three events. The window starts at the first of the repeated events, so
    an entity that always repeats itself still gets one point per window. Entities without new events are forgotten.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._last: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of entities in memory."""
        return len(self._last)

    def is_duplicate(self, event: Event, now: float) -> bool:
        """Return whether `event` is a repetition at the time `now`, in seconds of a monotonic clock."""
        if self._window <= 0:
            return False
        self._forget(now)
        content = hash((event.state, json.dumps(event.attributes, sort_keys=True, default=str)))
        if (last := self._last.get(event.entity_id)) is not None and last[1] == content:
            return True
        self._last[event.entity_id] = (now, content)
        self._last.move_to_end(event.entity_id)
        return False

    def _forget(self, now: float) -> None:
        while self._last:
            entity_id, (since, _) = next(iter(self._last.items()))
            if now - since <= self._window:
                return
            del self._last[entity_id]
