"""Topics: the domain and the entity of an MQTT message, where its topic or a discovery message tells them."""

from __future__ import annotations

import logging
from threading import RLock
from typing import Final, NamedTuple

from otel_ha.instrumentation.topic_forms import by_form

__all__ = ["UNKNOWN", "Entity", "TopicParser", "topic_parser"]

_logger = logging.getLogger("otel_ha")

LONGEST: Final = 512
"""Characters of the longest topic that is looked at."""
MOST: Final = 10_000
"""Topics whose answer is remembered."""


class Entity(NamedTuple):
    """The domain of a message, for example light, and the entity's ID, for example light.kitchen; None is unknown."""

    domain: str | None
    entity: str | None


UNKNOWN: Final = Entity(None, None)


class TopicParser:
    """Tells the domain and the entity of messages; it never raises, and its memory is bounded."""

    def __init__(self) -> None:
        self._answers: dict[str, Entity] = {}
        self._lock = RLock()

    def parse(self, topic: str, payload: bytes) -> Entity:  # noqa: ARG002 - to be used by discovery
        """Return the domain and the entity of a message."""
        try:
            return self._answers[topic]
        except KeyError:
            pass
        try:
            return self._first(topic)
        except Exception:
            _logger.debug("The topic of a message cannot be read", exc_info=True)
            return UNKNOWN

    def _first(self, topic: str) -> Entity:
        if len(topic) > LONGEST:
            return UNKNOWN
        answer = Entity(*by_form(topic))
        if len(self._answers) >= MOST:
            self._answers.clear()
        self._answers[topic] = answer
        return answer


_parser = TopicParser()


def topic_parser() -> TopicParser:
    """Return the parser of this process."""
    return _parser
