"""Topics: the domain and the entity of an MQTT message, where its topic, an announcement or a function tells them."""

from __future__ import annotations

import logging
import os
from functools import cache, partial
from typing import Final

from otel_ha.instrumentation.topics.announcements import LONGEST, is_announcement
from otel_ha.instrumentation.topics.entities import COMPONENTS, UNKNOWN, Entity, entity
from otel_ha.instrumentation.topics.forms import HOME_ASSISTANT, Forms
from otel_ha.instrumentation.topics.learned import Learned
from otel_ha.instrumentation.topics.own import OwnParser, Parse
from otel_ha.telemetry import present_telemetry, when_started
from otel_ha.turn import PATIENCE, Turn

__all__ = ["UNKNOWN", "Entity", "TopicParser", "topic_parser"]

_logger = logging.getLogger("otel_ha")

MOST: Final = 10_000
"""Topics whose answer is remembered."""


class TopicParser:
    """Tells the domain and the entity of messages. It never raises, and its memory is bounded.

    A function of the user's comes first, then the announcements that were received, then the form of the topic.
    """

    def __init__(self) -> None:
        self._own: OwnParser | None = None
        self._is_needed = False
        self._forms = Forms()
        self._learned = Learned()
        self._answers: dict[str, Entity] = {}
        self.renew()

    def parse(self, topic: str, payload: bytes) -> Entity:
        """Return the domain and the entity of a message; UNKNOWN where nothing tells them."""
        try:
            if self._own is not None and (found := self._own.entity(topic, payload)) is not None:
                return found
            return self._answers.get(topic) or self._read(topic, payload)
        except Exception:  # a callback of the program is about to be called
            _logger.debug("The entity of a message cannot be told", exc_info=True)
            return UNKNOWN

    def use(self, parse: Parse) -> None:
        """Ask a function of the user's first, whatever the settings say."""
        self._own = OwnParser(parse)

    def use_no_longer(self) -> None:
        """Ask the function that was given to use() no longer; the settings say which one is asked."""
        if self._own is not None and self._own.setting is None:
            self._own = None
            _follow_settings(self)

    def follow(self, setting: str | None) -> None:
        """Ask the function that a setting names as `module:function`, unless one was given by use()."""
        now = self._own
        if now is None or now.setting not in {None, setting}:
            self._own = None if setting is None else OwnParser(setting)
            self._load()

    def prepare(self) -> None:
        """Load the user's function: the program has imported a library that receives messages.

        Not before that: `opentelemetry-instrument` starts before the program's folder is found.
        """
        self._is_needed = True
        self._load()

    def renew(self) -> None:
        """Let a forked child go on, in which the thread that has the turn does not exist."""
        self._turn = Turn()

    def _load(self) -> None:
        if self._is_needed and self._own is not None:
            self._own.load()

    def _read(self, topic: str, payload: bytes) -> Entity:
        if len(topic) > LONGEST:
            return UNKNOWN
        with self._turn.taken(PATIENCE) as is_mine:
            if not is_mine:  # a handler of a signal interrupts this thread here
                return UNKNOWN
            return self._announcement(topic, payload) if is_announcement(topic) else self._answer(topic)

    def _announcement(self, topic: str, payload: bytes) -> Entity:
        try:
            for each in self._learned.take(topic, payload):
                self._answers.pop(each, None)
        except (ValueError, RecursionError):  # it is no JSON, or too deep
            pass
        prefix, component, *_ = topic.split("/")
        by_form = entity(component, None) if prefix == HOME_ASSISTANT and component in COMPONENTS else UNKNOWN
        return self._learned.announced_by(topic) or by_form

    def _answer(self, topic: str) -> Entity:
        bases = self._forms.bases
        found = self._learned.entity(topic) or self._forms.read(topic)
        if self._forms.bases is not bases or len(self._answers) >= MOST:
            self._answers.clear()
        self._answers[topic] = found
        return found


@cache
def topic_parser() -> TopicParser:
    """Return the parser of this process."""
    parser = TopicParser()
    os.register_at_fork(after_in_child=parser.renew)
    follow = partial(_follow_settings, parser)
    when_started(follow, lambda: follow)
    return parser


def _follow_settings(parser: TopicParser) -> None:
    if (telemetry := present_telemetry()) is not None:
        parser.follow(telemetry.config.topic_parser)
