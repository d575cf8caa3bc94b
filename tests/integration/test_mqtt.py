"""The example ingestor's MQTT source at a real broker: what Home Assistant and devices publish, as they publish it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest

from examples.ingestor.accounting import Accounting, accounting, samples
from examples.ingestor.connection import Backoff
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings
from examples.ingestor.topics import Layout
from examples.ingestor.urls import Address
from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from tests.servers.fixtures import needed
from tests.servers.mosquitto import Mosquitto

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

LAG = "homeassistant_event_lag_seconds"
RESYNCHRONIZED = "homeassistant_event_resynchronized_total"


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})
    with setup_telemetry("test", config=config) as running:
        yield running


class Line:
    """A line to a broker that can be cut and mended; clients connect to `address`."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._mended = True
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._mended:
            writer.close()
            return
        there, back = await asyncio.open_connection(self._broker.host, self._broker.port)
        self._writers += [writer, back]
        await asyncio.gather(copy(reader, back), copy(there, writer))

    def cut(self) -> None:
        self._mended = False
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def mend(self) -> None:
        self._mended = True


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
    writer.close()


@asynccontextmanager
async def ingestor(broker: Mosquitto, file: Path, *json: str) -> AsyncIterator[Line]:
    """An ingestor that writes to a file and reads from the broker over a line; it must end in time."""
    line = Line(broker)
    async with await asyncio.start_server(line.connect, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        address = Address("mqtt", host, port)
        service = Ingestor(Settings(mqtt_url=address, file=file, batch_seconds=0.05, dedup_window=0))
        layout, backoff = Layout("homeassistant", "homeassistant", json), Backoff(0.05, 0.05)
        service.sources = [MqttSource(address, layout, 1, service.intake, backoff=backoff)]
        running = asyncio.create_task(service.run())
        try:
            yield line
        finally:
            line.mend()
            service.stop()
            async with asyncio.timeout(10):
                await running


async def publish(broker: Mosquitto, *messages: tuple[str, object], retain: bool = False) -> None:
    """Publish text, bytes, or other values as JSON."""
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic, payload in messages:
            data = payload if isinstance(payload, str | bytes) else json.dumps(payload)
            await client.publish(topic, data, qos=1, retain=retain)


def stated(entity: str, state: str, moment: datetime | None = None) -> list[tuple[str, object]]:
    """The messages of mqtt_statestream about a state, with the times if there is one."""
    topic = f"homeassistant/{entity.replace('.', '/')}"
    times = () if moment is None else ("last_updated", "last_changed")
    return [(f"{topic}/state", state), *((f"{topic}/{name}", moment.isoformat()) for name in times)]


def account(telemetry: Telemetry) -> Accounting:
    found = accounting(telemetry.prometheus_text())
    assert found.adds_up, str(found)
    return found


def value(telemetry: Telemetry, name: str) -> float | None:
    return next((sample.value for sample in samples(telemetry.prometheus_text()) if sample.name == name), None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.02)


async def until_subscribed(broker: Mosquitto, telemetry: Telemetry) -> None:
    """Publish until an event is received, because the source misses live messages before it subscribes."""
    before = account(telemetry).received
    while account(telemetry).received == before:
        await publish(broker, ("homeassistant/sensor/probe/state", "1"))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)


def points(file: Path, entity: str) -> list[tuple[str, int]]:
    """The fields and timestamps of an entity's points."""
    lines = [line.split(" ") for line in file.read_text().splitlines() if f"entity_id={entity}" in line]
    return [(fields, int(timestamp)) for _, fields, timestamp in lines]


async def test_the_lag_and_the_point_have_the_time_that_statestream_publishes(mosquitto, telemetry, tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    recent = datetime.now(UTC) - timedelta(seconds=20)
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, *stated("sensor.first", "1", recent), retain=True)
        await until(lambda: account(telemetry).processed.total() >= 2)
        assert value(telemetry, f"{LAG}_sum") is None, "the first state came before the first time"
        await publish(mosquitto, *stated("sensor.a", "21", recent), *stated("sensor.b", "22", moment), retain=True)
        await until(lambda: value(telemetry, f"{LAG}_count") == 2)
    assert points(tmp_path / "points", "b") == [("value=22.0", 1_767_323_045_678_901_000)]
    assert value(telemetry, f"{LAG}_sum") > 20


async def test_states_that_overtake_their_times_get_their_own(mosquitto, telemetry, tmp_path):
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    a, b = stated("sensor.a", "1", first), stated("sensor.a", "2", second)
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, *stated("sensor.first", "1", first))
        await publish(mosquitto, a[0], b[0], a[1], b[1], a[2], b[2])
        await until(lambda: value(telemetry, f"{LAG}_count") == 2)
    assert [int(at / 1e9) for _, at in points(tmp_path / "points", "a")] == [
        int(first.timestamp()),
        int(second.timestamp()),
    ]


