"""MqttSource: Home Assistant's states as an MQTT broker has them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiomqtt

from examples.ingestor.connection import Connection, ConnectionEndedError
from examples.ingestor.event import InvalidEventError
from examples.ingestor.intake import Intake
from examples.ingestor.topics import Layout, parse
from examples.ingestor.urls import Address

ANSWER_TIMEOUT = 5.0
REFUSALS = frozenset({4, 5, 134, 135})
"""What a broker answers to a wrong user or password: MQTT 3.1.1, table 3.1, and MQTT 5, table 3-1."""


class MqttSource:
    """Puts every live state message into the intake. Retained ones, which a new subscription brings, are history."""

    def __init__(self, address: Address, layout: Layout, qos: int, intake: Intake) -> None:
        self._address = address
        self._layout = layout
        self._qos = qos
        self._intake = intake
        self._connection = Connection("mqtt")

    async def run(self, stopping: asyncio.Event) -> None:
        """Take messages until told to stop."""
        await self._connection.keep(lambda: self._session(stopping), stopping)

    async def _session(self, stopping: asyncio.Event) -> None:
        """Take messages over one connection; raise ConnectionEndedError when it ends unasked."""
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
        told_to_stop = asyncio.create_task(stopping.wait())
        topics = self._layout.subscriptions
        try:
            await client.subscribe([(topic, self._qos) for topic in topics])
            self._connection.established()
            await asyncio.wait({reading, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                # The broker answers once it has sent all that it had for us, so nothing that it sent is lost.
                await client.unsubscribe(topics)
        except aiomqtt.MqttError as error:
            raise ConnectionEndedError("lost", f"connection lost ({error})") from error
        finally:
            told_to_stop.cancel()
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
            # What has arrived is taken even now; then the reader finds that the connection is gone.
            ended = (await asyncio.gather(reading, return_exceptions=True))[0]
        if not isinstance(ended, aiomqtt.MqttError):
            raise ended or AssertionError("the reader ends only by an exception")
        if not stopping.is_set():
            raise ConnectionEndedError("lost", f"connection lost ({ended})")

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._take(message)

    def _take(self, message: aiomqtt.Message) -> None:
        """Put the event in a message, if there is one, into the intake."""
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
            message = f"{self._address} refuses the user or password of INGESTOR_MQTT_URL ({error})"
            return ConnectionEndedError("refused", message, refused=True)
        return ConnectionEndedError("unreachable", f"cannot connect to {self._address} ({error})")
