"""TextLabels: text for a store of numbers, as the label of a series with the value 1."""

from __future__ import annotations

import logging
from collections import defaultdict

logger = logging.getLogger(__name__)

OTHER = "_OTHER"


class TextLabels:
    """Knows the current label of each entity. It has the value 1, and the label that it replaces gets the value 0.

    Each label is a series of its own, so an entity has at most `budget` of them; later texts share the label _OTHER.
    After a restart the first text of an entity replaces none, because the label before the restart is unknown.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        self._current: dict[str, str] = {}

    def change(self, entity_id: str, text: str | None) -> dict[str, float]:
        """Return the value of each label that a new state concerns; `text` is None if the state is a number."""
        label = self._label(entity_id, text) if text else None
        replaced = self._current.pop(entity_id, None)
        values = {} if replaced in (None, label) else {replaced: 0.0}
        if label is not None:
            self._current[entity_id] = label
            values[label] = 1.0
        return values

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