async def test_a_state_waits_for_its_time_in_flight_and_has_no_lag_without_it(mosquitto, telemetry, tmp_path):
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, *stated("sensor.first", "1", datetime.now(UTC)))
        before = account(telemetry)
        await publish(mosquitto, *stated("sensor.a", "1"))
        await until(lambda: account(telemetry).received > before.received)
        await until(lambda: bool(points(tmp_path / "points", "a")))
    assert account(telemetry).in_flight == 0
    assert value(telemetry, f"{LAG}_count") is None


async def test_states_that_changed_while_the_line_was_cut_are_found(mosquitto, telemetry, tmp_path):
    async with ingestor(mosquitto, tmp_path / "points") as line:
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, *stated("sensor.a", "1"), *stated("sensor.b", "1"), retain=True)
        await until(lambda: account(telemetry).processed.total() >= 3)
        line.cut()
        await publish(mosquitto, *stated("sensor.a", "2"), *stated("sensor.c", "3"), retain=True)
        before = account(telemetry)
        line.mend()
        await until(lambda: account(telemetry).received == before.received + 3)
        await until(lambda: account(telemetry).in_flight == 0)
        assert value(telemetry, RESYNCHRONIZED) == 2
        assert account(telemetry).discarded["retained"] == 1
    assert [fields for fields, _ in points(tmp_path / "points", "a")] == ["value=1.0", "value=2.0"]
    assert [fields for fields, _ in points(tmp_path / "points", "c")] == ["value=3.0"]


async def test_a_state_that_changed_back_while_the_line_was_cut_is_found_by_its_time(mosquitto, telemetry, tmp_path):
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    await publish(mosquitto, *stated("light.a", "on", times[1]), *stated("light.b", "on", times[1]), retain=True)
    async with ingestor(mosquitto, tmp_path / "points") as line:
        await until(lambda: account(telemetry).discarded["retained"] == 2)
        line.cut()
        await publish(mosquitto, *stated("light.a", "on", times[2]), *stated("light.b", "off", times[0]), retain=True)
        line.mend()
        await until(lambda: account(telemetry).discarded["retained"] == 3)
        await until(lambda: value(telemetry, RESYNCHRONIZED) == 1)
    assert [at for _, at in points(tmp_path / "points", "a")] == [int(times[2].timestamp()) * 10**9]
    assert points(tmp_path / "points", "b") == []


@pytest.mark.parametrize("entity", ["sensor.a", "input_text.a"])
async def test_an_empty_payload_is_filtered(mosquitto, telemetry, tmp_path, entity):
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        before = account(telemetry)
        await publish(mosquitto, *stated(entity, ""), retain=True)
        await until(lambda: account(telemetry).discarded["filtered"] == 1)
        assert account(telemetry).received == before.received + 1


async def test_345_announced_entities_have_345_events(mosquitto, telemetry, tmp_path):
    configs = [
        (
            f"homeassistant/sensor/0x{n}/temperature/config",
            {
                "device": {"identifiers": [f"zigbee2mqtt_0x{n}"], "name": f"Room {n}"},
                "name": "Temperature",
                "state_topic": f"zigbee2mqtt/Room {n}",
                "unit_of_measurement": "°C",
                "value_template": "{{ value_json.temperature }}",
                "availability": [{"topic": "zigbee2mqtt/bridge/state", "value_template": "{{ value_json.state }}"}],
            },
        )
        for n in range(345)
    ]
    await publish(mosquitto, *configs, retain=True)
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        before = account(telemetry)
        await publish(mosquitto, *((f"zigbee2mqtt/Room {n}", {"temperature": n, "battery": 1}) for n in range(345)))
        await until(lambda: account(telemetry).received == before.received + 345)
        await publish(mosquitto, ("zigbee2mqtt/bridge/state", {"state": "offline"}))
        await until(lambda: account(telemetry).discarded["filtered"] == 345)
    [(fields, _)] = points(tmp_path / "points", "room_7_temperature")
    assert fields == "value=7.0"
    assert "sensor,entity_id=room_7_temperature,unit=°C " in (tmp_path / "points").read_text()


async def test_a_device_that_is_announced_later_is_followed(mosquitto, telemetry, tmp_path):
    config = {
        "dev": {"ids": "1", "name": "Kitchen"},
        "cmps": {"t": {"p": "sensor", "dev_cla": "temperature", "val_tpl": "{{ value_json.t }}"}},
        "stat_t": "kitchen/state",
    }
    async with ingestor(mosquitto, tmp_path / "points") as line:
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, ("homeassistant/device/1/config", config))
        await asyncio.sleep(0.2)
        await publish(mosquitto, ("kitchen/state", {"t": 1}), retain=True)
        await until(lambda: bool(points(tmp_path / "points", "kitchen_temperature")))
        line.cut()
        await publish(mosquitto, ("kitchen/state", {"t": 2}), retain=True)
        line.mend()
        await until(lambda: value(telemetry, RESYNCHRONIZED) == 1)
    assert [fields for fields, _ in points(tmp_path / "points", "kitchen_temperature")] == ["value=1.0", "value=2.0"]


