"""Announcements: the topics that a discovery message of Home Assistant or Tasmota gives to its entities.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery defines the first. Zigbee2MQTT, ESPHome and many others
send them; Tasmota has a form of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from otel_ha.instrumentation.topics.entities import COMPONENTS, Entity, entity, slug

__all__ = ["ABBREVIATIONS", "Announced", "announced", "is_announcement", "with_base"]

ABBREVIATIONS: Final = {
    "avty_t": "availability_topic",
    "cmps": "components",
    "def_ent_id": "default_entity_id",
    "dev": "device",
    "ent_cat": "entity_category",
    "obj_id": "object_id",
    "p": "platform",
}
"""The abbreviations, as Home Assistant defines them, of the keys that tell an entity. Those of all topics end in _t."""

LARGEST: Final = 1_000_000
"""Bytes of the largest message that is read: a device with hundreds of entities."""
LONGEST: Final = 512
"""Characters of the longest topic that is learned."""
MOST: Final = 1_000
"""Topics that are learned of one message."""

_PARTS: Final = {"platform", "components"}
_TASMOTA_KINDS: Final = {1: "switch", 2: "light", 3: "cover"}


class Announced(NamedTuple):
    """A topic with the entity that uses it; `is_main` is False for a diagnostic or a setting of a device."""

    topic: str
    entity: Entity
    is_main: bool = True


def is_announcement(topic: str) -> bool:
    """Return whether a topic has the form of discovery: `<prefix>/<component>/[<node>/]<object>/config`."""
    if not topic.endswith("/config"):
        return False
    match topic.split("/"):
        case [_, component, _, _] | [_, component, _, _, _]:
            return component in COMPONENTS or component in {"device", "discovery"}
    return False


def announced(topic: str, payload: bytes) -> list[Announced]:
    """Return the topics in an announcement; none if the message is something else."""
    if len(payload) > LARGEST:
        return []
    config = json.loads(payload)
    if not isinstance(config, dict):
        return []
    component = topic.split("/")[1]
    if component == "discovery":
        found = _of_tasmota(config) if topic.startswith("tasmota/") else iter(())
    else:
        found = _of_home_assistant(component, _full(config))
    return [each for _, each in zip(range(MOST), found, strict=False)]


def with_base(topic: str, base: object) -> str:
    """Return a topic in which `~` at either end stands for the base topic of the announcement."""
    if isinstance(base, str):
        if topic.startswith("~"):
            topic = base + topic[1:]
        if topic.endswith("~"):
            topic = topic[:-1] + base
    return topic


def _of_home_assistant(component: str, config: dict[str, Any]) -> Iterator[Announced]:
    if component != "device":
        yield from _topics(component, config)
        return
    shared = {key: value for key, value in config.items() if key not in _PARTS}
    parts = config.get("components")
    for part in parts.values() if isinstance(parts, dict) else ():
        own = _full(part) if isinstance(part, dict) else {}
        if (platform := own.get("platform")) in COMPONENTS and len(own) > 1:  # a part with its platform alone is gone
            yield from _topics(platform, {**shared, **own})


def _topics(component: str, config: dict[str, Any]) -> Iterator[Announced]:
    found = _entity(component, config)
    is_main = config.get("entity_category") is None
    for key, value in config.items():
        if key.endswith(("_topic", "_t")) and key != "availability_topic" and isinstance(value, str):
            yield from _usable(with_base(value, config.get("~")), found, is_main=is_main)


def _usable(topic: str, found: Entity, *, is_main: bool = True) -> Iterator[Announced]:
    if 0 < len(topic) <= LONGEST and not set(topic) & set("+#"):
        yield Announced(topic, found, is_main)


def _entity(component: str, config: Mapping[str, Any]) -> Entity:
    """Return the entity as Home Assistant names it at first; without an ID where that follows from more than this."""
    wanted, given = config.get("default_entity_id"), config.get("object_id")
    if isinstance(wanted, str):
        domain, _, name = wanted.partition(".")
        return entity(component, slug(name) if domain == component else None)
    if isinstance(given, str):
        return entity(component, slug(given))
    device, name = config.get("device"), config.get("name", 0)  # without a name, the device class tells it
    of_device = device.get("name") if isinstance(device, dict) else ""
    if not isinstance(of_device, str) or not isinstance(name, str | None):
        return entity(component, None)
    if name and of_device and name.lower().startswith(of_device.lower()):  # versions differ about the repetition
        return entity(component, None)
    return entity(component, slug(" ".join(filter(None, (of_device, name)))))


def _full(config: Mapping[str, Any]) -> dict[str, Any]:
    return {ABBREVIATIONS.get(key, key): value for key, value in config.items()}


def _of_tasmota(config: Mapping[str, Any]) -> Iterator[Announced]:
    """Yield the topics of a Tasmota's relays: each is a switch, a light or (two of them) a shutter."""
    form, device, prefixes = config.get("ft"), config.get("t"), config.get("tp")
    if not (isinstance(form, str) and isinstance(device, str) and isinstance(prefixes, list)):
        return
    options = config.get("so")
    as_lights = isinstance(options, dict) and options.get("30") == 1
    kinds = {**_TASMOTA_KINDS, 1: "light"} if as_lights else _TASMOTA_KINDS
    relays = [kinds.get(relay) for relay in config.get("rl") or ()]
    domains = {domain for domain in relays if domain}
    command, stat, tele = (form.replace("%topic%", device).replace("%prefix%", str(each)) for each in prefixes[:3])
    if len(domains) == 1:
        [domain] = domains
        for topic in (f"{tele}STATE", f"{stat}RESULT", f"{stat}STATE"):
            yield from _usable(topic, entity(domain, None))
    for number, each in enumerate(relays, 1):
        if each and each != "cover":
            names = (f"POWER{number}", "POWER") if number == 1 else (f"POWER{number}",)
            for topic in (f"{prefix}{name}" for prefix in (stat, command) for name in names):
                yield from _usable(topic, entity(each, None))
