"""TextLabels: text for a store of numbers, as the label of a series with the value 1."""

from __future__ import annotations

import logging
from collections import defaultdict

logger = logging.getLogger(__name__)

OTHER = "_OTHER"
MOST_ENTITIES = 100_000
"""A limit of memory, in case topics of MQTT contain random names."""


class TextLabels:
    """Knows the current text of each entity. Its series has the value 1, and the series that it replaces gets 0.

    Each text is a series of its own, so an entity has at most `budget` of them; later texts share the label _OTHER.
    After a restart the first text of an entity replaces none, because the label before the restart is unknown. Entities
    beyond MOST_ENTITIES have no labels.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        self._current: dict[str, dict[str, str]] = {}
        self._full = False

    def change(self, entity_id: str, text: str | None, tags: dict[str, str]) -> list[tuple[dict[str, str], float]]:
        """Return the tags and the value of each series that a new state changes; `text` is None for a number."""
        if text and self._is_full(entity_id):
            return []
        series = tags | {"state": self._label(entity_id, text)} if text else None
        replaced = self._current.pop(entity_id, None)
        changed = [] if replaced in (None, series) else [(replaced, 0.0)]
        if series is not None:
            self._current[entity_id] = series
            changed.append((series, 1.0))
        return changed

    def _is_full(self, entity_id: str) -> bool:
        """Return whether there is no room for a new entity; log it once."""
        if entity_id in self._known or len(self._known) < MOST_ENTITIES:
            return False
        if not self._full:
            logger.warning(
                "%s and further entities have no labels, because %d have; --exclude leaves entities out",
                entity_id,
                MOST_ENTITIES,
            )
        self._full = True
        return True

    def _label(self, entity_id: str, text: str) -> str:
        known = self._known[entity_id]
        if text in known:
            return text
        if len(known) < self._budget:
            known.add(text)
            return text
        if OTHER not in known:
            known.add(OTHER)
            logger.warning(
                "%s has more than %d texts; later ones become the label %s. --text-labels sets the number, and "
                "--exclude leaves the entity out",
                entity_id,
                self._budget,
                OTHER,
            )
        return OTHER
