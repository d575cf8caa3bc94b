"""The example ingestor's points in real stores: the right values, or none; and nothing lost while a store is away."""

import asyncio
import time

import pytest

from examples.ingestor.accounting import Accounting, accounting
from examples.ingestor.event import Event
from examples.ingestor.frames import parse
from examples.ingestor.http_sink import HttpWriter
from examples.ingestor.line_protocol import Point, to_point
from examples.ingestor.outage import UnavailableError
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings
from examples.ingestor.sink import BatchSink
from examples.ingestor.urls import Address, address
from otel_ha import TelemetryConfig, setup_telemetry
from tests.servers.running import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

NOW = time.time_ns() // 10**9 * 10**9
HOSTILE = [
    "a\\",
    'say "hi"\\',
    "a, b = c\\,",
    "two\nlines",
    "\x00nul",
    "# comment",
    "ünï €",
    "1_000",
    "١٢",
    "1e999",
    "-inf",
    "NaN",
    "0x1p3",
    "5i",
    "t",
    "F",
    " ",
]


class Idle:
    """A source without events, for tests that put their own into the intake."""

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()


class Puts:
    """A source that puts these events into the intake, then stops the service."""

    def __init__(self, service: Ingestor, events: list[Event]) -> None:
        self.service = service
        self.events = events

    async def run(self, _: asyncio.Event) -> None:
        for event in self.events:
            self.service.intake.put(event)
        self.service.stop()


def states(*found: str, entity_id: str = "climate.x", **attributes: object) -> list[Event]:
    """Events with these states, a second apart."""
    return [
        Event("mqtt", entity_id, state, NOW - (len(found) - number) * 10**9, attributes)
        for number, state in enumerate(found)
    ]


def service(store: object, **settings: object) -> Ingestor:
    name = {"influxd": "influxdb", "victoria-metrics": "victoriametrics"}[store.name]
    url = address(store.url, {"http": 80})
    made = Ingestor(Settings(mqtt_url=Address("mqtt", "127.0.0.1", 1), batch_seconds=0.05, **{name: url}, **settings))
    made.sources = [Idle()]
    return made


async def ingest(store: object, events: list[Event], **settings: object) -> Accounting:
    """Take the events to the store; return the accounting, which adds up."""
    with setup_telemetry("test", config=config()) as telemetry:
        made = service(store, **settings)
        made.sources = [Puts(made, events)]
        await made.run()
        found = accounting(telemetry.prometheus_text())
    assert found.adds_up, str(found)
    assert found.in_flight == 0
    return found


def config() -> TelemetryConfig:
    return TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})


@pytest.fixture
def home(influxdb):
    """An InfluxDB with the database of the ingestor."""
    influxdb.create_database("homeassistant")
    return influxdb


@pytest.mark.parametrize(
    "found", [("heat", "off", "heat", "off"), ("armed", "on"), ("opening", "OPEN\n"), ("jammed", "LOCKED")]
)
async def test_the_last_state_of_an_entity_is_its_last_state_in_influxdb(home, found):
    await ingest(home, states(*found))
    [row] = home.query("SELECT last(state) FROM climate", "homeassistant")
    assert row["last"] == found[-1].strip().lower()


async def test_influxdb_stores_any_text_as_it_is_but_for_control_characters(home):
    account = await ingest(home, states(*HOSTILE, unit_of_measurement="a b,c=d\\"), dedup_window=0.0)
    assert dict(account.points) == {"ok": len(HOSTILE)}
    rows = home.query("SELECT state FROM climate", "homeassistant")
    assert [row["state"] for row in rows] == [text.replace("\n", " ").replace("\x00", " ") for text in HOSTILE]


async def test_attributes_and_tags_are_fields_and_tags_in_influxdb(home):
    chosen = {"attributes": (("light.*", ("brightness", "time", "effect", "rgb")),), "tags": ("friendly_name",)}
    events = [
        event
        for brightness in (100, 200)
        for event in states(
            "on", entity_id="light.a", brightness=brightness, time=1, effect='a "b"\\', rgb=[1], friendly_name="A, b"
        )
    ]
    events[0] = Event("mqtt", "light.a", "on", NOW - 2 * 10**9, events[0].attributes)
    account = await ingest(home, events, **chosen)
    assert dict(account.points) == {"ok": 2}
    rows = home.query("SELECT * FROM light", "homeassistant")
    assert [row["brightness"] for row in rows] == [100, 200]
    assert (rows[0]["time_"], rows[0]["effect_str"], rows[0]["rgb_str"]) == (1, 'a "b"\\', "[1]")
    assert rows[0]["friendly_name"] == "A, b"


