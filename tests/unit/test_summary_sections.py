"""The tables, connections and metrics of a summary agree with what was recorded."""

import json
import math

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from otel_ha import Attribute, Catalog, Counter, Gauge, Histogram, ObservableGauge, measured, setup_telemetry
from otel_ha.declare.catalog import Objective
from otel_ha.declare.instruments import GROUPS
from otel_ha.serve.summary.summary import summary
from otel_ha.vocabulary import ha_ingestor, ingest, messaging, runtime
from tests.history import run
from tests.unit.conftest import config
from tests.unit.test_summary import valid

ROOM = Attribute("test.room", "A room.", budget=3)
VISITS = Counter("test.visits", unit="{visit}", description="Visits.", attributes=(ROOM,), series=50)
SYNC_TIME = Histogram("test.sync.duration", unit="s", description="Time to sync.", attributes=(ROOM,))
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.")
LEVEL = Gauge("test.level", unit="1", description="A level.")
OBJECTIVES = tuple(
    Objective(SYNC_TIME, bound=bound, target=0.75, description=f"75 % within {bound}.") for bound in (0.25, 0.5)
)
OURS = Catalog(VISITS, SYNC_TIME, DEPTH, LEVEL, objectives=OBJECTIVES)


def taken(recorded, catalog: Catalog = ingest.CATALOG, **more: object) -> dict:
    recorded.collect(10)
    return summary(recorded.history, service="test", groups=GROUPS, catalog=catalog, started=1e9, **more)


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


@pytest.fixture
def recorded():
    with run() as recorded:
        yield recorded


def test_sources_are_listed_largest_first(recorded):
    for source, number in (("mqtt", 1), ("websocket", 3)):
        for _ in range(number):
            with measured(ingest.EVENT, source=source, domain="light"):
                pass
    with pytest.raises(OSError, match="disk"), measured(ingest.EVENT, source="mqtt"):
        raise OSError("disk")
    with measured(ingest.EVENT, source="mqtt") as event:
        event.discard("duplicate")
    found = taken(recorded)["tables"]
    assert found["sources"] == [
        {"name": name, "received": 3, "processed": processed, "errors": errors, "discarded": discarded}
        | {"in_flight": 0, "rate": 0.3}
        for name, processed, errors, discarded in (("websocket", 3, 0, 0), ("mqtt", 2, 1, 1))
    ]
    assert found["domains"] == [
        {"name": "light", "processed": 4, "errors": 0, "rate": 0.4},
        {"name": "unknown", "processed": 1, "errors": 1, "rate": 0.1},
    ]
    assert found["reasons"] == [{"name": "duplicate", "discarded": 1, "rate": 0.1}]


def test_rates_cover_the_window_and_counts_the_time_since_the_start(recorded):
    ingest.RECEIVED.add(600, source="mqtt")
    recorded.collect(600)
    ingest.RECEIVED.add(30, source="mqtt")
    recorded.collect(290)
    [row] = taken(recorded)["tables"]["sources"]
    assert (row["received"], row["rate"]) == (630, 0.1)


def test_sinks_have_the_writes_of_the_database_product_of_their_name(recorded):
    ingest.POINTS_WRITTEN.add(20, sink="influxdb", measurement="light", outcome="ok")
    ingest.POINTS_WRITTEN.add(3, sink="influxdb", measurement="light", outcome="error", error_type="400")
    ingest.POINTS_WRITTEN.add(1, sink="file", outcome="ok")
    ingest.WRITE_DURATION.record(0.2, system="influxdb", operation="write", outcome="ok")
    ingest.WRITE_DURATION.record(0.2, system="influxdb", operation="write", outcome="error")
    influxdb, file = taken(recorded)["tables"]["sinks"]
    assert influxdb.pop("p95_write_ms") == pytest.approx(200, rel=0.03)
    assert influxdb == {"name": "influxdb", "ok": 20, "lost": 3, "rate": 2, "errors": 1}
    assert file == {"name": "file", "ok": 1, "lost": 0, "rate": 0.1, "errors": None, "p95_write_ms": None}


def test_errors_are_those_of_components_and_of_events(recorded):
    ingest.ERRORS.add(2, component="mqtt", error_type="timeout", severity="error")
    ingest.ERRORS.add(1, component="mqtt", error_type="timeout", severity="critical")
    ingest.ERRORS.add(1, component="influxdb", error_type="timeout", severity="error")
    with pytest.raises(ValueError, match="x"), measured(ingest.EVENT, source="mqtt"):
        raise ValueError("x")
    assert taken(recorded)["tables"]["errors"] == [
        {"name": "timeout", "component": "mqtt", "count": 3, "rate": 0.3},
        {"name": "ValueError", "component": "event processing", "count": 1, "rate": 0.1},
        {"name": "timeout", "component": "influxdb", "count": 1, "rate": 0.1},
    ]


