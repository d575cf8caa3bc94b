"""MqttSource, with the embedded broker of the demo."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import aiomqtt
import pytest

from examples.demo.broker import embedded_broker
from examples.ingestor import connection
from examples.ingestor.accounting import Accounting, accounting, samples
from examples.ingestor.connection import Backoff
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.mqtt_client import Client
from examples.ingestor.mqtt_messages import Messages
from examples.ingestor.service import make_sources
from examples.ingestor.settings import Settings
from examples.ingestor.topics import Layout
from examples.ingestor.urls import Address
from otel_ha import Telemetry

HOME = Address("http", "127.0.0.1", 1)


@asynccontextmanager
async def source_at(broker: Address, intake: Intake, keepalive: int = 60) -> AsyncIterator[asyncio.Event]:
    """Run a source that reconnects quickly. At the end it is stopped, and must end in time."""
    stopping = asyncio.Event()
    layout, backoff = Layout("homeassistant", "homeassistant"), Backoff(first=0.05, limit=0.05)
    source = MqttSource(broker, layout, 0, intake, backoff=backoff, keepalive=keepalive)
    running = asyncio.create_task(source.run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await running


async def publish(broker: Address, *messages: tuple[str, str | bytes], retain: bool = False) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic, payload in messages:
            await client.publish(f"homeassistant/{topic}", payload, qos=1, retain=retain)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.01)


async def until_heard(broker: Address, telemetry: Telemetry) -> None:
    """Publish until an event is received, because the source misses messages between connecting and subscribing."""
    before = account(telemetry).received
    while account(telemetry).received == before:
        await publish(broker, ("sensor/a/state", "1"))
        await asyncio.sleep(0.05)


def account(telemetry: Telemetry) -> Accounting:
    return accounting(telemetry.prometheus_text())


def counted(telemetry: Telemetry, name: str, label: str) -> dict[str, float]:
    return {s.labels[label]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


def bytes_received(telemetry: Telemetry) -> dict[str, float]:
    return counted(telemetry, "homeassistant_data_received_bytes_total", "homeassistant_data_type")


def connected(telemetry: Telemetry) -> bool:
    return counted(telemetry, "homeassistant_connection_active", "homeassistant_connection_kind") == {"mqtt": 1}


def closes(telemetry: Telemetry) -> dict[str, float]:
    name = "homeassistant_connection_closed_total"
    return counted(telemetry, name, "homeassistant_connection_close_reason")


async def test_a_live_state_is_an_event_and_attributes_count_only_as_bytes(telemetry):
    intake = Intake(100)
    async with embedded_broker() as broker, source_at(broker, intake):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/unit", "12345"), ("sensor/a/config", "{}"), ("sensor/a/state", "21"))
        await until(lambda: account(telemetry).received == 1)
    assert bytes_received(telemetry) == {
        "attribute": 5,
        "config": 2,
        "state": 2,
    }


async def test_retained_states_are_discarded(telemetry):
    async with embedded_broker() as broker:
        await publish(broker, ("sensor/a/state", "1"), ("sensor/b/state", "2"), retain=True)
        async with source_at(broker, Intake(100)):
            await until(lambda: account(telemetry).received == 2)
            await publish(broker, ("sensor/a/state", "3"), retain=True)
            await until(lambda: account(telemetry).received == 3)
    assert dict(account(telemetry).discarded) == {"retained": 2}


async def test_a_malformed_payload_is_discarded_as_invalid(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(100)):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/state", b"\xff\xfe"))
        await until(lambda: dict(account(telemetry).discarded) == {"invalid": 1})


async def late_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak enough MQTT 3.1.1 to send three messages after the client unsubscribes, before the confirmation."""
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


