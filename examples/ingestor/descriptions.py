"""Descriptions: the attributes that tell entities apart in the store, known whichever source an event comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from examples.ingestor.event import Event

DESCRIBING: Final = ("unit_of_measurement", "friendly_name", "device_class")
"""Attributes that become tags, which belong to the identity of a series."""
REGISTERED: Final = ("friendly_name", "device_class")
"""Those that users can change in Home Assistant, so that a device's announcement may have another value."""
MOST_ENTITIES: Final = 100_000
"""A limit of memory, in case topics of MQTT contain random names."""


class Descriptions:
    """The describing attributes of each entity.

    Each event of the WebSocket API has all attributes. Over MQTT a state comes alone, and its attributes on topics of
    their own. One entity must be one series, so an event gets the attributes that any source has reported.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self.learned = asyncio.Event()
        """Set once a source has reported the attributes of all entities."""

    def describe(self, entity_id: str, attributes: Mapping[str, Any]) -> None:
        """Replace the description of an entity; `attributes` are all its attributes."""
        self._store(entity_id, {name: attributes.get(name) for name in DESCRIBING})

    def learn(self, entity_id: str, name: str, value: Any) -> None:
        """Replace one attribute of an entity, if it is a describing one; None removes it."""
        if name in DESCRIBING:
            self._store(entity_id, {**self._known.get(entity_id, {}), name: value})

    def _store(self, entity_id: str, description: Mapping[str, Any]) -> None:
        """Keep the values that can be tags."""
        if entity_id in self._known or len(self._known) < MOST_ENTITIES:
            self._known[entity_id] = {name: value for name, value in description.items() if is_text(value)}

    def complete(self, event: Event) -> Event:
        """Return the event with the describing attributes that it lacks, and with its registered name and class.

        The unit of an event is kept, because Home Assistant may convert: 70 °F must not become 70 °C.
        """
        changed = {
            name: value
            for name, value in self._known.get(event.entity_id, {}).items()
            if name in REGISTERED or name not in event.attributes
        }
        return replace(event, attributes={**event.attributes, **changed}) if changed else event


def is_text(value: Any) -> bool:
    """Return whether a value is text that can be encoded in UTF-8; JSON can contain half of a surrogate pair."""
    return isinstance(value, str) and value != "" and value.encode(errors="replace").decode() == value
