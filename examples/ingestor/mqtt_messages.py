"""Messages: takes the messages of an MQTT broker, and puts their events into the intake."""

from __future__ import annotations

import json

from examples.ingestor import counted
from examples.ingestor.discovery import Discovery
from examples.ingestor.event import Event, InvalidEventError, nanoseconds
from examples.ingestor.intake import Intake
from examples.ingestor.last_seen import LastSeen
from examples.ingestor.payloads import from_json, from_text
from examples.ingestor.source_time import SourceTime
from examples.ingestor.topics import Layout, Meaning, entity_id
from examples.ingestor.value_template import MissingValueError
from otel_ha.vocabulary import ingest

LONGEST_COUNT = 18
"""Digits of the broker's number of dropped messages."""


class Messages:
    """Puts live states into the intake, and retained ones that are news after a reconnect; discards the others.

    A broker sends retained messages when a client subscribes. On the first connection they are history, except for
    entities that are announced meanwhile. After a reconnect they have the changes that were missed.
    """

    def __init__(self, layout: Layout, intake: Intake) -> None:
        self.discovery = Discovery(layout.discovery)
        self._layout = layout
        self._intake = intake
        self._seen = LastSeen()
        self._times = SourceTime(self._release)
        self._listened = False
        self._reconnected = False
        self._dropped: int | None = None

    def subscribed(self) -> None:
        """Note that the broker sends its messages; the retained messages of the next connection may be news."""
        self._listened = True

    def disconnected(self) -> None:
        """Release the states that wait for their times."""
        self._times.flush()
        self._reconnected = self._listened

    def take(self, topic: str, payload: bytes, *, retained: bool) -> str:
        """Take a message; return its kind for the metrics."""
        if self.discovery.knows(topic):
            events = self.discovery.events(topic, payload)
            for event in events:
                self._announced(event, retained=retained, new=self.discovery.is_new(topic))
            return "state" if events else "availability"
        meaning = self._layout.meaning(topic)
        match meaning.kind:
            case "state":
                self._state(meaning, payload, retained=retained)
            case "last_updated":
                self._time(meaning.entity_id, payload, retained=retained)
            case "attribute":
                self._attribute(topic, payload)
            case "config":
                self.discovery.announce(topic, payload, retained=retained)
            case "broker":
                self._count_dropped(payload)
        return meaning.kind

    def refuse(self, *, retained: bool = False) -> None:
        """Count a message that is not a valid event."""
        self._intake.refuse("mqtt", "retained" if retained else "invalid")

    def _state(self, meaning: Meaning, payload: bytes, *, retained: bool) -> None:
        try:
            event = (from_json if meaning.json else from_text)(meaning.entity_id, payload)
        except InvalidEventError:
            self.refuse(retained=retained)
            return
        self._intake.receive("mqtt")
        if meaning.json:
            self._release(event, retained=retained)
        else:
            self._times.state(event, retained=retained)

    def _time(self, entity_id: str, payload: bytes, *, retained: bool) -> None:
        moment = nanoseconds(payload.decode(errors="replace"))
        if moment and not self._times.time(entity_id, moment, retained=retained):
            self._seen.date(entity_id, moment)

    def _attribute(self, topic: str, payload: bytes) -> None:
        """Learn an attribute of mqtt_statestream: JSON or, from other programs, text."""
        domain, object_id, name = topic.split("/")[-3:]
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            value = payload.decode(errors="replace")
        self._intake.descriptions.learn(entity_id(domain, object_id), name, value)

    def _announced(self, event: Event | InvalidEventError, *, retained: bool, new: bool) -> None:
        if isinstance(event, MissingValueError):
            self._intake.refuse("mqtt", "filtered")
        elif isinstance(event, InvalidEventError):
            self.refuse(retained=retained)
        else:
            self._intake.receive("mqtt")
            self._release(event, retained=retained, new=new)

    def _release(self, event: Event, *, retained: bool, new: bool = False) -> None:
        """Queue a received event, or discard it as history. The first state of a `new` entity is none."""
        news = self._seen.is_news(event)
        if news or not retained:
            self._seen.note(event)
        if retained and not (news and (new or self._reconnected)):
            self._intake.discard("mqtt", "retained")
            return
        if retained:
            counted.resynchronized("mqtt").add(1)
        self._intake.queue(event)

    def _count_dropped(self, payload: bytes) -> None:
        """Count the growth of the broker's number of dropped messages, which restarts at 0 with the broker."""
        if not payload.isdigit() or len(payload) > LONGEST_COUNT:
            return
        total, last = int(payload), self._dropped
        self._dropped = total
        ingest.BROKER_DROPPED.add(0 if last is None else total - last if total >= last else total, source="mqtt")
