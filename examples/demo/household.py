"""A synthetic home as data: its entities, their states and rates. The same seed makes the same home."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SENSORS: Final = 343
"""With OTHERS below 350 entities, 98 % of them sensors, as in a large home."""

KINDS: Final = (
    ("temperature", "°C", 21.0, 0.1),
    ("humidity", "%", 45.0, 0.5),
    ("power", "W", 120.0, 25.0),
    ("energy", "kWh", 2000.0, 0.01),
    ("voltage", "V", 230.0, 0.4),
    ("illuminance", "lx", 300.0, 15.0),
    ("carbon_dioxide", "ppm", 600.0, 8.0),
    ("linkquality", "lqi", 120.0, 4.0),
)
ROOMS: Final = (
    "kitchen",
    "living_room",
    "bedroom",
    "bathroom",
    "hall",
    "office",
    "cellar",
    "attic",
    "garage",
    "garden",
)
OTHERS: Final = ("light", "light", "switch", "switch", "binary_sensor", "lock", "cover")
SWITCHED: Final = {"lock": ("locked", "unlocked"), "cover": ("open", "closed")}

TAIL: Final = 1.1
"""The exponent of the rates' Pareto distribution: a few entities send most of the events, as in real homes."""


@dataclass
class Entity:
    """An entity that publishes as mqtt_statestream does with timestamps, or as a device of MQTT discovery does."""

    domain: str
    object_id: str
    weight: float
    by_discovery: bool
    unit: str | None = None
    value: float = 0.0
    step: float = 0.0
    state: str = ""

    def change(self, chance: random.Random) -> None:
        """Change the state: by a step of a random walk, or to the other of two states."""
        if self.unit is not None:
            self.value = max(0.0, self.value + chance.gauss(0.0, self.step))
            self.state = f"{self.value:.2f}"
        else:
            on, off = SWITCHED.get(self.domain, ("on", "off"))
            self.state = off if self.state == on else on

    def topic(self, level: str = "state") -> str:
        """Return one of the topics of the entity, relative to the base topic."""
        return f"{self.domain}/{self.object_id}/{level}"

    def payload(self, state: str | None = None) -> bytes:
        """Return the payload of a message with the entity's state, or with another state."""
        state = self.state if state is None else state
        if not self.by_discovery:
            return state.encode()
        return json.dumps({"state": state, "last_updated": now().decode()}).encode()

    def announcement(self, base: str) -> bytes:
        """Return the payload of the message that announces the entity in MQTT discovery below a base topic."""
        message = {
            "~": f"{base}/{self.domain}/{self.object_id}",
            "name": self.object_id,
            "object_id": self.object_id,
            "unit_of_measurement": self.unit,
            "state_topic": "~/state",
            "value_template": "{{ value_json.state }}",
        }
        return json.dumps(message).encode()


def furnish(chance: random.Random) -> list[Entity]:
    """Return the entities of a random home."""
    entities = []
    for number in range(SENSORS):
        kind, unit, value, step = KINDS[number % len(KINDS)]
        name = f"{ROOMS[number % len(ROOMS)]}_{number // len(ROOMS)}_{kind}"
        by_discovery = chance.random() < 0.4  # noqa: PLR2004 - a probability
        weight = chance.paretovariate(TAIL)
        entities.append(Entity("sensor", name, weight, by_discovery, unit, value * chance.uniform(0.8, 1.2), step))
    for number, domain in enumerate(OTHERS):
        entities.append(Entity(domain, f"{ROOMS[number]}_{domain}", chance.paretovariate(TAIL), by_discovery=False))
    for entity in entities:
        entity.change(chance)
    return entities


def now() -> bytes:
    """Return the time as mqtt_statestream publishes it."""
    # Always of the same length: the benchmarks compare bytes.
    return datetime.now(UTC).isoformat(timespec="microseconds").encode()


def malformed(chance: random.Random) -> bytes:
    """Return a malformed payload, as broken firmware sends it."""
    return chance.choice((b"\xff\xfe\x00", b"x" * 300))