def test_columns_that_are_not_measured_are_null():
    with setup_telemetry(config=config(business_metrics=False)) as telemetry:
        with measured(ingest.EVENT, source="mqtt"):
            pass
        found = valid(telemetry.summary())["tables"]
    assert found["sources"] == [
        {"name": "mqtt", "received": None, "processed": 1, "errors": 0, "discarded": None, "in_flight": None}
        | {"rate": None}
    ]
    assert found["reasons"] == found["sinks"] == []


def test_connections_have_the_age_of_the_last_message_of_their_source(recorded):
    ingest.CONNECTIONS.add(1, kind="mqtt")
    ingest.CONNECTIONS.add(0, kind="websocket")
    ingest.RECONNECTS.add(2, kind="websocket")
    ingest.CONNECTIONS_CLOSED.add(3, kind="websocket", reason="1000")
    ingest.CONNECTIONS_CLOSED.add(1, kind="websocket")
    ingest.MESSAGE_AGE.observe(lambda: 2.5, source="mqtt")
    ingest.MESSAGE_AGE.observe(lambda: 7, source="file")
    assert taken(recorded)["connections"] == [
        {"name": "file", "up": None, "message_age": 7, "reconnects": 0, "closed": {}},
        {"name": "mqtt", "up": 1, "message_age": 2.5, "reconnects": 0, "closed": {}},
        {"name": "websocket", "up": 0, "message_age": None, "reconnects": 2, "closed": {"1000": 3, "unknown": 1}},
    ]


def test_every_instrument_of_the_catalog_is_described_in_order():
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        found = valid(telemetry.summary())["metrics"]
    everything = OURS | messaging.CATALOG | runtime.CATALOG | ha_ingestor.CATALOG
    assert [each["name"] for each in found] == [each.name for each in everything]
    assert [each["kind"] for each in found[:4]] == ["counter", "histogram", "observable_gauge", "gauge"]
    assert found[0] | {"values": []} == {
        "name": "test.visits",
        "prometheus_name": "test_visits_total",
        "kind": "counter",
        "unit": "{visit}",
        "description": "Visits.",
        "group": "business",
        "limit": 50,
        "on": True,
        "series": 0,
        "values": [],
        "omitted": 0,
        "budgets": [{"attribute": "test.room", "used": 0, "budget": 3}],
        "objectives": [],
    }


def test_metrics_have_their_values():
    with run(catalog=OURS) as recorded:
        VISITS.add(2, room="hall")
        LEVEL.set(0.5)
        SYNC_TIME.record(0.2, room="hall")
        SYNC_TIME.record(0.4, room="hall")
        found = by_name(taken(recorded, OURS)["metrics"])
    assert found["test.visits"]["values"] == [{"attributes": {"test.room": "hall"}, "value": 2}]
    assert found["test.level"]["values"] == [{"attributes": {}, "value": 0.5}]
    [distribution] = found["test.sync.duration"]["values"]
    assert distribution["value"]["count"] == 2
    assert distribution["value"]["sum"] == pytest.approx(0.6)
    assert distribution["value"]["p50"] == pytest.approx(0.2, rel=0.03)
    assert distribution["value"]["p95"] == distribution["value"]["p99"] == pytest.approx(0.4, rel=0.03)


def test_quantiles_cover_the_window_and_are_null_without_measurements_in_it():
    with run(catalog=OURS) as recorded:
        SYNC_TIME.record(0.2)
        recorded.collect(10)
        recorded.collect(600)
        [value] = by_name(taken(recorded, OURS)["metrics"])["test.sync.duration"]["values"]
    assert value["value"] == {"count": 1, "sum": 0.2, "p50": None, "p95": None, "p99": None}


def test_a_histogram_without_buckets_has_no_quantiles():
    with setup_telemetry(config=config(performance_metrics=False)) as telemetry:
        with measured(ingest.EVENT, source="mqtt"):
            pass
        found = by_name(valid(telemetry.summary())["metrics"])["homeassistant.event.process.duration"]
    [value] = found["values"]
    assert value["value"]["count"] == 1
    assert value["value"]["p50"] is None
    assert [each["share"] for each in found["objectives"]] == [None]


