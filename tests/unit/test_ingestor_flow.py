"""The accounting of events between their source and their sink."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from examples.ingestor import service as service_module
from examples.ingestor.__main__ import account as account_line
from examples.ingestor.accounting import Accounting, accounting, samples
from examples.ingestor.event import Event
from examples.ingestor.intake import Intake
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings
from examples.ingestor.transformer import Transformer
from examples.ingestor.urls import Address
from otel_ha import Telemetry, TelemetryConfig, setup_telemetry


def event(number: int, entity_id: str = "sensor.a") -> Event:
    return Event("mqtt", entity_id, str(number), number)


def account(telemetry: Telemetry) -> Accounting:
    found = accounting(telemetry.prometheus_text())
    assert found.adds_up, str(found)
    return found


def ingestor(path: Path, **settings: object) -> Ingestor:
    """An ingestor whose broker does not exist; tests put events into its intake."""
    return Ingestor(Settings(mqtt_url=Address("mqtt", "127.0.0.1", 1), file=path / "points", **settings))


def lags(telemetry: Telemetry) -> dict[str, float]:
    found = samples(telemetry.prometheus_text())
    return {s.name: s.value for s in found if s.name.startswith("homeassistant_event_lag")}


async def test_a_full_queue_discards_new_events(telemetry):
    intake = Intake(2)
    for number in range(5):
        intake.put(event(number))
    assert dict(account(telemetry).discarded) == {"overflow": 3}
    assert account(telemetry).in_flight == 2


async def test_overflow_is_logged_once_until_the_queue_was_empty(caplog):
    intake = Intake(2)
    for number in range(5):
        intake.put(event(number))
    assert [record.getMessage() for record in caplog.records] == [
        "the queue of 2 events is full; new events are discarded while it is (--queue-capacity)"
    ]
    assert intake.overflowed == 3


async def test_the_metrics_show_the_size_and_age_of_the_queue(telemetry):
    intake = Intake(10)
    intake.put(event(1))
    await asyncio.sleep(0.05)
    values = {s.name: s.value for s in samples(telemetry.prometheus_text()) if s.name.startswith("homeassistant_queue")}
    assert values["homeassistant_queue_size"] == 1
    assert values["homeassistant_queue_capacity"] == 10
    assert 0.05 <= values["homeassistant_queue_oldest_item_age_seconds"] < 1


async def test_the_age_of_an_empty_queue_is_zero():
    assert Intake(1).oldest_age() == 0


async def test_a_closed_queue_ends_once_it_is_empty():
    intake = Intake(1000)
    for number in range(200):
        intake.put(event(number))
    intake.close()
    assert [e.timestamp async for _, e in intake.events()] == list(range(200))


async def test_other_tasks_run_while_the_queue_is_long():
    intake = Intake(1000)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for number in range(1000):
        intake.put(event(number))
    intake.close()
    others = asyncio.create_task(other())
    async for _ in intake.events():
        pass
    others.cancel()
    assert turns > 10


async def test_an_abandoned_queue_discards_its_events(telemetry):
    intake = Intake(10)
    for number in range(4):
        intake.put(event(number))
    intake.abandon()
    assert dict(account(telemetry).discarded) == {"shutdown": 4}


async def test_received_events_are_processed_and_written_before_the_end(telemetry, tmp_path):
    service = ingestor(tmp_path, exclude=("light.*",), batch_size=7)
    for number in range(100):
        service.intake.put(event(number))
    service.intake.put(event(99))
    service.intake.put(event(0, "light.a"))
    service.stop()
    await service.run()
    assert dict(account(telemetry).discarded) == {"duplicate": 1, "filtered": 1}
    assert dict(account(telemetry).points) == {"ok": 100}
    assert len((tmp_path / "points").read_text().splitlines()) == 100


async def test_events_that_waited_for_the_store_are_compared_by_the_times_of_their_arrival(telemetry, tmp_path):
    service = ingestor(tmp_path, dedup_window=0.02)
    for _ in range(5):
        service.intake.put(Event("mqtt", "sensor.a", "1", 1))
        await asyncio.sleep(0.03)
    service.stop()
    await service.run()
    assert dict(account(telemetry).points) == {"ok": 5}


async def test_an_event_that_the_store_cannot_take_is_discarded_as_unsupported(telemetry, tmp_path):
    service = ingestor(tmp_path)
    service._processor._transformer = Transformer(text=False)
    for number, state in enumerate(["heat", "off", "inf", "5"]):
        service.intake.put(Event("mqtt", "climate.x", state, number))
    service.stop()
    await service.run()
    assert dict(account(telemetry).discarded) == {"unsupported": 2}
    assert dict(account(telemetry).processed) == dict(account(telemetry).points) == {"ok": 2}


async def test_every_event_is_counted_if_there_is_no_time_to_drain(telemetry, tmp_path):
    service = ingestor(tmp_path, drain_timeout=0.0, batch_size=1)
    for number in range(100):
        service.intake.put(event(number))
    service.stop()
    await service.run()
    found = account(telemetry)
    assert (found.received, found.in_flight) == (100, 0)
    assert found.processed["ok"] == found.points.total()
    assert found.discarded["shutdown"] > 0


async def test_the_lag_starts_at_the_time_of_the_state(telemetry, tmp_path):
    service = ingestor(tmp_path)
    service.intake.put(replace(event(0), timed=True))
    service.stop()
    await service.run()
    assert lags(telemetry)["homeassistant_event_lag_seconds_sum"] > 50 * 365 * 86_400


async def test_a_state_without_a_time_of_its_own_has_no_lag(telemetry, tmp_path):
    service = ingestor(tmp_path)
    service.intake.put(event(0))
    service.stop()
    await service.run()
    assert dict(account(telemetry).points) == {"ok": 1}
    assert lags(telemetry) == {}


async def test_a_cleared_state_is_filtered_from_any_source(telemetry, tmp_path):
    service = ingestor(tmp_path)
    service.intake.put(Event("mqtt", "input_text.a", "", 1))
    service.intake.put(Event("websocket", "input_text.a", "", 1))
    service.stop()
    await service.run()
    assert dict(account(telemetry).discarded) == {"filtered": 2}


async def test_an_event_that_cannot_be_processed_counts_as_an_error_and_the_service_continues(telemetry, tmp_path):
    endless: dict[str, object] = {}
    endless["self"] = endless  # cannot be serialised, so de-duplication raises ValueError
    service = ingestor(tmp_path)
    service.intake.put(Event("mqtt", "sensor.a", "1", 1, endless))
    service.intake.put(event(2))
    service.stop()
    await service.run()
    assert dict(account(telemetry).processed) == {"error": 1, "ok": 1}


async def test_every_event_is_counted_if_a_source_fails(telemetry, tmp_path):
    class Broken:
        async def run(self, _: asyncio.Event) -> None:
            raise ValueError("broken")

    service = ingestor(tmp_path, batch_size=1)
    service.sources = [Broken()]
    for number in range(100):
        service.intake.put(event(number))
    with pytest.raises(ExceptionGroup):
        await service.run()
    found = account(telemetry)
    assert (found.received, found.in_flight) == (100, 0)
    assert found.processed["ok"] == found.points.total()
    assert found.discarded["shutdown"] > 0


async def test_the_last_line_does_not_claim_numbers_if_events_are_not_counted():
    config = TelemetryConfig(
        metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, business_metrics=False, environ={}
    )
    with setup_telemetry("test", config=config) as telemetry:
        line = account_line(telemetry)
    assert line == "no accounting: business metrics are off (OTEL_HA_BUSINESS_METRICS)"


async def test_a_source_that_does_not_end_costs_no_received_event(telemetry, tmp_path):
    class Stuck:
        async def run(self, _: asyncio.Event) -> None:
            await asyncio.Event().wait()

    service = ingestor(tmp_path, drain_timeout=6.0)  # a half of it is the source's
    service.sources = [Stuck()]
    for number in range(100):
        service.intake.put(event(number))
    service.stop()
    await service.run()
    assert dict(account(telemetry).points) == {"ok": 100}


async def test_states_without_units_are_announced_if_home_assistant_is_away(telemetry, tmp_path, caplog, monkeypatch):
    class Away:
        async def run(self, stopping: asyncio.Event) -> None:
            await stopping.wait()

    monkeypatch.setattr(service_module, "LEARNED_WITHIN", 0.01)
    service = ingestor(tmp_path)
    service.sources = [Away(), Away()]
    service.intake.put(event(1))
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0.1)
    service.stop()
    await running
    assert ["series without unit" in line for line in caplog.messages] == [True]
    assert (tmp_path / "points").read_text().startswith("sensor,entity_id=a value=1.0")


async def test_an_event_before_the_attributes_of_its_entity_starts_no_second_series(telemetry, tmp_path):
    class Tells:
        def __init__(self, intake: Intake) -> None:
            self.intake = intake

        async def run(self, _: asyncio.Event) -> None:
            self.intake.put(event(1))
            await asyncio.sleep(0.05)
            self.intake.descriptions.describe("sensor.a", {"unit_of_measurement": "W"})
            self.intake.descriptions.learned.set()
            self.intake.put(Event("websocket", "sensor.a", "2", 2, {"unit_of_measurement": "W"}, timed=True))

    service = ingestor(tmp_path)
    service.sources.append(Tells(service.intake))
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0.1)
    service.stop()
    await running
    lines = (tmp_path / "points").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"sensor,entity_id=a,unit=W"}
    assert len(lines) == 2
