"""Forms: topics that name a domain by themselves, as mqtt_statestream, ESPHome and Tasmota form them."""

from __future__ import annotations

from typing import Final

from otel_ha.instrumentation.topics.entities import COMPONENTS, DOMAINS, UNKNOWN, Entity, entity, is_domain

__all__ = ["HOME_ASSISTANT", "Forms"]

HOME_ASSISTANT: Final = "homeassistant"
"""The usual base of mqtt_statestream, and the default prefix of discovery."""
BASES: Final = frozenset({HOME_ASSISTANT, "hass", "mqtt_statestream", "statestream"})
"""Usual bases of mqtt_statestream; others prove themselves."""
PROOFS: Final = frozenset({"friendly_name", "last_changed", "last_updated"})
"""Topics below an entity's that mqtt_statestream publishes, and hardly anything else."""
MOST_BASES: Final = 16

ESPHOME: Final = COMPONENTS - {"camera", "device_tracker", "image", "notify", "scene", "siren", "vacuum"}
ESPHOME_NAMES: Final = {"text_sensor": "sensor"}
ESPHOME_PARTS: Final = {
    "climate": frozenset(
        {
            "action", "current_humidity", "current_temperature", "fan_mode", "mode", "preset", "swing_mode",
            "target_humidity", "target_temperature", "target_temperature_high", "target_temperature_low",
        }
    ),
    "cover": frozenset({"position", "tilt"}),
    "fan": frozenset({"direction", "oscillation", "speed", "speed_level"}),
    "valve": frozenset({"position"}),
}  # fmt: skip
"""Parts of an entity that have topics of their own, by component."""


class Forms:
    """Reads what the form of a topic says.

    `<base>/<domain>/<object>/<attribute>` of mqtt_statestream names an entity, if the base is a usual one or has shown
    that it is one. `<node>/<component>/<object>/state` of ESPHome names a domain, and so does `tele/<device>/SENSOR`
    of Tasmota.
    """

    def __init__(self) -> None:
        self.bases = BASES

    def read(self, topic: str) -> Entity:
        """Return the domain and the entity that the form of a topic names."""
        levels = topic.split("/")
        if (found := self._statestream(levels)) is not UNKNOWN:
            return found
        match levels:
            case ["homeassistant", domain, _, *_] if domain in COMPONENTS:
                return entity(domain, None)
            case [_, *_, component, _, "state" | "command"] if _esphome(component) in ESPHOME:
                return entity(_esphome(component), None)
            case [_, *_, component, _, part, "state" | "command"] if part in ESPHOME_PARTS.get(component, ()):
                return entity(component, None)
            case [*before, "SENSOR"] if "tele" in before:
                return entity("sensor", None)
        return UNKNOWN

    def _statestream(self, levels: list[str]) -> Entity:
        match levels:
            case [_, *_, domain, name, attribute]:
                base = "/".join(levels[:-3])
                if attribute in PROOFS and domain in DOMAINS and entity(domain, name).entity:
                    self._prove(base)
                if base in self.bases and (domain in DOMAINS or (base not in BASES and is_domain(domain))):
                    found = entity(domain, name)
                    return found if found.entity else UNKNOWN
        return UNKNOWN

    def _prove(self, base: str) -> None:
        if base not in self.bases and len(self.bases) < len(BASES) + MOST_BASES:
            self.bases |= {base}


def _esphome(component: str) -> str:
    return ESPHOME_NAMES.get(component, component)
