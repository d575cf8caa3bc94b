"""What an MQTT message from Home Assistant is: a state, an attribute, an announcement, or none of our business.

Two layouts are known, and may share one prefix:

- mqtt_statestream: `<base>/<domain>/<object_id>/state`, and beside it one topic for each attribute. One state change
  publishes all of them, so only `.../state` is an event; the others add to the bytes received, not to the events.
- discovery: `<prefix>/<component>/[<node>/]<object>/state` with plain text or JSON, and `.../config`, with which a
  device announces itself: no event either.

An empty payload takes a retained message out of the broker; it is no state.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Literal

from examples.ingestor.event import Event, InvalidEventError, checked_state, nanoseconds

Kind = Literal["state", "attribute", "config", "other"]

SLUG = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a topic says: the kind of message and, for a state, whose it is (empty if that is no entity's id)."""

    kind: Kind
    entity_id: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where Home Assistant publishes: the statestream's base topic and the discovery prefix."""

    base: str
    discovery: str

    @property
    def subscriptions(self) -> list[str]:
        """The topics to subscribe to; where one prefix is within the other, only the outer one.

        A broker may deliver a message once for each subscription that it matches.
        """
        prefixes = {self.base, self.discovery}
        inner = {a for a in prefixes for b in prefixes if a.startswith(f"{b}/")}
        return [f"{prefix}/#" for prefix in sorted(prefixes - inner)]

    def meaning(self, topic: str) -> Meaning:
        """Return what a topic says."""
        for prefix in sorted({self.base, self.discovery}, key=len, reverse=True):
            if topic.startswith(f"{prefix}/"):
                return self._within(prefix, topic[len(prefix) + 1 :].split("/"))
        return Meaning("other")

    def _within(self, prefix: str, levels: list[str]) -> Meaning:
        match levels:
            case [domain, object_id, "state"]:
                return Meaning("state", entity_id(domain, object_id))
            case [_, _, "config"] | [_, _, _, "config"] if prefix == self.discovery:
                return Meaning("config")
            case [domain, node, object_id, "state"] if prefix == self.discovery:
                return Meaning("state", entity_id(domain, f"{node}_{object_id}"))
            case [_, _, _] if prefix == self.base:
                return Meaning("attribute")
            case _:
                return Meaning("other")


def entity_id(domain: str, object_id: str) -> str:
    """Return the entity's id, in lower case as Home Assistant makes it; empty if no entity can be called that."""
    domain, object_id = domain.lower(), object_id.lower().replace("-", "_")
    return f"{domain}.{object_id}" if SLUG.fullmatch(domain) and SLUG.fullmatch(object_id) else ""


def parse(entity: str, payload: bytes) -> Event:
    """Return the event in a state message; raise InvalidEventError if there is none.

    JSON may hold `state` (or `value`), `attributes` and the time `last_updated` or `last_changed`; other text is the
    state itself, and its timestamp is the time of arrival, as mqtt_statestream sends none with the state.
    """
    if not entity:
        raise InvalidEventError("the topic names no entity")
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"no UTF-8: {error.reason}") from None
    if not text.lstrip().startswith("{"):
        return Event("mqtt", entity, checked_state(text), time.time_ns())
    return _from_json(entity, text)


def _from_json(entity: str, text: str) -> Event:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"no JSON: {error}") from None
    state = checked_state(message.get("state", message.get("value")))
    attributes = message.get("attributes", {})
    if not isinstance(attributes, dict):
        raise InvalidEventError("attributes are no JSON object")
    timestamp = nanoseconds(message.get("last_updated")) or nanoseconds(message.get("last_changed"))
    return Event("mqtt", entity, state, timestamp or time.time_ns(), attributes)
