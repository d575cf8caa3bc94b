"""MqttSource: reads Home Assistant's states from an MQTT broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiomqtt

from examples.ingestor.connection import BACKOFF, Backoff, Connection, ConnectionEndedError
from examples.ingestor.event import InvalidEventError
from examples.ingestor.intake import Intake
from examples.ingestor.topics import Layout, parse
from examples.ingestor.urls import Address

ANSWER_TIMEOUT = 5.0
REFUSALS = frozenset({4, 5, 134, 135})
"""Reason codes for a wrong user or password, of MQTT 3.1.1 (table 3.1) and MQTT 5 (table 3-1)."""


class MqttSource:
    """Puts live state messages into the intake. Retained messages, sent on subscription, are discarded as history."""

    def __init__(
        self, address: Address, layout: Layout, qos: int, intake: Intake, *, backoff: Backoff = BACKOFF
    ) -> None:
        self._address = address
        self._layout = layout
        self._qos = qos
        self._intake = intake
        self._connection = Connection("mqtt", backoff)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take messages until `stopping` is set."""
        await self._connection.keep(lambda: self._session(stopping), stopping)

    async def _session(self, stopping: asyncio.Event) -> None:
        """Take messages over one connection; raise ConnectionEndedError if it ends unexpectedly."""
        client = aiomqtt.Client(
            self._address.host,
            self._address.port,
            username=self._address.user,
            password=self._address.password,
            timeout=ANSWER_TIMEOUT,
            tls_params=aiomqtt.TLSParameters() if self._address.secure else None,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise self._could_not_connect(error) from error
        with self._connection.up():
            await self._take_messages(client, stopping)

    async def _take_messages(self, client: aiomqtt.Client, stopping: asyncio.Event) -> None:
        reading = asyncio.create_task(self._read(client))
        stop_requested = asyncio.create_task(stopping.wait())
        topics = self._layout.subscriptions
        try:
            await client.subscribe([(topic, self._qos) for topic in topics])
            self._connection.established()
            await asyncio.wait({reading, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                # The broker confirms after the last message that it sends to us, so no message is lost.
                await client.unsubscribe(topics)
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

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self.take(message)

    def take(self, message: aiomqtt.Message) -> None:
        """Put the event in a message into the intake, if it is a state message."""
        meaning = self._layout.meaning(str(message.topic))
        payload = message.payload if isinstance(message.payload, bytes) else b""
        self._connection.heard(len(payload), meaning.kind)
        if meaning.kind != "state" or not payload:
            return
        if message.retain:
            self._intake.refuse("mqtt", "retained")
            return
        try:
            event = parse(meaning.entity_id, payload)
        except InvalidEventError:
            self._intake.refuse("mqtt", "invalid")
        else:
            self._intake.put(event)

    def _could_not_connect(self, error: aiomqtt.MqttError) -> ConnectionEndedError:
        code = getattr(error, "rc", None)
        if getattr(code, "value", code) in REFUSALS:
            message = f"{self._address} refuses the user or password in its URL ({error})"
            return ConnectionEndedError("refused", message, refused=True)
        return ConnectionEndedError("unreachable", f"cannot connect to {self._address} ({error})")
