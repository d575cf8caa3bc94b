"""Home: lives in the synthetic home, which is to say that it publishes, and counts what it has published."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass

import aiomqtt

from examples.demo.household import Entity, furnish, malformed
from examples.ingestor.urls import Address

DUPLICATES = 0.04
MALFORMED = 0.01
UNAVAILABLE = 0.01
BURST_EVERY = 7.0
BURST = 150
ANSWER_TIMEOUT = 10.0


@dataclass
class Sent:
    """How many state messages the home has published: before anyone listened, live, and how many of the live ones are
    malformed or repetitions.
    """

    retained: int = 0
    live: int = 0
    malformed: int = 0
    repeated: int = 0


class Home:
    """Publishes to a broker, below `base`: retained states first, then `rate` events a second and bursts besides.

    Each chance comes from `seed`; the moments in which it strikes depend on the machine.
    """

    def __init__(self, address: Address, base: str, seed: int, rate: float) -> None:
        self.sent = Sent()
        self._address = address
        self._base = base
        self._rate = rate
        self._chance = random.Random(seed)  # noqa: S311 - a seed is the point of it
        self.entities = furnish(self._chance)
        self._weights = [entity.weight for entity in self.entities]

    def connect(self) -> aiomqtt.Client:
        """Return a client of the broker, not connected yet."""
        address = self._address
        tls = aiomqtt.TLSParameters() if address.secure else None
        return aiomqtt.Client(
            address.host, address.port, username=address.user, password=address.password, tls_params=tls
        )

    async def move_in(self) -> None:
        """Publish what the broker is to retain: the statestream's states, and discovery's announcements."""
        try:
            async with self.connect() as client:
                await self._say_all(client)
                await self._say_last(client, b"online")
        except aiomqtt.MqttError as error:
            raise ConnectionError(f"the home cannot publish to {self._address} ({error})") from error

    async def live(self, stopping: asyncio.Event) -> None:
        """Publish events until told to stop; returns when the broker has handed on all of them."""
        async with self.connect() as client:
            due, burst = time.monotonic(), time.monotonic() + BURST_EVERY / 2
            while not stopping.is_set():
                due += self._chance.expovariate(self._rate)
                # Short waits add up to the rate; a loop that is late catches up, and lets the others have their turn.
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._happen(client, self._chance.choices(self.entities, self._weights)[0])
                if time.monotonic() >= burst:
                    burst += BURST_EVERY
                    for entity in self._chance.sample(self.entities, BURST):  # a hub is back, and tells all it has
                        await self._happen(client, entity)
            # A broker that is behind may forget what a client that has gone has sent.
            with contextlib.suppress(TimeoutError):
                await self._say_last(client, b"offline")

    async def move_out(self) -> None:
        """Take the retained messages out of the broker."""
        async with self.connect() as client:
            for entity in self.entities:
                for level in ("config",) if entity.by_discovery else ("state", "unit_of_measurement"):
                    await self._publish(client, entity.topic(level), b"", retain=True)

    async def _say_last(self, client: aiomqtt.Client, status: bytes) -> None:
        """Publish the status and wait for it: a broker hands on in order, so what came before it is handed on then."""
        topic = f"{self._base}/status"
        await client.subscribe(topic)
        await client.publish(topic, status)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await anext(client.messages)
        # Who leaves with a subscription makes the embedded broker take it out of a table that it may be going through
        # for another client, whose connection then fails.
        await client.unsubscribe(topic)

    async def _say_all(self, client: aiomqtt.Client) -> None:
        for entity in self.entities:
            if entity.by_discovery:
                await self._publish(client, entity.topic("config"), entity.announcement(), retain=True)
            else:
                await self._publish(client, entity.topic(), entity.payload(), retain=True)
                self.sent.retained += 1

    async def _happen(self, client: aiomqtt.Client, entity: Entity) -> None:
        """Publish one event of an entity, as an imperfect world has them."""
        entity.change(self._chance)
        fate = self._chance.random()
        if fate < MALFORMED:
            await self._publish(client, entity.topic(), malformed(self._chance))
            self.sent.malformed += 1
        elif fate < MALFORMED + UNAVAILABLE:
            await self._publish(client, entity.topic(), b"unavailable")
        else:
            payload = entity.payload()
            await self._publish(client, entity.topic(), payload, retain=not entity.by_discovery)
            if fate > 1 - DUPLICATES:
                await self._publish(client, entity.topic(), payload)
                self.sent.live += 1
                self.sent.repeated += 1
        self.sent.live += 1
        if not entity.by_discovery and entity.unit is not None:
            await self._publish(client, entity.topic("unit_of_measurement"), entity.unit.encode(), retain=True)

    async def _publish(self, client: aiomqtt.Client, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await client.publish(f"{self._base}/{topic}", payload, retain=retain)