async def test_messages_are_taken_until_the_broker_confirms_the_end(telemetry):
    async with await asyncio.start_server(late_broker, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with source_at(Address("mqtt", host, port), Intake(10)):
            await until(lambda: connected(telemetry))
            await asyncio.sleep(0.1)
    assert account(telemetry).received == 3


def publication(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH packet of MQTT 3.1.1."""
    return bytes([0x30, 2 + len(topic) + len(payload)]) + len(topic).to_bytes(2) + topic + payload


@asynccontextmanager
async def broker_that_sends(
    packets: bytes, connections: list[int], answers: bytes = b"\x00\x00"
) -> AsyncIterator[Address]:
    """A broker that answers each subscription with two codes and then these packets, and lists its connections."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(2)
                body = await reader.readexactly(header[1])
                match header[0] >> 4:
                    case 1:  # CONNECT
                        writer.write(b"\x20\x02\x00\x00")
                    case 8:  # SUBSCRIBE
                        writer.write(b"\x90\x04" + body[:2] + answers + packets)
                    case 10:  # UNSUBSCRIBE
                        writer.write(b"\xb0\x02" + body[:2])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield Address("mqtt", host, port)


@pytest.mark.parametrize(
    "topic", [b"homeassistant/sensor/\xff\xfe/state", b"homeassistant/sensor/\xed\xa0\x80/state", b"a/#", b"a/+/b"]
)
async def test_a_message_whose_topic_is_invalid_is_counted_and_the_connection_stays(telemetry, caplog, topic):
    connections: list[int] = []
    packets = publication(topic, b"1") * 3 + publication(b"homeassistant/sensor/a/state", b"2")
    async with broker_that_sends(packets, connections) as broker, source_at(broker, Intake(10)):
        await until(lambda: account(telemetry).received == 4)
    assert dict(account(telemetry).discarded) == {"invalid": 3}
    assert len(connections) == 1
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_refused_subscription_ends_the_connection_with_its_topics(telemetry, caplog):
    async with broker_that_sends(b"", [], answers=b"\x80\x00") as broker, source_at(broker, Intake(10)):
        await until(lambda: closes(telemetry).get("refused_subscription", 0) > 0)
    assert "the broker does not let us subscribe to homeassistant/#" in caplog.text


async def test_a_refused_number_of_dropped_messages_does_not_matter(telemetry):
    message = publication(b"homeassistant/sensor/a/state", b"2")
    async with broker_that_sends(message, [], answers=b"\x00\x80") as broker, source_at(broker, Intake(10)):
        await until(lambda: account(telemetry).received == 1)
    assert closes(telemetry) == {"stopped": 1}


async def test_a_stopped_source_disconnects_and_counts_the_reason(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(1)):
        await until(lambda: connected(telemetry))
    assert closes(telemetry) == {"stopped": 1}


async def test_the_source_reconnects_when_the_broker_is_back(telemetry):
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


async def test_an_unreachable_broker_is_logged_once(caplog):
    async with source_at(Address("mqtt", "127.0.0.1", 1), Intake(1)):
        await asyncio.sleep(0.3)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("examples")]
    assert len(lines) == 1
    assert lines[0].startswith("mqtt: cannot connect to mqtt://127.0.0.1:1 (")


async def test_a_connection_that_was_never_up_is_reported_as_0(telemetry):
    MqttSource(Address("mqtt", "127.0.0.1", 1), Layout("homeassistant", "homeassistant"), 0, Intake(1))
    active = counted(telemetry, "homeassistant_connection_active", "homeassistant_connection_kind")
    assert active == {"mqtt": 0}


@pytest.mark.parametrize(
    ("topic", "retain", "age"),
    [("state", False, 0.0), ("state", True, 100.0), ("brightness", False, 100.0), ("config", False, 100.0)],
)
async def test_only_live_states_reset_the_age_of_the_last_event(telemetry, monkeypatch, topic, retain, age):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(connection, "time", clock)
    async with embedded_broker() as broker:
        await publish(broker, (f"light/a/{topic}", "1"), retain=retain)
        async with source_at(broker, Intake(100)):
            clock.now = 100.0
            await until(lambda: connected(telemetry))
            if not retain:
                await publish(broker, (f"light/a/{topic}", "1"))
            await until(lambda: bool(bytes_received(telemetry)))
            ages = counted(telemetry, "homeassistant_message_age_seconds", "homeassistant_source")
            assert ages == {"mqtt": age}


async def deaf_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a connection and a subscription, then answer nothing, as a broker that hangs."""
    while header := await reader.read(2):
        body = await reader.readexactly(header[1])
        match header[0] >> 4:
            case 1:  # CONNECT
                writer.write(b"\x20\x02\x00\x00")
            case 8:  # SUBSCRIBE
                writer.write(b"\x90\x03" + body[:2] + b"\x00")
    writer.close()


async def test_a_broker_that_does_not_answer_pings_is_lost(telemetry):
    async with await asyncio.start_server(deaf_broker, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with source_at(Address("mqtt", host, port), Intake(10), keepalive=1):
            await until(lambda: closes(telemetry) == {"lost": 1})
            assert not connected(telemetry)


@pytest.mark.parametrize(
    ("payload", "unit"),
    [('"\\u00b0C"', "°C"), ("%", "%"), ("null", None), ("", None)],
    ids=["json", "text", "null", "empty"],
)
async def test_the_unit_of_a_statestream_belongs_to_its_state(telemetry, payload, unit):
    intake = Intake(100)
    async with embedded_broker() as broker, source_at(broker, intake):
        await until(lambda: connected(telemetry))
        await publish(broker, ("sensor/a/unit_of_measurement", payload), ("sensor/a/state", "21"))
        await until(lambda: account(telemetry).received == 1)
        intake.close()
        assert [intake.descriptions.complete(event).unit async for _, event in intake.events()] == [unit]


async def test_a_dead_broker_is_noticed_within_30_seconds(telemetry):
    keepalives: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.readexactly(12)
        keepalives.append(int.from_bytes(connect[10:12]))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        stopping = asyncio.Event()
        source = MqttSource(Address("mqtt", host, port), Layout("a", "a"), 0, Intake(1))
        running = asyncio.create_task(source.run(stopping))
        await until(lambda: bool(keepalives))
        stopping.set()
        await running
    # paho sends a ping after the keepalive, waits for as long for the answer, and checks every second.
    assert 0 < 2 * keepalives[0] + 2 <= 30


async def test_a_message_that_raises_is_invalid_and_logged_once(telemetry, caplog, monkeypatch):
    def fail(*_: object) -> None:
        raise TypeError("unhashable")

    monkeypatch.setattr(Messages, "_attribute", fail)
    async with embedded_broker() as broker, source_at(broker, Intake(10)):
        await until(lambda: connected(telemetry))
        await publish(broker, *[("light/a/brightness", "1")] * 3, ("light/a/state", "on"))
        await until(lambda: account(telemetry).received == 4)
    assert dict(account(telemetry).discarded) == {"invalid": 3}
    assert closes(telemetry) == {"stopped": 1}
    assert counted(telemetry, "homeassistant_errors_total", "error_type") == {"message": 3}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "mqtt: a message could not be taken; it counts as invalid, and later ones too"
    ]


LAMP = '{"name": "Lamp", "stat_t": "zig/lamp", "avty_t": "zig/alive"}'


async def test_a_message_about_an_availability_that_stays_does_not_reset_the_age(telemetry, monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(connection, "time", clock)
    async with embedded_broker() as broker, source_at(broker, Intake(10)):
        await until(lambda: connected(telemetry))
        await publish(broker, ("light/lamp/config", LAMP))
        await until(lambda: "config" in bytes_received(telemetry))
        for moment, topic, payload, kind, age in [
            (100.0, "alive", "online", "availability", 100.0),
            (200.0, "lamp", "ON", "state", 0.0),
            (300.0, "alive", "offline", "state", 0.0),
        ]:
            clock.now, before = moment, bytes_received(telemetry).get(kind, 0)
            async with aiomqtt.Client(broker.host, broker.port) as client:
                while bytes_received(telemetry).get(kind, 0) == before:  # the source may not have subscribed yet
                    await client.publish(f"zig/{topic}", payload)
                    await asyncio.sleep(0.02)
            ages = counted(telemetry, "homeassistant_message_age_seconds", "homeassistant_source")
            assert ages == {"mqtt": age}


def messages(telemetry: Telemetry, *taken: tuple[str, str, bool]) -> list[str]:
    """The states that are queued of messages (topic, payload, retained) on the first connection."""
    intake = Intake(100)
    source = Messages(Layout("homeassistant", "homeassistant"), intake)
    source.subscribed()
    for topic, payload, retained in taken:
        source.take(topic, payload.encode(), retained=retained)
    return [event.state for _, event in intake._events]


def test_the_retained_state_of_an_entity_that_is_announced_meanwhile_is_news(telemetry):
    config = "homeassistant/light/lamp/config"
    assert messages(telemetry, (config, LAMP, False), ("zig/lamp", "ON", True)) == ["on"]
    assert messages(telemetry, (config, LAMP, True), ("zig/lamp", "ON", True)) == []


def test_a_retained_state_of_statestream_stays_history_after_an_announcement(telemetry):
    config = "homeassistant/light/lamp/config"
    assert messages(telemetry, (config, LAMP, False), ("homeassistant/light/a/state", "on", True)) == []


def test_an_older_retained_state_does_not_become_the_last_one(telemetry):
    intake = Intake(10)
    source = Messages(Layout("homeassistant", "homeassistant", ("z",)), intake)
    for second in (20, 10, 15):  # the last two are retained, each on a connection of its own
        payload = f'{{"state": {second}, "last_updated": "2026-01-01T00:00:{second}Z"}}'
        source.take("z/a", payload.encode(), retained=second != 20)
        source.subscribed()
        source.disconnected()
    assert [event.state for _, event in intake._events] == ["20"]


async def test_a_topic_that_is_not_announced_any_longer_is_not_subscribed_to(telemetry):
    async with embedded_broker() as broker, source_at(broker, Intake(100)):
        await until(lambda: connected(telemetry))
        await publish(broker, ("light/lamp/config", LAMP))
        async with aiomqtt.Client(broker.host, broker.port) as client:
            while account(telemetry).received == 0:
                await client.publish("zig/lamp", "ON")
                await asyncio.sleep(0.02)
            await publish(broker, ("light/lamp/config", LAMP.replace("zig/lamp", "other")))
            while True:
                before = bytes_received(telemetry)
                await client.publish("zig/lamp", "ON")
                await publish(broker, ("sensor/a/state", "12345"))
                await until(lambda before=before: bytes_received(telemetry)["state"] >= before["state"] + 5)
                if bytes_received(telemetry) == {**before, "state": before["state"] + 5}:
                    break


@pytest.mark.parametrize(
    ("home_assistant", "attributes", "warned"),
    [(None, (("light.*", ("brightness",)),), True), (None, (), False), (HOME, (("light.*", ("brightness",)),), False)],
)
async def test_attributes_that_mqtt_alone_cannot_give_are_warned_of(
    telemetry, caplog, tmp_path, home_assistant, attributes, warned
):
    settings = Settings(
        mqtt_url=Address("mqtt", "127.0.0.1", 1),
        home_assistant_url=home_assistant,
        home_assistant_token="t",
        attributes=attributes,
        file=tmp_path / "points",
    )
    make_sources(settings, Intake(1))
    assert ("give --home-assistant-url too" in caplog.text) is warned


async def test_asyncio_does_not_log_the_end_of_a_connection_that_we_log():
    client = Client("127.0.0.1", unreadable=lambda _: None)
    client._disconnected.set_exception(aiomqtt.MqttError("Unexpected disconnection"))
    await client.__aexit__(None, None, None)
    assert not client._disconnected._log_traceback
