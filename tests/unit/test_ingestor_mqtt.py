"""MqttSource, on the demo's embedded broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from examples.demo.broker import embedded_broker
from examples.ingestor import connection
from examples.ingestor.accounting import Accounting, accounting, samples
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.topics import Layout
from examples.ingestor.urls import Address
from otel_ha import Telemetry


@asynccontextmanager
async def source_at(broker: Address, intake: Intake) -> AsyncIterator[asyncio.Event]:
    """A source that is told to stop at the end, and must end in time."""
    stopping = asyncio.Event()
    running = asyncio.create_task(MqttSource(broker, Layout("homeassistant", "homeassistant"), 0, intake).run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await running


async def publish(broker: Address, *messages: tuple[str, str], retain: bool = False) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic, payload in messages:
            await client.publish(f"homeassistant/{topic}", payload, qos=1, retain=retain)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for are numbers in the metrics
            await asyncio.sleep(0.01)


async def until_heard(broker: Address, telemetry: Telemetry) -> None:
    """Publish until an event is received: what comes between connecting and subscribing is not for the source."""
    before = account(telemetry).received
    while account(telemetry).received == before:
        await publish(broker, ("sensor/a/state", "1"))
        await asyncio.sleep(0.05)


def account(telemetry: Telemetry) -> Accounting:
    return accounting(telemetry.prometheus_text())


def counted(telemetry: Telemetry, name: str, label: str) -> dict[str, float]:
    return {s.labels[label]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


def connected(telemetry: Telemetry) -> bool:
    return counted(telemetry, "homeassistant_connection_active", "homeassistant_connection_kind") == {"mqtt": 1}


def closes(telemetry: Telemetry) -> dict[str, float]:
    name = "homeassistant_connection_closed_total"
    return counted(telemetry, name, "homeassistant_connection_close_reason")


async def test_a_live_state_is_an_event_and_its_attributes_are_bytes(telemetry):
    intake = Intake(100)
    async with embedded_broker() as broker, source_at(broker, intake):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/unit", "12345"), ("sensor/a/config", "{}"), ("sensor/a/state", "21"))
        await until(lambda: account(telemetry).received == 1)
    assert counted(telemetry, "homeassistant_data_received_bytes_total", "homeassistant_data_type") == {
        "attribute": 5,
        "config": 2,
        "state": 2,
    }


async def test_retained_states_are_history(telemetry):
    async with embedded_broker() as broker:
        await publish(broker, ("sensor/a/state", "1"), ("sensor/b/state", "2"), retain=True)
        async with source_at(broker, Intake(100)):
            await until(lambda: account(telemetry).received == 2)
            await publish(broker, ("sensor/a/state", "3"), retain=True)
            await until(lambda: account(telemetry).received == 3)
    assert dict(account(telemetry).discarded) == {"retained": 2}


async def test_a_message_that_clears_a_retained_one_is_no_event(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(100)):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/state", ""), ("sensor/a/state", "1"))
        await until(lambda: account(telemetry).received == 1)
    assert account(telemetry).discarded.total() == 0


async def test_a_malformed_payload_is_discarded_as_invalid(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(100)):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/state", '{"state": 2'))
        await until(lambda: dict(account(telemetry).discarded) == {"invalid": 1})


async def late_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak as much MQTT 3.1.1 as it takes to have three messages under way when the client unsubscribes."""
    message = b"\x00\x1chomeassistant/sensor/a/state" + b"1"
    while header := await reader.read(2):
        body = await reader.readexactly(header[1])
        match header[0] >> 4:
            case 1:  # CONNECT
                writer.write(b"\x20\x02\x00\x00")
            case 8:  # SUBSCRIBE
                writer.write(b"\x90\x03" + body[:2] + b"\x00")
            case 10:  # UNSUBSCRIBE
                writer.write(3 * (bytes([0x30, len(message)]) + message) + b"\xb0\x02" + body[:2])
            case 14:  # DISCONNECT
                writer.close()


async def test_what_the_broker_sends_until_it_confirms_the_end_is_taken(telemetry):
    async with await asyncio.start_server(late_broker, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with source_at(Address("mqtt", host, port), Intake(10)):
            await until(lambda: connected(telemetry))
            await asyncio.sleep(0.1)
    assert account(telemetry).received == 3


async def test_told_to_stop_it_leaves_and_says_so(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(1)):
        await until(lambda: connected(telemetry))
    assert closes(telemetry) == {"stopped": 1}


async def test_it_comes_back_when_the_broker_does(telemetry, monkeypatch):
    monkeypatch.setattr(connection.Backoff, "delay", lambda *_: 0.05)
    intake = Intake(100)
    async with embedded_broker() as broker:
        source = source_at(broker, intake)
        await source.__aenter__()
        await until_heard(broker, telemetry)
    await until(lambda: closes(telemetry) == {"lost": 1})
    with pytest.raises(aiomqtt.MqttError):
        await publish(broker)
    async with embedded_broker(broker.port) as again:
        await until_heard(again, telemetry)
        await source.__aexit__(None, None, None)


async def test_a_broker_that_is_away_is_one_line_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr(connection.Backoff, "delay", lambda *_: 0.02)
    async with source_at(Address("mqtt", "127.0.0.1", 1), Intake(1)):
        await asyncio.sleep(0.3)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("examples")]
    assert len(lines) == 1
    assert lines[0].startswith("mqtt: cannot connect to mqtt://127.0.0.1:1 (")