def test_objectives_are_met_or_missed_over_the_kept_history():
    with run(3, catalog=OURS) as recorded:
        found = by_name(taken(recorded, OURS)["metrics"])["test.sync.duration"]["objectives"]
        assert [(each["share"], each["met"]) for each in found] == [(None, None)] * 2
        for amount in (0.1, 0.25, 0.3, 0.7):
            SYNC_TIME.record(amount)
        found = by_name(taken(recorded, OURS)["metrics"])["test.sync.duration"]["objectives"]
        assert [(each["bound"], each["share"], each["met"]) for each in found] == [
            (0.25, 0.5, False),
            (0.5, 0.75, True),
        ]
        assert (found[0]["description"], found[0]["target"]) == ("75 % within 0.25.", 0.75)
        for _ in range(4):
            recorded.collect(10)
        assert by_name(taken(recorded, OURS)["metrics"])["test.sync.duration"]["objectives"][0]["share"] is None


def test_budgets_are_used_by_distinct_values():
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        for room in ("hall", "kitchen", "hall", "attic", "cellar"):
            VISITS.add(1, room=room)
        assert telemetry.summary()["metrics"][0]["budgets"][0]["used"] == 3
    assert telemetry.summary()["metrics"][0]["budgets"][0]["used"] is None


def test_3000_entities_are_20_values_and_a_number():
    with setup_telemetry(config=config(entity_metrics=True)) as telemetry:
        for number in range(3000):
            ingest.ENTITY_EVENTS.add(number + 1, entity=f"sensor.x{number}", domain="sensor")
        found = by_name(valid(telemetry.summary())["metrics"])["homeassistant.entity.events"]
        assert (found["series"], found["limit"], found["omitted"]) == (3000, 5000, 2980)
        assert [each["value"] for each in found["values"]] == list(range(3000, 2980, -1))
        ingest.ENTITY_EVENTS.forget(domain="sensor")
        ingest.ENTITY_EVENTS.add(1, entity="light.hall", domain="light")
        found = by_name(telemetry.summary()["metrics"])["homeassistant.entity.events"]
    assert (found["series"], found["omitted"]) == (1, 0)


def test_groups_that_are_off_leave_their_metrics_listed():
    off = dict.fromkeys(("performance_metrics", "business_metrics", "operations_metrics", "entity_metrics"), False)
    with setup_telemetry(config=config(**off)) as telemetry:
        found = valid(telemetry.summary())
    assert not any(each["on"] or each["series"] for each in found["metrics"])
    assert (found["accounts"], found["connections"]) == (None, [])
    assert all(value is None for name, value in found["current"]["performance"].items() if name != "timestamp")


def without_history(found: dict) -> None:
    assert (found["accounts"], found["tables"], found["connections"]) == (None, None, [])
    assert {(each["series"], len(each["values"]), each["omitted"]) for each in found["metrics"]} == {(None, 0, 0)}


def test_without_a_history_a_summary_has_no_values():
    with setup_telemetry(config=config(history_length=0)) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        found = valid(telemetry.summary())
    without_history(found)
    assert found["started"] == pytest.approx(found["timestamp"], abs=60)
    assert by_name(found["metrics"])["homeassistant.event.received"]["budgets"][0]["used"] == 1


@pytest.mark.parametrize(("given", "version"), [({"service.version": "4.2.1"}, "4.2.1"), ({}, None)])
def test_a_summary_has_the_version_of_the_service_if_the_resource_has_it(given, version):
    with setup_telemetry(config=config(resource_attributes=given)) as telemetry:
        assert valid(telemetry.summary())["service_version"] == version


def test_telemetry_that_is_off_has_a_summary():
    with setup_telemetry(config=config(enabled=False)) as telemetry:
        found = valid(telemetry.summary())
    without_history(found)
    assert (found["started"], found["health"]["status"]) == (None, "disabled")
    assert not any(each["on"] for each in found["metrics"])


def test_after_the_shutdown_a_summary_has_the_last_values():
    with setup_telemetry(config=config()) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        assert telemetry.summary()["health"]["status"] == "ok"
    found = valid(telemetry.summary())
    assert (found["started"], found["health"]["status"]) == (None, "failed")
    assert found["accounts"]["total"]["received"] == 1


def test_a_service_on_a_foreign_provider_has_a_summary(monkeypatch):
    provider = MeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr("otel_ha.telemetry.foreign_provider", lambda: provider)
    with setup_telemetry(config=config()) as telemetry:
        with measured(ingest.EVENT, source="mqtt", domain="light"):
            pass
        found = valid(telemetry.summary())
    assert found["accounts"]["total"]["processed"] == {"ok": 1}
    assert by_name(found["metrics"])["homeassistant.event.process.duration"]["objectives"][0]["met"]


