"""Announcements of MQTT discovery: from a `config` message to the entities that it describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from examples.ingestor import value_template
from examples.ingestor.abbreviations import full
from examples.ingestor.descriptions import DESCRIBING
from examples.ingestor.event import InvalidEventError
from examples.ingestor.payloads import json_of
from examples.ingestor.topics import TOPIC, entity_id, is_topic, short, slug
from examples.ingestor.value_template import PLAIN, Template, UnsupportedTemplateError
from otel_ha.instrumentation.topics.announcements import with_base

LEFT_OUT: Final = frozenset({"device_automation", "event", "image", "tag", "update"})
"""Components whose message is not the entity's state."""
STATES: Final = {
    "climate": ("mode_state_topic", ("mode_state_template",)),
    "water_heater": ("mode_state_topic", ("mode_state_template",)),
    "lawn_mower": ("activity_state_topic", ("activity_value_template",)),
}
"""The keys of the state's topic and template, where they are not the usual ones."""
USUAL: Final = ("state_topic", ("value_template", "state_value_template", "state_template"))
SWITCHED: Final = frozenset({"binary_sensor", "fan", "humidifier", "light", "siren", "switch"})
WORDS: Final = (
    ("on", ("payload_on", "state_on")),
    ("off", ("payload_off", "state_off")),
    ("locked", ("state_locked",)),
    ("unlocked", ("state_unlocked",)),
    ("open", ("state_open",)),
    ("closed", ("state_closed",)),
    ("home", ("payload_home",)),
    ("not_home", ("payload_not_home",)),
)
"""States with the keys that give their payloads; a later key takes precedence."""


@dataclass(frozen=True, slots=True)
class Availability:
    """A topic that says whether entities are available, and the payloads for yes and no."""

    topic: str
    template: Template
    yes: str
    no: str

    def says(self, payload: bytes) -> bool | None:
        """Return whether a payload means available; None if it means nothing."""
        try:
            return {self.no: False, self.yes: True}.get(self.template.render(payload))
        except InvalidEventError:
            return None


@dataclass(frozen=True, slots=True)
class Announced:
    """An announced entity. `fallback_id` is its id if another entity has the same one.

    `words` are the payloads that stand for a state. `template` is None if the announced one is not supported. With the
    JSON schema, a payload has the attributes beside the state. `announced_on` is the topic of the announcement.
    """

    entity_id: str
    fallback_id: str
    state_topic: str
    template: Template | None = None
    json_schema: bool = False
    words: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    availability: tuple[Availability, ...] = ()
    availability_mode: str = "latest"
    announced_on: str = ""

    @property
    def availability_topics(self) -> set[str]:
        """The topics that say whether the entity is available."""
        return {each.topic for each in self.availability}

    def state(self, payload: bytes) -> str:
        """Return the state in a payload; raise InvalidEventError if it is malformed."""
        if self.template is None:
            raise InvalidEventError("the template of the announcement is not supported")
        text = self.template.render(payload)
        return self.words.get(text, "unknown" if text == "None" else text)

    def values(self, payload: bytes) -> dict[str, Any]:
        """Return the attributes in a payload with a state."""
        if not self.json_schema or not payload:
            return {}
        return {name: value for name, value in json_of(payload).items() if name not in ("state", *DESCRIBING)}


def announced(levels: list[str], payload: bytes) -> tuple[list[Announced], list[str]]:
    """Return the entities in an announcement, and sentences about the parts that cannot be followed.

    `levels` are those of the topic below the prefix. Raises InvalidEventError if the payload is not a JSON object.
    """
    entities: list[Announced] = []
    problems: list[str] = []
    for component, path, config in _configs(levels, payload, problems):
        key, templates = STATES.get(component, USUAL)
        if component in LEFT_OUT or config.get(key) is None:
            continue
        try:
            entity = _entity(component, path, config, _topic(config, key))
        except ValueError as error:
            problems.append(str(error))
            continue
        try:
            template = _template(component, config, templates)
        except UnsupportedTemplateError as error:
            problems.append(f"{error}; the states of {entity.entity_id} count as invalid")
            template = None
        try:
            availability = _availability(config)
        except ValueError as error:
            problems.append(f"{error}; the availability of {entity.entity_id} is ignored")
            availability = ()
        entities.append(replace(entity, template=template, availability=availability))
    return entities, problems


