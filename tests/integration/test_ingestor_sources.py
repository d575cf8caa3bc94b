"""The sources of the ingestor on a real broker and a real store."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import paho.mqtt.client as mqtt
import pytest

from examples.ingestor import dedup
from examples.ingestor.accounting import Accounting, accounting, samples
from examples.ingestor.connection import Backoff
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings
from examples.ingestor.topics import Layout
from examples.ingestor.urls import Address
from otel_ha import TelemetryConfig, setup_telemetry
from tests.home_assistant import TOKEN, HomeAssistant, listen, serving, state_of
from tests.servers.running import HOST

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
def telemetry():
    config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})
    with setup_telemetry("test", config=config) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.02)


def active(telemetry, kind: str = "mqtt") -> float:
    name = "homeassistant_connection_active"
    found = {
        s.labels["homeassistant_connection_kind"]: s for s in samples(telemetry.prometheus_text()) if s.name == name
    }
    return found[kind].value


async def test_a_frozen_broker_is_no_active_connection_and_a_thawed_one_is(telemetry, mosquitto):
    stopping = asyncio.Event()
    layout, quick = Layout("homeassistant", "homeassistant"), Backoff(first=0.1, limit=0.1)
    address = Address("mqtt", mosquitto.host, mosquitto.port)
    source = MqttSource(address, layout, 0, Intake(1), backoff=quick, keepalive=1)
    running = asyncio.create_task(source.run(stopping))
    await until(lambda: active(telemetry) == 1)
    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        await until(lambda: active(telemetry) == 0)
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
    await until(lambda: active(telemetry) == 1)
    stopping.set()
    await running


class Streams:
    """A Home Assistant that reports each state over its WebSocket API and over mqtt_statestream."""

    def __init__(self, broker) -> None:
        self.home = HomeAssistant(self.talk)
        self.home.states = [state_of("sensor.power", "0", at=time.time(), unit_of_measurement="W")]
        self.sockets: list = []
        self._mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._mqtt.connect(broker.host, broker.port)
        self._mqtt.loop_start()

    async def talk(self, socket) -> None:
        self.sockets.append(socket)
        await listen(socket)

    async def fire(self, state: str, *, timestamps: bool) -> None:
        """Report a state on both ways, over MQTT with its time or without."""
        new = state_of("sensor.power", state, at=time.time(), unit_of_measurement="W")
        message = {"id": 2, "type": "event", "event": {"data": {"entity_id": "sensor.power", "new_state": new}}}
        await self.sockets[-1].send_json(message)
        await self.publish(new, timestamps=timestamps)

    async def publish(self, new: dict, *, timestamps: bool) -> None:
        """Report a state over MQTT alone."""
        messages = {"state": new["state"]} | ({"last_updated": new["last_updated"]} if timestamps else {})
        for topic, payload in messages.items():
            published = self._mqtt.publish(f"homeassistant/sensor/power/{topic}", payload, qos=1, retain=True)
            await asyncio.to_thread(published.wait_for_publish, 10)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


@asynccontextmanager
async def both_sources(streams: Streams, broker, telemetry, **store: object):
    """Run the ingestor on both ways to a home."""
    async with serving(streams.home) as address:
        broker_at = Address("mqtt", broker.host, broker.port)
        ingestor = Ingestor(
            Settings(mqtt_url=broker_at, home_assistant_url=address, home_assistant_token=TOKEN, **store)
        )
        running = asyncio.create_task(ingestor.run())
        await until(lambda: active(telemetry) == active(telemetry, "websocket") == 1 and bool(streams.sockets))
        yield
        ingestor.stop()
        await running


@pytest.mark.parametrize("timestamps", [False, True])
async def test_both_sources_of_a_home_give_one_series_and_each_state_once(telemetry, mosquitto, influxdb, timestamps):
    influxdb.create_database("homeassistant")
    streams = Streams(mosquitto)
    address = Address("http", HOST, int(influxdb.address.split(":")[1]))
    try:
        async with both_sources(streams, mosquitto, telemetry, influxdb=address):
            for number in [1, 2, 1, 1, 3]:
                await streams.fire(str(number), timestamps=timestamps)
            await until(lambda: account(telemetry).received >= 10)
    finally:
        streams.close()
    series = influxdb.query("SHOW SERIES", "homeassistant")
    assert [row["key"] for row in series] == ["sensor,entity_id=power,unit=W"]
    written = influxdb.query("SELECT value FROM sensor", "homeassistant")
    assert [row["value"] for row in written] == [1, 2, 1, 3]


async def test_a_state_of_one_source_is_not_written_again_after_a_long_gap_of_the_other(
    telemetry, mosquitto, influxdb, monkeypatch
):
    monkeypatch.setattr(dedup, "ACROSS", 0.0)  # so that any gap is long
    influxdb.create_database("homeassistant")
    streams = Streams(mosquitto)
    store = Address("http", HOST, int(influxdb.address.split(":")[1]))
    try:
        async with both_sources(streams, mosquitto, telemetry, influxdb=store, dedup_window=0.0):
            await streams.fire("1", timestamps=False)
            await until(lambda: account(telemetry).received == 2)
            await streams.sockets[-1].close()
            new = state_of("sensor.power", "2", at=time.time(), unit_of_measurement="W")
            streams.home.states = [new]
            await streams.publish(new, timestamps=False)
            await until(lambda: account(telemetry).received == 4)  # over MQTT, and once WebSocket is back
    finally:
        streams.close()
    assert account(telemetry).discarded["duplicate"] == 2
    written = influxdb.query("SELECT value FROM sensor", "homeassistant")
    assert [row["value"] for row in written] == [1, 2]


def account(telemetry) -> Accounting:
    found = accounting(telemetry.prometheus_text())
    assert found.adds_up, str(found)
    return found