def test_a_new_service_has_an_empty_summary():
    with setup_telemetry(config=config(system_metrics=True)) as telemetry:
        found = valid(telemetry.summary())
    assert found["accounts"] == {
        "total": {"received": 0, "discarded": {}, "processed": {}, "queued": 0, "active": 0, "in_flight": 0}
        | {"difference": 0},
        "by_source": {},
    }
    assert not any(found["tables"].values())
    assert found["current"]["system"]["process_cpu_percent"] is None
    assert found["current"]["system"]["process_memory_mb"] > 1


def test_the_cpu_of_the_host_is_not_known_until_it_is_read_twice():
    with run() as recorded:
        spent = {"user": lambda: 100 + recorded.clock.seconds / 4, "idle": lambda: 300 + recorded.clock.seconds * 3 / 4}
        runtime.SYSTEM_CPU_TIME.observe(
            lambda: [(read(), {"mode": mode, "logical_number": 0}) for mode, read in spent.items()]
        )
        first, second = taken(recorded), taken(recorded)
    assert first["current"]["system"]["cpu_percent"] is None
    assert second["current"]["system"]["cpu_percent"] == 25
    assert [row["cpu_percent"] for row in second["history"]["system"]] == [None, 25, 25]


def test_the_cpu_of_the_process_is_a_share_of_one_cpu():
    with run() as recorded:
        runtime.PROCESS_CPU_TIME.observe(lambda: 100 + recorded.clock.seconds / 4, mode="user")
        runtime.PROCESS_MEMORY_USAGE.observe(lambda: 3 * 2**20)
        taken(recorded)
        found = taken(recorded)["current"]["system"]
    assert (found["process_cpu_percent"], found["process_memory_mb"]) == (25, 3)


def test_performance_has_rates_lag_queue_use_and_bytes(recorded):
    for outcome, number in (("ok", 3), ("error", 1)):
        for _ in range(number):
            ingest.EVENT_DURATION.record(0.01, source="mqtt", outcome=outcome)
    ingest.RECEIVED.add(5, source="mqtt")
    ingest.DISCARDED.add(1, source="mqtt", reason="filtered")
    ingest.LAG_TO_WRITE.record(0.8, source="mqtt", sink="file")
    ingest.DATA_RECEIVED.add(100, source="mqtt", type="state")
    ingest.DATA_SENT.add(50, sink="file", type="line_protocol")
    for queue, size, capacity in (("ingest", 5, 10), ("write", 80, 100), ("unbounded", 7, 0), ("unknown", 9, None)):
        ingest.QUEUE_SIZE.observe(lambda size=size: size, queue=queue)
        ingest.QUEUE_CAPACITY.observe(lambda capacity=capacity: capacity, queue=queue)
    found = taken(recorded)["current"]["performance"]
    assert (found["received_rate"], found["discarded_rate"]) == (0.5, 0.1)
    assert found["rates_by_outcome"] == {"ok": 0.3, "error": 0.1}
    assert found["p95_lag"] == pytest.approx(800, rel=0.03)
    assert found["queue_use"] == 0.8
    assert (found["bytes_received_per_second"], found["bytes_sent_per_second"]) == (10, 5)


def test_lag_and_queue_use_are_null_without_measurements(recorded):
    ingest.QUEUE_SIZE.observe(lambda: 3, queue="ingest")
    found = taken(recorded)["current"]["performance"]
    assert (found["p95_lag"], found["queue_use"], found["rates_by_outcome"]) == (None, None, {})


def test_the_history_has_the_outcomes_at_each_collection(recorded):
    ingest.EVENT_DURATION.record(0.01, outcome="ok")
    recorded.collect(10)
    ingest.EVENT_DURATION.record(0.01, outcome="error")
    found = taken(recorded)["history"]["performance"]
    assert [each["rates_by_outcome"] for each in found[:2]] == [{"ok": 0.1, "error": 0}, {"ok": 0, "error": 0.1}]


def test_hostile_values_are_finite_json():
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        VISITS.add(1, room="<script>\u202e\0" * 9)
        VISITS.add(1, room=math.inf)
        VISITS.add(1, room=True)
        LEVEL.set(2**62)
        found = json.dumps(telemetry.summary(), allow_nan=False)
    assert '"test.room": "inf"' in found
