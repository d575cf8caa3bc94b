"""Learned: the topics that announcements give to entities, as long as these stand."""

from __future__ import annotations

import logging
from typing import Final

from otel_ha.instrumentation.topics.announcements import Announced, announced
from otel_ha.instrumentation.topics.entities import UNKNOWN, Entity

__all__ = ["Learned"]

_logger = logging.getLogger("otel_ha")

MOST: Final = 20_000
"""Announcements and topics in them that are remembered, together: those of about 2,000 devices."""


class Learned:
    """Remembers announcements; an empty message on the same topic withdraws one, and another replaces it."""

    def __init__(self) -> None:
        self._announcements: dict[str, tuple[int, list[Announced]]] = {}
        self._by_topic: dict[str, dict[str, list[Announced]]] = {}
        self._size = 0
        self._is_full = False

    def take(self, topic: str, payload: bytes) -> set[str]:
        """Take an announcement, and return the topics of which something else is true now.

        Raises an exception for a malformed one, which changes nothing.
        """
        mark = hash(payload)
        if topic in self._announcements and self._announcements[topic][0] == mark:
            return set()
        found = announced(topic, payload) if payload else []
        changed = self._forget(topic)
        if payload and self._has_room(1 + len(found)):
            self._announcements[topic] = (mark, found)
            for each in found:
                self._by_topic.setdefault(each.topic, {}).setdefault(topic, []).append(each)
        return changed | {each.topic for each in found}

    def entity(self, topic: str) -> Entity | None:
        """Return the entity that has a topic; None if no announcement has it."""
        by = self._by_topic.get(topic)
        return None if by is None else _common([each for found in by.values() for each in found])

    def announced_by(self, topic: str) -> Entity | None:
        """Return the entity of an announcement; None if it announces no topics."""
        _, found = self._announcements.get(topic, (0, []))
        return _common(found) if found else None

    def _forget(self, topic: str) -> set[str]:
        _, before = self._announcements.pop(topic, (0, None))
        if before is None:
            return set()
        self._size -= 1 + len(before)
        for each in before:
            by = self._by_topic.get(each.topic, {})
            by.pop(topic, None)
            if not by:
                self._by_topic.pop(each.topic, None)
        return {each.topic for each in before}

    def _has_room(self, more: int) -> bool:
        if self._size + more <= MOST:
            self._size += more
            return True
        if not self._is_full:
            _logger.warning("%d topics are announced on MQTT; the entities of further ones are not told", MOST)
        self._is_full = True
        return False


def _common(found: list[Announced]) -> Entity:
    """Return the domain and the entity on which all agree; diagnostics and settings of a device count only alone."""
    entities = {each.entity for each in found if each.is_main} or {each.entity for each in found}
    if len(entities) == 1:
        return entities.pop()
    domains = {each.domain for each in entities}
    return Entity(domains.pop(), None) if len(domains) == 1 else UNKNOWN