async def test_json_is_text_unless_its_topic_has_a_prefix_of_json(mosquitto, telemetry, tmp_path):
    values = {"temperature": 21.5, "humidity": 40}
    async with ingestor(mosquitto, tmp_path / "points", "zigbee2mqtt"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, ("homeassistant/sensor/a/state", values), ("zigbee2mqtt/hall", values))
        await until(lambda: bool(points(tmp_path / "points", "hall")))
    assert [fields for fields, _ in points(tmp_path / "points", "hall")] == ["temperature=21.5,humidity=40.0"]
    assert r'state="{\"temperature\": 21.5, \"humidity\": 40}"' in (tmp_path / "points").read_text()


class SmallMosquitto(Mosquitto):
    """Queues one message for a client that is away, and reports every second."""

    def command(self) -> list[str | Path]:
        command = list(super().command())
        config = Path(command[-1])
        text = config.read_text(encoding="utf-8").replace("max_queued_messages 0", "max_queued_messages 1")
        config.write_text(f"{text}sys_interval 1\n", encoding="utf-8")
        return command


async def test_messages_that_the_broker_drops_are_shown(server_directory, keep_server, telemetry, tmp_path):
    broker = SmallMosquitto(needed("mosquitto"), server_directory("mosquitto"))
    keep_server(broker)
    broker.start()
    name = "homeassistant_broker_message_dropped_total"
    async with ingestor(broker, tmp_path / "points"):
        await until(lambda: value(telemetry, name) == 0)
        async with aiomqtt.Client(broker.host, broker.port, identifier="away", clean_session=False) as client:
            await client.subscribe("away/#", qos=1)
        await publish(broker, *[("away/a", "1")] * 5)
        await until(lambda: value(telemetry, name) == 4)


@pytest.mark.parametrize(
    "config",
    [
        {"state_topic": "a\ud800"},
        {"state_topic": "~/state", "~": "a/#"},
        {"state_topic": "~", "~": ""},
        {"state_topic": "x" * 70_000},
        {"state_topic": "zig/lamp\n"},
        {"state_topic": "a\u0001b"},
        {"state_topic": "a\u0085b"},
        {"state_topic": "a\uffff"},
        {"state_topic": "\ufdd0"},
        {"state_topic": "a/" * 250},
        {"state_topic": "$share/x"},
        {"state_topic": "t", "availability_topic": "a\n"},
        {"state_topic": "t", "availability_template": "{{ value_json.s | default({}) }}", "availability_topic": "u"},
    ],
    ids=lambda config: ascii(config)[:60],
)
async def test_an_announced_topic_that_is_not_valid_stops_no_messages(mosquitto, telemetry, tmp_path, caplog, config):
    announcement = ("homeassistant/sensor/x/config", json.dumps({"name": "x", **config}))
    await publish(mosquitto, announcement, retain=True)
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, ("t", "1"), ("u", "1"), ("homeassistant/sensor/a/state", "7"))
        await until(lambda: bool(points(tmp_path / "points", "a")))
    warnings = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert [line.split(":")[1] for line in warnings] == [" in the announcement on homeassistant/sensor/x/config"]


async def test_the_retained_state_of_a_device_that_is_announced_later_is_an_event(mosquitto, telemetry, tmp_path):
    async with ingestor(mosquitto, tmp_path / "points"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, ("zz/door", "ON"), retain=True)
        config = {"name": "Door", "state_topic": "zz/door"}
        await publish(mosquitto, ("homeassistant/binary_sensor/door/config", config), retain=True)
        await until(lambda: bool(points(tmp_path / "points", "door")))
    assert [fields for fields, _ in points(tmp_path / "points", "door")] == ['value=1.0,state="on"']
    assert value(telemetry, RESYNCHRONIZED) == 1


async def test_the_retained_states_of_devices_that_were_announced_before_are_history(mosquitto, telemetry, tmp_path):
    for number in range(200):
        config = {"name": f"Door {number}", "state_topic": f"zz/{number}"}
        await publish(mosquitto, (f"homeassistant/binary_sensor/door{number}/config", config), retain=True)
    await publish(mosquitto, *[(f"zz/{number}", "ON") for number in range(200)], retain=True)
    async with ingestor(mosquitto, tmp_path / "points"):
        await until(lambda: account(telemetry).discarded["retained"] == 200)
    assert value(telemetry, RESYNCHRONIZED) is None


@pytest.mark.parametrize(("name", "entity"), [("кухня", "kukhnia"), ("Straße", "strasse"), ("厨房", "chu_fang")])
async def test_a_device_with_a_name_in_any_script_has_points(mosquitto, telemetry, tmp_path, name, entity):
    async with ingestor(mosquitto, tmp_path / "points", "zigbee2mqtt"):
        await until_subscribed(mosquitto, telemetry)
        await publish(mosquitto, (f"zigbee2mqtt/{name}", {"temperature": 21.5}))
        await until(lambda: bool(points(tmp_path / "points", entity)))
