"""Home: publishes the states of the synthetic home and counts the published messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass

import aiomqtt

from examples.demo.household import Entity, furnish, malformed, now
from examples.ingestor.urls import Address

DUPLICATES = 0.04
MALFORMED = 0.01
UNAVAILABLE = 0.01
BURST_EVERY = 7.0
BURST = 150
ANSWER_TIMEOUT = 10.0


@dataclass
class Sent:
    """Numbers of published state messages: retained before the ingestor listens, and live.

    `malformed` and `repeated` are parts of `live`.
    """

    retained: int = 0
    live: int = 0
    malformed: int = 0
    repeated: int = 0


class Home:
    """Publishes below the topic `base`: first retained states, then `rate` events a second with occasional bursts.

    `seed` determines every random choice; the exact times depend on the machine.
    """

    def __init__(self, address: Address, base: str, seed: int, rate: float) -> None:
        self.sent = Sent()
        self._address = address
        self._base = base
        self._rate = rate
        self._chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.entities = furnish(self._chance)
        self._weights = [entity.weight for entity in self.entities]

    def connect(self) -> aiomqtt.Client:
        """Return a client of the broker that is not connected yet."""
        address = self._address
        tls = aiomqtt.TLSParameters() if address.secure else None
        return aiomqtt.Client(
            address.host, address.port, username=address.user, password=address.password, tls_params=tls
        )

    async def publish_retained(self) -> None:
        """Publish the retained messages: states of mqtt_statestream and announcements of MQTT discovery."""
        try:
            async with self.connect() as client:
                await self._publish_states(client)
                await self._publish_status(client, b"online")
        except aiomqtt.MqttError as error:
            raise ConnectionError(f"the home cannot publish to {self._address} ({error})") from error

    async def publish_live(self, stopping: asyncio.Event) -> None:
        """Publish events until `stopping` is set; return when the broker has delivered all of them."""
        async with self.connect() as client:
            due, burst = time.monotonic(), time.monotonic() + BURST_EVERY / 2
            while not stopping.is_set():
                due += self._chance.expovariate(self._rate)
                # The waits average to the rate. A late loop catches up, and sleep(0) lets other tasks run.
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._publish_event(client, self._chance.choices(self.entities, self._weights)[0])
                if time.monotonic() >= burst:
                    burst += BURST_EVERY
                    # A hub reconnects and publishes all its states.
                    for entity in self._chance.sample(self.entities, BURST):
                        await self._publish_event(client, entity)
            # A broker may drop pending messages of a client that has left, so wait until they are delivered.
            with contextlib.suppress(TimeoutError):
                await self._publish_status(client, b"offline")

    async def clear_retained(self) -> None:
        """Clear the retained messages on the broker."""
        async with self.connect() as client:
            for entity in self.entities:
                for level in ("config",) if entity.by_discovery else ("state", "last_updated", "unit_of_measurement"):
                    await self._publish(client, entity.topic(level), b"", retain=True)

    async def _publish_status(self, client: aiomqtt.Client, status: bytes) -> None:
        """Publish the status and wait for its echo: brokers deliver in order, so all earlier messages are delivered."""
        topic = f"{self._base}/status"
        await client.subscribe(topic)
        await client.publish(topic, status)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await anext(client.messages)
        # If a client leaves with a subscription, the embedded broker removes it from a table that it may be iterating
        # over for another client, whose connection then fails.
        await client.unsubscribe(topic)

    async def _publish_states(self, client: aiomqtt.Client) -> None:
        for entity in self.entities:
            if entity.by_discovery:
                await self._publish(client, entity.topic("config"), entity.announcement(self._base), retain=True)
            else:
                await self._publish_state(client, entity, entity.payload(), retain=True)
                self.sent.retained += 1

    async def _publish_event(self, client: aiomqtt.Client, entity: Entity) -> None:
        """Publish one event of an entity; some are malformed, unavailable or repeated."""
        entity.change(self._chance)
        fate = self._chance.random()
        if fate < MALFORMED:
            await self._publish(client, entity.topic(), malformed(self._chance))
            self.sent.malformed += 1
        elif fate < MALFORMED + UNAVAILABLE:
            await self._publish_state(client, entity, entity.payload("unavailable"))
        else:
            payload = entity.payload()
            await self._publish_state(client, entity, payload, retain=not entity.by_discovery)
            if fate > 1 - DUPLICATES:
                await self._publish_state(client, entity, payload)
                self.sent.live += 1
                self.sent.repeated += 1
        self.sent.live += 1
        if not entity.by_discovery and entity.unit is not None:
            await self._publish(client, entity.topic("unit_of_measurement"), entity.unit.encode(), retain=True)

    async def _publish_state(
        self, client: aiomqtt.Client, entity: Entity, payload: bytes, *, retain: bool = False
    ) -> None:
        """Publish a state, and its time as mqtt_statestream does."""
        await self._publish(client, entity.topic(), payload, retain=retain)
        if not entity.by_discovery:
            await self._publish(client, entity.topic("last_updated"), now(), retain=retain)

    async def _publish(self, client: aiomqtt.Client, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await client.publish(f"{self._base}/{topic}", payload, retain=retain)
