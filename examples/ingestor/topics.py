"""The topics of Home Assistant on an MQTT broker.

- mqtt_statestream publishes `<base>/<domain>/<object_id>/state`, then `.../last_updated` if its option
  `publish_timestamps` is on, and a topic for each attribute. Only `.../state` is an event; the others count as received
  bytes.
- MQTT discovery announces entities on `<prefix>/<component>/[<node>/]<object>/config`. Their states are on topics that
  the announcements name (see discovery.py).
- Devices publish JSON below prefixes that the user names.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from slugify import slugify

Kind = Literal["state", "last_updated", "attribute", "config", "broker", "other"]

SLUG: Final = re.compile(r"[a-z0-9_]+")
DROPPED: Final = "$SYS/broker/publish/messages/dropped"
"""Mosquitto's number of dropped messages; other brokers have no such topic."""
COMMANDS: Final = frozenset({"set", "get"})
"""Last levels of topics on which devices take commands, as with Zigbee2MQTT."""
LONGEST_TOPIC: Final = 65_535  # bytes (MQTT 3.1.1, section 1.5.3)
MOST_LEVELS: Final = 200
"""Mosquitto closes the connection of a client that subscribes to a topic with more than 200 slashes."""
TOPIC: Final = (
    f"1 to {LONGEST_TOPIC:,} bytes of UTF-8 in {MOST_LEVELS} levels, without +, #, $share and control characters"
)
NO_CHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
)
FORBIDDEN: Final = re.compile(rf"[+#\x00-\x1f\x7f-\x9f{NO_CHARACTERS}]|\A\$share(?:/|\Z)")
"""Brokers close the connection of a client that subscribes to a topic with these characters (section 1.5.3)."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The kind of message on a topic, and the entity that the topic names, empty if it names none.

    `json` means that the payload of a state is JSON; otherwise the payload is the state itself.
    """

    kind: Kind
    entity_id: str = ""
    json: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The base topic of mqtt_statestream, the prefix of MQTT discovery, and the prefixes of devices that send JSON."""

    base: str
    discovery: str
    json: tuple[str, ...] = ()

    @property
    def subscriptions(self) -> list[str]:
        """The topics to subscribe to. If one prefix contains the other, only the outer one.

        A broker may deliver a message once for each matching subscription.
        """
        prefixes = {self.base, self.discovery, *self.json}
        inner = {a for a in prefixes for b in prefixes if a.startswith(f"{b}/")}
        return [f"{prefix}/#" for prefix in sorted(prefixes - inner)]

    def covers(self, topic: str) -> bool:
        """Return whether the subscriptions include a topic."""
        return any(topic.startswith(subscription[:-1]) for subscription in self.subscriptions)

    def meaning(self, topic: str) -> Meaning:
        """Return the meaning of a topic."""
        prefix = max((each for each in self.json if topic.startswith(f"{each}/")), key=len, default=None)
        match below(self.base, topic):
            case [domain, object_id, "state"]:
                json = prefix is not None and f"{prefix}/".startswith(f"{self.base}/")
                return Meaning("state", entity_id(domain, object_id), json=json)
            case [domain, object_id, "last_updated"]:
                return Meaning("last_updated", entity_id(domain, object_id))
        match below(self.discovery, topic):
            case [_, _, "config"] | [_, _, _, "config"]:
                return Meaning("config")
        match below(self.base, topic):
            case [_, _, _]:
                return Meaning("attribute")
        if prefix is not None and prefix not in {self.base, self.discovery}:
            return device(prefix, topic)
        return Meaning("broker" if topic == DROPPED else "other")


def below(prefix: str, topic: str) -> list[str]:
    """Return the levels of a topic below a prefix; none if the topic is elsewhere."""
    return topic[len(prefix) + 1 :].split("/") if topic.startswith(f"{prefix}/") else []


def device(prefix: str, topic: str) -> Meaning:
    """Return the meaning of a topic below the prefix of devices that send JSON.

    The last level of the prefix is the domain, the levels below it are the object: `zigbee2mqtt/hall/lamp` is
    zigbee2mqtt.hall_lamp. A last level `state` is left out, and `set` and `get` are commands.
    """
    levels = below(prefix, topic)
    if levels[-1] in COMMANDS:
        return Meaning("other")
    if levels[-1] == "state" and len(levels) > 1:
        levels.pop()
    return Meaning("state", entity_id(slug(prefix.rpartition("/")[2]), slug("_".join(levels))), json=True)


def entity_id(domain: str, object_id: str) -> str:
    """Return the entity's id in lower case, as Home Assistant forms it; empty if it would be invalid."""
    domain, object_id = domain.lower(), object_id.lower().replace("-", "_")
    return f"{domain}.{object_id}" if SLUG.fullmatch(domain) and SLUG.fullmatch(object_id) else ""


@lru_cache(maxsize=10_000)
def slug(name: str) -> str:
    """Return a name as Home Assistant writes it in an entity's id: `Küche 1` is kuche_1, `кухня` is kukhnia."""
    return slugify(name, separator="_")


def is_topic(text: str) -> bool:
    """Return whether every broker accepts a subscription to a topic."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST_TOPIC and text.count("/") < MOST_LEVELS and not FORBIDDEN.search(text)


def short(value: object) -> str:
    """Return a value for a message, without the middle of a long one."""
    return reprlib.repr(value)
