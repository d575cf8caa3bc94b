"""MqttSource: reads Home Assistant's states from an MQTT broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

import aiomqtt

from examples.ingestor.connection import BACKOFF, Backoff, Connection, ConnectionEndedError
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt_client import Client
from examples.ingestor.mqtt_messages import Messages
from examples.ingestor.topics import DROPPED, Layout
from examples.ingestor.urls import Address

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 5.0
KEEPALIVE = 12
"""Seconds of silence before a ping. A broker that does not answer for as long again is lost: after 26 s at most."""
REFUSALS = frozenset({4, 5, 134, 135})
"""Reason codes for a wrong user or password, of MQTT 3.1.1 (table 3.1) and MQTT 5 (table 3-1)."""
REFUSED_SUBSCRIPTION = 128
"""The lowest code of an answer to a subscription that the broker refuses."""


class MqttSource:
    """Keeps a connection to a broker, and takes the messages on the topics of a layout and of announced entities."""

    def __init__(
        self,
        address: Address,
        layout: Layout,
        qos: int,
        intake: Intake,
        *,
        backoff: Backoff = BACKOFF,
        keepalive: int = KEEPALIVE,
    ) -> None:
        self._address = address
        self._layout = layout
        self._qos = qos
        self._messages = Messages(layout, intake)
        self._subscribed: set[str] = set()
        self._keepalive = keepalive
        self._connection = Connection("mqtt", backoff)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take messages until `stopping` is set."""
        await self._connection.keep(lambda: self._session(stopping), stopping)

    async def _session(self, stopping: asyncio.Event) -> None:
        """Take messages over one connection; raise ConnectionEndedError if it ends unexpectedly."""
        client = Client(
            self._address.host,
            self._address.port,
            username=self._address.user,
            password=self._address.password,
            timeout=ANSWER_TIMEOUT,
            keepalive=self._keepalive,
            tls_params=aiomqtt.TLSParameters() if self._address.secure else None,
            unreadable=self._unreadable,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise self._could_not_connect(error) from error
        with self._connection.up():
            try:
                await self._take_messages(client, stopping)
            finally:
                self._messages.disconnected()

    async def _take_messages(self, client: Client, stopping: asyncio.Event) -> None:
        self._subscribed.clear()
        reading = asyncio.create_task(self._read(client))
        stop_requested = asyncio.create_task(stopping.wait())
        topics = self._layout.subscriptions
        try:
            if refused := await self._subscribe(client, [*topics, DROPPED]) - {DROPPED}:
                message = f"the broker does not let us subscribe to {', '.join(sorted(refused))}"
                raise ConnectionEndedError("refused_subscription", message)
            await self._subscribe_announced(client)
            self._messages.subscribed()
            self._connection.established()
            await asyncio.wait({reading, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                # The broker confirms after the last message that it sends to us, so no message is lost.
                await client.unsubscribe(sorted(self._subscribed))
        except aiomqtt.MqttError as error:
            raise ConnectionEndedError("lost", f"connection lost ({error})") from error
        finally:
            stop_requested.cancel()
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
            # The reader takes the messages that have arrived, then finds the connection closed.
            ended = (await asyncio.gather(reading, return_exceptions=True))[0]
        if not isinstance(ended, aiomqtt.MqttError):
            raise ended or AssertionError("the reader can end only with an exception")
        if not stopping.is_set():
            raise ConnectionEndedError("lost", f"connection lost ({ended})")

    async def _read(self, client: Client) -> None:
        discovery = self._messages.discovery
        async for message in client.messages:
            self.take(message)
            # Announcements come in bursts, so subscribe after the last of them.
            if discovery.changed and not len(client.messages):
                await self._subscribe_announced(client)

    async def _subscribe_announced(self, client: Client) -> None:
        """Subscribe to the topics of announced entities, and to no topics that are not announced any longer."""
        self._messages.discovery.changed = False
        topics = {topic for topic in self._messages.discovery.topics if not self._layout.covers(topic)}
        if gone := self._subscribed - topics - {*self._layout.subscriptions, DROPPED}:
            self._subscribed -= gone
            await client.unsubscribe(sorted(gone))
        if refused := await self._subscribe(client, topics):
            logger.warning("mqtt: the broker does not let us subscribe to %s", ", ".join(sorted(refused)))

    async def _subscribe(self, client: Client, topics: Iterable[str]) -> set[str]:
        """Subscribe to topics, unless they are subscribed to; return those that the broker refuses.

        A second subscription would bring the retained messages again.
        """
        new = [topic for topic in topics if topic not in self._subscribed]
        self._subscribed.update(new)
        codes = await client.subscribe([(topic, self._qos) for topic in new]) if new else ()
        values = (getattr(code, "value", code) for code in codes)
        return {topic for topic, value in zip(new, values, strict=False) if value >= REFUSED_SUBSCRIPTION}

    def take(self, message: aiomqtt.Message) -> None:
        """Take a message from the broker."""
        payload = message.payload if isinstance(message.payload, bytes) else b""
        try:
            kind = self._messages.take(str(message.topic), payload, retained=message.retain)
        except Exception as error:  # noqa: BLE001 - could_not_take logs it
            self._connection.could_not_take(error)
            self._messages.refuse(retained=message.retain)
            kind = "other"
        self._connection.heard(len(payload), kind)
        if kind == "state" and not message.retain:
            self._connection.took_event()

    def _unreadable(self, size: int) -> None:
        """Count a message whose topic is invalid."""
        self._connection.heard(size, "other")
        self._messages.refuse()

    def _could_not_connect(self, error: aiomqtt.MqttError) -> ConnectionEndedError:
        code = getattr(error, "rc", None)
        if getattr(code, "value", code) in REFUSALS:
            message = f"{self._address} refuses the user or password in its URL ({error})"
            return ConnectionEndedError("refused", message, refused=True)
        return ConnectionEndedError("unreachable", f"cannot connect to {self._address} ({error})")