async def test_victoriametrics_stores_numbers_and_no_text(victoria_metrics):
    found = ["heat", "off", "inf", "ON\n", "-Infinity", "nan", "21.5", "1e999"]
    account = await ingest(victoria_metrics, states(*found))
    assert dict(account.discarded) == {"unsupported": 5}
    assert dict(account.points) == dict(account.processed) == {"ok": 3}
    [(labels, samples)] = victoria_metrics.export('{__name__=~"climate.*"}')
    assert (labels["__name__"], [value for _, value in samples]) == ("climate_value", [0, 1, 21.5])


async def test_victoriametrics_stores_text_as_a_label_on_request(victoria_metrics):
    account = await ingest(victoria_metrics, states("heat", "cool", "off", "heat"), text_as_label=True)
    assert dict(account.points) == {"ok": 4}
    series = victoria_metrics.export("climate_state")
    values = {labels["state"]: [value for _, value in samples] for labels, samples in series}
    assert values == {"heat": [1, 0, 1], "cool": [1, 0]}
    assert [value for _, samples in victoria_metrics.export("climate_value") for _, value in samples] == [0]


async def test_victoriametrics_stores_each_text_under_its_own_label(victoria_metrics):
    account = await ingest(
        victoria_metrics, states(*HOSTILE, unit_of_measurement="a b,c=d\\"), text_as_label=True, dedup_window=0.0
    )
    assert dict(account.points) == {"ok": len(HOSTILE)}
    stored = {labels["state"] for labels, _ in victoria_metrics.export("climate_state")}
    assert stored == {text.replace("\n", " ").replace("\x00", " ").replace("\\", "/").strip() for text in HOSTILE[:-1]}


@pytest.fixture(params=["influxdb", "victoria_metrics"])
def store(request):
    """A store, and a function that returns the numbers that it holds in the series sensor.a."""
    server = request.getfixturevalue(request.param)
    if request.param == "victoria_metrics":
        return server, lambda: [value for _, samples in server.export("sensor_value") for _, value in samples]
    server.create_database("homeassistant")
    return server, lambda: [row["value"] for row in server.query("SELECT value FROM sensor", "homeassistant")]


async def test_a_time_that_no_store_can_hold_loses_neither_its_point_nor_the_batch(store):
    server, stored = store
    moments = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1677-09-22T00:00:00Z", "1969-12-31T00:00:00Z"]
    events = [parse(changed(str(number), moment)) for number, moment in enumerate(moments)]
    account = await ingest(server, [*events, *states("4", entity_id="sensor.a")])
    assert dict(account.points) == {"ok": 5}
    assert sorted(stored()) == [0, 1, 2, 3, 4]


def changed(state: str, last_updated: str) -> dict[str, object]:
    """A state_changed message of Home Assistant."""
    new_state = {"state": state, "last_updated": last_updated}
    return {"event": {"data": {"entity_id": "sensor.a", "new_state": new_state}}}


async def test_long_names_and_units_lose_no_point(store):
    server, stored = store
    events = states("1", "2", entity_id="sensor.a", friendly_name="ü" * 40_000, unit_of_measurement="x" * 70_000)
    account = await ingest(server, events, tags=("friendly_name",))
    assert (dict(account.points), sorted(stored())) == ({"ok": 2}, [1, 2])


async def test_a_batch_that_is_larger_than_influxdb_accepts_loses_no_point(home, caplog):
    events = states(*map(str, range(500)), entity_id="sensor.a", notes="x" * 60_000)  # 30 MB; the limit is 25 MB
    sink = BatchSink(HttpWriter("influxdb", address(home.url, {"http": 80}), "homeassistant", timeout=60), 500, 60)
    running = asyncio.create_task(sink.run())
    for event in events:
        await sink.put(to_point(event, ["notes"]))
    await sink.close()
    await running
    assert [row["count"] for row in home.query("SELECT count(value) FROM sensor", "homeassistant")] == [500]
    assert [line for line in caplog.messages if "HTTP 413" in line and "in halves" in line] == caplog.messages