def _configs(levels: list[str], payload: bytes, problems: list[str]) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield the component, the ids and the configuration of each entity, without abbreviations.

    The parts of a device share the options of the device.
    """
    config = full(json_of(payload))
    component, path = levels[0], levels[1:-1]
    if component != "device":
        yield component, path, config
        return
    parts = config.pop("components", None)
    if not isinstance(parts, dict):
        raise InvalidEventError("the announcement of a device needs an object of components")
    for key, part in parts.items():
        try:
            own = full(part)
        except InvalidEventError as error:
            problems.append(f"component {key!r}: {error}")
            continue
        component = str(own.pop("platform", ""))
        if own:  # a component with nothing but its platform is removed
            yield component, [*path, key], {**config, **own}


def _topic(config: dict[str, Any], key: str, base: object = None) -> str:
    """Return a topic, in which `~` at either end stands for the base topic; raise ValueError if it is invalid."""
    topic = config.get(key)
    if isinstance(topic, str):
        topic = with_base(topic, config.get("~", base))
    if not isinstance(topic, str) or not is_topic(topic):
        raise ValueError(f"{key} is {short(topic)}; allowed: {TOPIC}")
    return topic


def _has_json_schema(component: str, config: dict[str, Any]) -> bool:
    return component == "vacuum" or (component == "light" and config.get("schema") == "json")


def _template(component: str, config: dict[str, Any], keys: tuple[str, ...]) -> Template:
    if _has_json_schema(component, config):
        return value_template.parse("{{ value_json.state }}")
    text = next((config[key] for key in keys if config.get(key)), None)
    return PLAIN if text is None else value_template.parse(str(text))


def _entity(component: str, path: list[str], config: dict[str, Any], topic: str) -> Announced:
    """Return an entity without template and availability; raise ValueError if it cannot have an id."""
    device = config.get("device")
    device_name = full(device).get("name") if isinstance(device, dict) else None
    name = _name(component, device_name, config)
    fallback = entity_id(slug(component), slug("_".join(path)))
    wanted = config.get("default_entity_id") or f"{component}.{config.get('object_id') or name}"
    domain, _, object_id = str(wanted).partition(".")
    found = entity_id(domain, slug(object_id)) or fallback
    if not found:
        raise ValueError(f"neither the topic nor the name {name!r} makes an entity's id")
    attributes: dict[str, Any] = {
        key: config[key] for key in ("unit_of_measurement", "device_class") if config.get(key)
    }
    if name:
        attributes["friendly_name"] = name
    return Announced(
        found,
        fallback or found,
        topic,
        json_schema=_has_json_schema(component, config),
        words=_words(component, config),
        attributes=attributes,
        availability_mode=str(config.get("availability_mode", "latest")),
    )


def _name(component: str, device_name: object, config: dict[str, Any]) -> str:
    """Return the entity's full name, as Home Assistant forms it: of the device and the entity."""
    default = str(config.get("device_class") or f"MQTT {component}").replace("_", " ")
    return " ".join(str(part) for part in (device_name, config.get("name", default)) if part)


def _words(component: str, config: dict[str, Any]) -> dict[str, str]:
    words = {"ON": "on", "OFF": "off"} if component in SWITCHED else {}
    if component == "lock":
        words = {"LOCKED": "locked", "UNLOCKED": "unlocked"}
    own = {str(config[key]): word for word, keys in WORDS for key in keys if config.get(key) is not None}
    return words | own


def _availability(config: dict[str, Any]) -> tuple[Availability, ...]:
    single = config.get("availability_topic") is not None
    found = [config] if single else config.get("availability") or []
    key, template = ("availability_topic", "availability_template") if single else ("topic", "value_template")
    if not isinstance(found, dict | list):
        raise InvalidEventError(f"availability is {found!r}; allowed: an object or a list of objects")
    parts = [full(part) for part in (found if isinstance(found, list) else [found])]
    return tuple(
        Availability(
            _topic(part, key, config.get("~")),
            value_template.parse(str(part[template])) if part.get(template) else PLAIN,
            str(part.get("payload_available", "online")),
            str(part.get("payload_not_available", "offline")),
        )
        for part in parts
    )
