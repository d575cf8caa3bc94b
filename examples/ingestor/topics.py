"""MQTT topics and payloads of Home Assistant: states, attributes, announcements and other messages.

There are two layouts, which may share a prefix:

- mqtt_statestream: `<base>/<domain>/<object_id>/state`, and a topic for each attribute beside it. One state change
  publishes all of them, so only `.../state` is an event; the others count as received bytes, not as events.
- MQTT discovery: `<prefix>/<component>/[<node>/]<object>/state` with plain text or JSON, and `.../config`, which
  announces a device and is not an event.

An empty payload clears a retained message on the broker; it is not a state.
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
    """The kind of message on a topic. `entity_id` is set for a state; it is empty if the topic names no entity."""

    kind: Kind
    entity_id: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The topics of Home Assistant: the base topic of mqtt_statestream and the prefix of MQTT discovery."""

    base: str
    discovery: str

    @property
    def subscriptions(self) -> list[str]:
        """The topics to subscribe to. If one prefix contains the other, only the outer one.

        A broker may deliver a message once for each matching subscription.
        """
        prefixes = {self.base, self.discovery}
        inner = {a for a in prefixes for b in prefixes if a.startswith(f"{b}/")}
        return [f"{prefix}/#" for prefix in sorted(prefixes - inner)]

    def meaning(self, topic: str) -> Meaning:
        """Return the meaning of a topic."""
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
    """Return the entity's id in lower case, as Home Assistant forms it; empty if it would be invalid."""
    domain, object_id = domain.lower(), object_id.lower().replace("-", "_")
    return f"{domain}.{object_id}" if SLUG.fullmatch(domain) and SLUG.fullmatch(object_id) else ""


def parse(entity: str, payload: bytes) -> Event:
    """Return the event in a state message; raise InvalidEventError if the message is malformed.

    A JSON object has `state` (or `value`), and may have `attributes` and the time `last_updated` or `last_changed`. Any
    other text is the state itself; its timestamp is the time of arrival, because mqtt_statestream sends no time.
    """
    if not entity:
        raise InvalidEventError("the topic names no entity")
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"the payload is not UTF-8: {error.reason}") from None
    if not text.lstrip().startswith("{"):
        return Event("mqtt", entity, checked_state(text), time.time_ns())
    return _from_json(entity, text)


def _from_json(entity: str, text: str) -> Event:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"the payload is not valid JSON: {error}") from None
    state = checked_state(message.get("state", message.get("value")))
    attributes = message.get("attributes", {})
    if not isinstance(attributes, dict):
        raise InvalidEventError("attributes must be a JSON object")
    timestamp = nanoseconds(message.get("last_updated")) or nanoseconds(message.get("last_changed"))
    return Event("mqtt", entity, state, timestamp or time.time_ns(), attributes)