async def test_points_wait_if_the_path_is_not_one_of_victoriametrics(victoria_metrics):
    writer = HttpWriter("victoriametrics", address(f"{victoria_metrics.url}/nowhere", {"http": 80}), "", timeout=10)
    try:
        with pytest.raises(UnavailableError, match="unsupported path requested") as raised:
            await writer.write([to_point(event) for event in states("1", "2")])
    finally:
        await writer.close()
    assert raised.value.refused


async def test_a_line_that_victoriametrics_cannot_parse_does_not_wait(victoria_metrics):
    writer = HttpWriter("victoriametrics", address(victoria_metrics.url, {"http": 80}), "", timeout=10)
    [event] = states("1")
    try:
        answer = await writer.write([Point("no_field", "sensor", event)])
    finally:
        await writer.close()
    assert answer.rejected == 1


async def test_a_restart_of_the_store_in_mid_stream_loses_nothing_and_costs_two_lines(store, caplog):
    server, stored = store
    caplog.set_level("INFO", "examples.ingestor")
    with setup_telemetry("test", config=config()) as telemetry:
        made = service(server, batch_size=10)
        running = asyncio.create_task(made.run())
        for number, event in enumerate(states(*map(str, range(300)), entity_id="sensor.a")):
            if number == 100:
                await asyncio.to_thread(server.stop)
            if number == 200:
                await asyncio.sleep(1)
                await asyncio.to_thread(server.start)
            made.intake.put(event)
            await asyncio.sleep(0.002)
        await asyncio.to_thread(
            eventually, lambda: accounting(telemetry.prometheus_text()).points, lambda points: points["ok"] == 300
        )
        made.stop()
        await running
        account = accounting(telemetry.prometheus_text())
    assert dict(account.points) == {"ok": 300}
    assert set(stored()) == set(map(float, range(300)))
    failed, recovered = caplog.messages
    assert "cannot write: no answer from" in failed
    assert recovered.endswith("; 0 events were lost meanwhile")


async def test_an_outage_longer_than_the_queues_discards_the_newest_events_and_says_how_many(store, caplog):
    server, stored = store
    caplog.set_level("INFO", "examples.ingestor")
    await asyncio.to_thread(server.stop)
    with setup_telemetry("test", config=config()) as telemetry:
        made = service(server, batch_size=10, queue_capacity=50)
        running = asyncio.create_task(made.run())
        for event in states(*map(str, range(300)), entity_id="sensor.a"):
            made.intake.put(event)
            await asyncio.sleep(0.002)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(
            eventually, lambda: accounting(telemetry.prometheus_text()), lambda account: not account.in_flight
        )
        made.stop()
        await running
        account = accounting(telemetry.prometheus_text())
    lost = account.discarded["overflow"]
    assert account.adds_up
    assert lost > 100
    assert sorted(stored()) == list(map(float, range(300 - lost)))
    assert [("cannot write" in line, "is full" in line) for line in caplog.messages[:2]] == [
        (True, False),
        (False, True),
    ]
    assert [line.rpartition("; ")[2] for line in caplog.messages[2:]] == [f"{lost} events were lost meanwhile"]


async def test_points_wait_until_a_missing_database_is_created(influxdb, caplog):
    with setup_telemetry("test", config=config()) as telemetry:
        made = service(influxdb)
        running = asyncio.create_task(made.run())
        for event in states("1", "2", entity_id="sensor.a"):
            made.intake.put(event)
        await asyncio.to_thread(eventually, lambda: caplog.messages)
        await asyncio.to_thread(influxdb.create_database, "homeassistant")
        await asyncio.to_thread(
            eventually, lambda: accounting(telemetry.prometheus_text()).points, lambda points: points["ok"] == 2
        )
        made.stop()
        await running
    assert "create it, or choose another one with --influxdb-database" in caplog.messages[0]
    assert len(influxdb.query("SELECT value FROM sensor", "homeassistant")) == 2
