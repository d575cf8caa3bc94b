"""Entities: the domains of Home Assistant, and the forms of its domains and IDs."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

__all__ = ["COMPONENTS", "DOMAINS", "UNKNOWN", "Entity", "entity", "entity_of", "is_domain", "slug"]

COMPONENTS: Final = frozenset({
    "alarm_control_panel", "binary_sensor", "button", "camera", "climate", "cover", "date", "datetime",
    "device_tracker", "event", "fan", "humidifier", "image", "lawn_mower", "light", "lock", "notify", "number", "scene",
    "select", "sensor", "siren", "switch", "text", "time", "update", "vacuum", "valve", "water_heater",
})  # fmt: skip
"""The components of MQTT discovery that make entities."""

DOMAINS: Final = COMPONENTS | {
    "ai_task", "air_quality", "alert", "assist_satellite", "automation", "calendar", "conversation", "counter",
    "geo_location", "group", "image_processing", "input_boolean", "input_button", "input_datetime", "input_number",
    "input_select", "input_text", "media_player", "person", "plant", "proximity", "remote", "schedule", "script",
    "stt", "sun", "timer", "todo", "tts", "wake_word", "weather", "zone",
}  # fmt: skip
"""The domains of entities in Home Assistant itself."""

_WORD: Final = r"[a-z0-9]+(?:_+[a-z0-9]+)*"
_DOMAIN: Final = re.compile(r"(?=.{1,64}\Z)[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_OBJECT: Final = re.compile(rf"(?=.{{1,190}}\Z){_WORD}")


class Entity(NamedTuple):
    """The domain of a message, for example light, and the entity's ID, for example light.kitchen; None is unknown."""

    domain: str | None
    entity: str | None


UNKNOWN: Final = Entity(None, None)


def is_domain(text: str) -> bool:
    """Return whether a domain of Home Assistant may be written so."""
    return _DOMAIN.fullmatch(text) is not None


def entity(domain: str, name: str | None) -> Entity:
    """Return a domain with the ID of its entity of this name, if an ID may be written so."""
    has_id = name is not None and _OBJECT.fullmatch(name)
    return Entity(domain, f"{domain}.{name}" if has_id else None)


def entity_of(text: str) -> Entity | None:
    """Return the entity of an ID, or of a domain alone; None if the text is neither."""
    domain, dot, name = text.partition(".")
    found = entity(domain, name if dot else None)
    return found if is_domain(domain) and bool(dot) == (found.entity is not None) else None


def slug(name: str) -> str | None:
    """Return a name as Home Assistant writes it in an ID: `Küche 1` is kuche_1.

    None for a name with letters that only a table of transliterations could tell.
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    if not plain.isascii() or "&" in plain:  # "&amp;" stands for another character
        return None
    plain = re.sub(r"(?<=\d),(?=\d)", "", plain.lower())
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or None
