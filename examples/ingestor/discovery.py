"""Discovery: the entities that devices announce by MQTT discovery, and the events in their messages.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery defines the announcements. Supported: state topics,
templates that read one value, the JSON schema of lights and vacuums, abbreviations, `~`, device payloads, and
availability. Entities without a state topic, such as buttons, are left out.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Sized
from dataclasses import replace

from examples.ingestor.announcement import Announced, Availability, announced
from examples.ingestor.event import Event, InvalidEventError, checked_state
from examples.ingestor.payloads import json_of, time_of
from examples.ingestor.topics import below
from examples.ingestor.value_template import MissingValueError
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)

UNAVAILABLE = "unavailable"
MOST_ENTITIES = 100_000
"""A limit of memory, for entities and for announcements."""


class Discovery:
    """Keeps the announced entities and whether they are available, and turns messages into events.

    `changed` is true after an announcement, until the user of `topics` resets it.

    An entity is available until its availability topic says otherwise. An entity that becomes unavailable has an event
    with the state `unavailable`; one that becomes available again has an event with its last state.
    """

    def __init__(self, prefix: str) -> None:
        self.changed = False
        self._prefix = prefix
        self._payloads: dict[str, bytes] = {}
        self._entities: dict[str, dict[str, Announced]] = {}  # by the topic of the announcement, and by entity
        self._by_topic: dict[str, dict[str, Announced]] = {}  # by the topics of states and availability
        self._owners: dict[str, str] = {}
        self._available: dict[Availability, tuple[int, bool]] = {}
        self._states: dict[str, Event] = {}
        self._number = itertools.count()
        self._new: set[str] = set()  # topics of announcements that were not retained
        self._is_full = False

    @property
    def topics(self) -> frozenset[str]:
        """The topics of states and availability."""
        return frozenset(self._by_topic)

    def knows(self, topic: str) -> bool:
        """Return whether an announced entity has its state or its availability on a topic."""
        return topic in self._by_topic

    def is_new(self, topic: str) -> bool:
        """Return whether an entity with this topic was announced while we were connected."""
        return any(entity.announced_on in self._new for entity in self._by_topic[topic].values())

    def announce(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Take an announcement on the topic `.../config`; an empty one removes the entities."""
        if payload == self._payloads.get(topic, b""):
            return
        before = self._remove(topic)
        self.changed = True
        if payload and self._has_room(self._payloads):
            self._payloads[topic] = payload
            if not retained:
                self._new.add(topic)
            self._follow(topic, payload)
        self._forget_availability(before)

    def _follow(self, topic: str, payload: bytes) -> None:
        """Add the entities of an announcement, and report its problems."""
        try:
            entities, problems = announced(below(self._prefix, topic), payload)
        except InvalidEventError as error:
            entities, problems = [], [str(error)]
        for entity in entities:
            if self._has_room(self._owners):
                self._add(topic, replace(entity, announced_on=topic))
        for problem in problems:
            ingest.ERRORS.add(1, component="mqtt", error_type="announcement", severity="warning")
            logger.warning("mqtt: in the announcement on %s: %s", topic, problem)

    def events(self, topic: str, payload: bytes) -> list[Event | InvalidEventError]:
        """Return the events in a message on a known topic, with an error in place of each malformed one.

        A message without a value for any entity is one MissingValueError. A message about an availability that does not
        change has no events.
        """
        events: list[Event | InvalidEventError] = [*self._changes_of_availability(topic, payload)]
        missing: MissingValueError | None = None
        for entity in self._by_topic[topic].values():
            if entity.state_topic != topic:
                continue
            try:
                events.append(self._state(entity, payload))
            except MissingValueError as error:
                missing = error
            except InvalidEventError as error:
                events.append(error)
        return events if events or missing is None else [missing]

    def _state(self, entity: Announced, payload: bytes) -> Event:
        # An empty payload clears the state, whatever the template.
        state = checked_state(entity.state(payload)) if payload else ""
        timestamp = time_of(json_of(payload)) if payload and entity.template and entity.template.json else None
        attributes = {**entity.values(payload), **entity.attributes}
        moment, timed = timestamp or time.time_ns(), bool(timestamp)
        event = Event("mqtt", entity.entity_id, state, moment, attributes, timed=timed, device_time=timed)
        self._states[entity.entity_id] = event
        return event if self._is_available(entity) else replace(event, state=UNAVAILABLE)

    def _changes_of_availability(self, topic: str, payload: bytes) -> list[Event]:
        entities = [each for each in self._by_topic[topic].values() if topic in each.availability_topics]
        before = [self._is_available(entity) for entity in entities]
        for availability in {each for entity in entities for each in entity.availability if each.topic == topic}:
            available = availability.says(payload)
            if available is not None:
                self._available[availability] = (next(self._number), available)
        changed = [entity for entity, was in zip(entities, before, strict=True) if self._is_available(entity) != was]
        return [event for entity in changed if (event := self._now(entity)) is not None]

    def _now(self, entity: Announced) -> Event | None:
        """Return the event of an entity whose availability has changed; None if its state is not known yet."""
        now = time.time_ns()
        if not self._is_available(entity):
            return Event("mqtt", entity.entity_id, UNAVAILABLE, now, entity.attributes)
        last = self._states.get(entity.entity_id)
        return None if last is None else replace(last, timestamp=now, timed=False)

    def _is_available(self, entity: Announced) -> bool:
        said = [self._available[each] for each in entity.availability if each in self._available]
        if not said:
            return True
        if entity.availability_mode == "latest":
            return max(said)[1]
        return (all if entity.availability_mode == "all" else any)(available for _, available in said)

    def _add(self, topic: str, entity: Announced) -> None:
        if self._owners.setdefault(entity.entity_id, topic) != topic or entity.entity_id in self._entities.get(
            topic, {}
        ):
            # Home Assistant would append a number, which depends on the order of the announcements.
            entity = replace(entity, entity_id=entity.fallback_id)
            self._owners.setdefault(entity.entity_id, topic)
        self._entities.setdefault(topic, {})[entity.entity_id] = entity
        for each in (entity.state_topic, *entity.availability_topics):
            self._by_topic.setdefault(each, {})[entity.entity_id] = entity

    def _has_room(self, known: Sized) -> bool:
        """Return whether memory may grow; warn the first time that it may not."""
        if len(known) < MOST_ENTITIES:
            return True
        ingest.ERRORS.add(1, component="mqtt", error_type="announcement", severity="warning")
        if not self._is_full:
            logger.warning("mqtt: %d entities are announced; further ones are not followed", MOST_ENTITIES)
        self._is_full = True
        return False

    def _forget_availability(self, entities: Iterable[Announced]) -> None:
        """Forget what was said about the availability of entities, unless others share it or a new announcement."""
        for each in {availability for entity in entities for availability in entity.availability}:
            if not any(each in other.availability for other in self._by_topic.get(each.topic, {}).values()):
                self._available.pop(each, None)

    def _remove(self, topic: str) -> list[Announced]:
        """Remove an announcement, and return its entities."""
        self._payloads.pop(topic, None)
        self._new.discard(topic)
        removed = list(self._entities.pop(topic, {}).values())
        for entity in removed:
            if self._owners.get(entity.entity_id) == topic:
                del self._owners[entity.entity_id]
            self._states.pop(entity.entity_id, None)
            for each in (entity.state_topic, *entity.availability_topics):
                entities = self._by_topic.get(each, {})
                entities.pop(entity.entity_id, None)
                if not entities:
                    self._by_topic.pop(each, None)
        return removed
