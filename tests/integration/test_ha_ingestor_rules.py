"""The earlier Prometheus names, as promtool computes them from the metrics of each way to Prometheus."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.servers.locate import ROOT

RULES = ROOT / "collector-config" / "prometheus" / "ha_ingestor.rules.yml"
SERVICE = {"job": "ha-ingestor", "instance": "one"}
AT = "10m"


class Way(NamedTuple):
    """The labels that a way to Prometheus adds to every series; a series' own labels take precedence."""

    name: str
    added: Mapping[str, str]
    kept: Mapping[str, str]
    """The added labels that the earlier names have as well."""
    info: Mapping[str, str]


IDENTITY = {"telemetry_distro_name": "otel-ha", "host_name": "pi"}
WAYS = [
    Way("scrape", {"via": "scrape"}, {"via": "scrape"}, {**IDENTITY, "service_name": "ha-ingestor"}),
    Way("collector", {"via": "collector"}, {"via": "collector"}, IDENTITY),
    Way("otlp", {"host_name": "pi"}, {"host_name": "pi"}, {**IDENTITY, "service_name": "ha-ingestor"}),
]

EVENTS = "homeassistant_event_process_duration_seconds"
COUNTED = "homeassistant_compat_event_processed_total"
BY_SOURCE = "homeassistant_compat_source_events_total"
MQTT = {"homeassistant_source": "mqtt", "homeassistant_domain": "light"}
OK, ERROR = {"homeassistant_outcome": "ok"}, {"homeassistant_outcome": "error"}
SERVER = {"host_name": "server-01"}

Series = list[tuple[str, Mapping[str, str], str]]
Expected = dict[str, list[tuple[Mapping[str, str], float]]]


def constant(value: float) -> str:
    return f"{value}x60"


def growing(each: float) -> str:
    """A counter that grows by so much in 15 seconds."""
    return f"0+{each}x60"


def rules_give(promtool: Path, tmp_path: Path, way: Way, series: Series, expected: Expected, **more: Any) -> None:
    """Have promtool run the rules over the series of one way and compare; only OTLP adds host_name."""
    info = ("target_info", way.info, constant(1))
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "fuzzy_compare": True,
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": spelt(name, {**SERVICE, **way.added, **labels}), "values": values}
                    for name, labels, values in [info, *series]
                ],
                "promql_expr_test": [
                    {
                        "expr": name,
                        "eval_time": AT,
                        "exp_samples": [
                            {"labels": spelt(name, {**SERVICE, **way.kept, **labels}), "value": value}
                            for labels, value in samples
                        ],
                    }
                    for name, samples in expected.items()
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def spelt(name: str, labels: Mapping[str, str | None]) -> str:
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items() if value) + "}"


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request) -> Way:
    return request.param


pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def test_promtool_finds_them_valid(promtool):
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "49 rules found" in done.stdout


MEASURED = f"{EVENTS}_count"
WEBSOCKET = {"homeassistant_source": "websocket"}
PROCESSED = "ha_ingestor_events_processed_total"


def processed(success: float = 0, error: float = 0, no_status: float = 0) -> Expected:
    """Return the events from MQTT that must be shown, by status."""
    shown = (({"status": "success"}, success), ({"status": "error"}, error), ({}, no_status))
    return {
        PROCESSED: [({"source": "mqtt", "domain": "light", **status}, number) for status, number in shown if number]
    }


def test_an_event_that_was_measured_and_counted_as_failed_is_shown_as_failed(promtool, tmp_path, way):
    series = [
        (MEASURED, {**MQTT, **OK}, constant(100)),
        (COUNTED, {**MQTT, **OK}, constant(60)),
        (COUNTED, {**MQTT, **ERROR}, constant(40)),
    ]
    rules_give(promtool, tmp_path, way, series, processed(success=60, error=40))


def test_an_event_that_was_measured_and_counted_with_an_unknown_status_is_shown_once(promtool, tmp_path, way):
    series = [(MEASURED, {**MQTT, **OK}, constant(100)), (COUNTED, MQTT, constant(100))]
    rules_give(promtool, tmp_path, way, series, processed(no_status=100))


def test_if_only_some_events_were_counted_the_measured_ones_are_shown(promtool, tmp_path, way):
    series = [
        (MEASURED, {**MQTT, **OK}, constant(8)),
        (MEASURED, {**MQTT, **ERROR, "error_type": "ValueError"}, constant(1)),
        (MEASURED, {**MQTT, **ERROR, "error_type": "KeyError"}, constant(1)),
        (MEASURED, OK, constant(100)),  # of record_processing_time(), which names no source
        (COUNTED, {**MQTT, **OK}, constant(8)),
        (COUNTED, MQTT, constant(1)),
    ]
    rules_give(promtool, tmp_path, way, series, processed(success=8, error=2))


def test_if_only_some_events_were_measured_the_counted_ones_are_shown(promtool, tmp_path, way):
    series = [
        (MEASURED, {**MQTT, **OK}, constant(8)),
        (MEASURED, {**MQTT, **ERROR, "error_type": "ValueError"}, constant(1)),
        (COUNTED, {**MQTT, **OK}, constant(10)),
    ]
    rules_give(promtool, tmp_path, way, series, processed(success=10))


def test_events_recorded_in_one_way_only_are_shown(promtool, tmp_path, way):
    failed = {**MQTT, **ERROR, "error_type": "KeyError"}
    series = [
        (MEASURED, {**MQTT, **OK}, constant(8)),
        (MEASURED, failed, constant(2)),
        (COUNTED, {**WEBSOCKET, **OK}, constant(4)),
        (COUNTED, WEBSOCKET, constant(3)),
    ]
    counted = [({"source": "websocket", "status": "success"}, 4), ({"source": "websocket"}, 3)]
    expected = {PROCESSED: [*processed(success=8, error=2)[PROCESSED], *counted]}
    rules_give(promtool, tmp_path, way, series, expected)


def test_each_source_and_domain_is_decided_by_itself(promtool, tmp_path, way):
    sensor = {**MQTT, "homeassistant_domain": "sensor"}
    series = [
        (MEASURED, {**MQTT, **OK}, constant(10)),
        (COUNTED, {**MQTT, **ERROR}, constant(10)),
        (MEASURED, {**sensor, **OK}, constant(7)),
        (COUNTED, {**sensor, **ERROR}, constant(5)),
    ]
    of_sensor = ({"source": "mqtt", "domain": "sensor", "status": "success"}, 7)
    rules_give(promtool, tmp_path, way, series, {PROCESSED: [*processed(error=10)[PROCESSED], of_sensor]})


def test_each_service_is_decided_by_itself(promtool, tmp_path, way):
    series = [
        (MEASURED, {**MQTT, **OK}, constant(10)),
        (COUNTED, {**MQTT, **ERROR}, constant(10)),
        (MEASURED, {**MQTT, **OK, "instance": "two"}, constant(90)),
    ]
    of_two = ({"source": "mqtt", "domain": "light", "status": "success", "instance": "two"}, 90)
    rules_give(promtool, tmp_path, way, series, {PROCESSED: [*processed(error=10)[PROCESSED], of_two]})


def test_a_scrape_between_the_two_calls_for_an_event_shows_no_drop(promtool, tmp_path, way):
    until, then = "99x38", "100x20"
    series = [
        (MEASURED, {**MQTT, **OK}, f"{until} {then}"),  # the 100th, which the scrape at 9m45s sees measured only
        (COUNTED, {**MQTT, **OK}, constant(59)),
        (COUNTED, {**MQTT, **ERROR}, constant(40)),
    ]
    rules_give(promtool, tmp_path, way, series, processed(success=59, error=40))


def test_the_histogram_has_all_of_its_series(promtool, tmp_path, way):
    buckets = [("0.1", 3), ("0.25", 4), ("+Inf", 5)]
    series = [
        *(
            (f"{EVENTS}_bucket", {**MQTT, **outcome, "le": le}, constant(n))
            for le, n in buckets
            for outcome in (OK, ERROR)
        ),
        (f"{EVENTS}_sum", {**MQTT, **OK}, constant(1.5)),
        (f"{EVENTS}_count", {**MQTT, **OK}, constant(5)),
    ]
    old, labels = "ha_ingestor_event_processing_duration_seconds", {"source": "mqtt", "domain": "light"}
    expected = {
        f"{old}_bucket": [({**labels, "le": le}, 2 * n) for le, n in buckets],
        f"{old}_sum": [(labels, 1.5)],
        f"{old}_count": [(labels, 5)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_pushed_machine_metrics_are_kept_as_they_are(promtool, tmp_path, way):
    system = "homeassistant_compat_system_"
    network = {**SERVER, "network_interface_name": "default"}
    series = [
        (f"{system}cpu_percent", SERVER, constant(25.5)),
        (f"{system}memory_percent", SERVER, constant(60)),
        (f"{system}memory_used_bytes", SERVER, constant(2048)),
        (f"{system}filesystem_percent", {**SERVER, "system_filesystem_mountpoint": "/"}, constant(45)),
        (f"{system}disk_io_bytes_total", {**SERVER, "disk_io_direction": "read"}, constant(100)),
        (f"{system}disk_io_bytes_total", {**SERVER, "disk_io_direction": "write"}, constant(50)),
        (f"{system}network_io_bytes_total", {**network, "network_io_direction": "transmit"}, constant(200)),
        (f"{system}network_io_bytes_total", {**network, "network_io_direction": "receive"}, constant(150)),
        ("system_memory_utilization_ratio", {"system_memory_state": "used"}, constant(0.9)),
    ]
    host = {"hostname": "server-01", "host_name": None}
    old = "ha_ingestor_system_"
    expected = {
        f"{old}cpu_percent": [(host, 25.5)],
        f"{old}memory_percent": [(host, 60)],
        f"{old}memory_used_bytes": [(host, 2048)],
        f"{old}disk_usage_percent": [({**host, "mountpoint": "/"}, 45)],
        f"{old}disk_io_read_bytes_total": [(host, 100)],
        f"{old}disk_io_write_bytes_total": [(host, 50)],
        f"{old}network_io_sent_bytes_total": [({**host, "interface": "default"}, 200)],
        f"{old}network_io_recv_bytes_total": [({**host, "interface": "default"}, 150)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_machine_metrics_that_are_not_pushed_are_measured(promtool, tmp_path, way):
    def cpu(number: int, mode: str, busy: float) -> tuple[str, Mapping[str, str], str]:
        return "system_cpu_time_seconds_total", {"cpu_logical_number": str(number), "cpu_mode": mode}, growing(busy)

    disk = {"disk_io_direction": "read"}
    sent = {"network_io_direction": "transmit"}
    series = [
        # One CPU is busy for a third of the time, the other for all of it.
        *(cpu(0, "idle", 8), cpu(0, "iowait", 2), cpu(0, "user", 5), cpu(1, "idle", 0), cpu(1, "user", 15)),
        ("system_memory_utilization_ratio", {"system_memory_state": "used"}, constant(0.6)),
        ("system_memory_usage_bytes", {"system_memory_state": "used"}, constant(2048)),
        ("system_memory_usage_bytes", {"system_memory_state": "free"}, constant(4096)),
        (
            "system_filesystem_utilization_ratio",
            {"system_device": "/dev/sda1", "system_filesystem_type": "ext4", "system_filesystem_mountpoint": "/"},
            constant(0.45),
        ),
        ("system_disk_io_bytes_total", {**disk, "system_device": "sda"}, constant(60)),
        ("system_disk_io_bytes_total", {**disk, "system_device": "sdb"}, constant(40)),
        ("system_network_io_bytes_total", {**sent, "network_interface_name": "eth0"}, constant(200)),
    ]
    host = {"hostname": "pi", "host_name": None}
    expected = {
        "ha_ingestor_system_cpu_percent": [(host, 100 * (1 / 3 + 1) / 2)],
        "ha_ingestor_system_memory_percent": [(host, 60)],
        "ha_ingestor_system_memory_used_bytes": [(host, 2048)],
        "ha_ingestor_system_disk_usage_percent": [({**host, "mountpoint": "/"}, 45)],
        "ha_ingestor_system_disk_io_read_bytes_total": [(host, 100)],
        "ha_ingestor_system_network_io_sent_bytes_total": [({**host, "interface": "eth0"}, 200)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_another_services_machine_is_not_ours(promtool, tmp_path):
    other = Way("scrape", {"via": "scrape"}, {}, {"telemetry_distro_name": "another"})
    series = [("system_memory_utilization_ratio", {"system_memory_state": "used"}, constant(0.6))]
    rules_give(promtool, tmp_path, other, series, {"ha_ingestor_system_memory_percent": [], "ha_ingestor_info": []})


def test_pushed_rates_and_ratios_are_kept_as_they_are(promtool, tmp_path, way):
    series = [
        ("homeassistant_compat_event_process_rate_per_second", {"homeassistant_source": "mqtt"}, constant(12)),
        ("homeassistant_compat_deduplication_ratio", {"homeassistant_source": "mqtt"}, constant(0.25)),
        ("homeassistant_compat_filter_efficiency_ratio", {"homeassistant_filter": "domain"}, constant(0.75)),
        ("homeassistant_compat_transform_success_ratio", {"homeassistant_transformer": "points"}, constant(0.5)),
        ("homeassistant_event_received_total", {"homeassistant_source": "mqtt"}, growing(15)),
    ]
    expected = {
        "ha_ingestor_event_processing_rate_events_per_second": [({"source": "mqtt"}, 12)],
        "ha_ingestor_deduplication_rate": [({"source": "mqtt"}, 0.25)],
        "ha_ingestor_filter_efficiency": [({"filter_type": "domain"}, 0.75)],
        "ha_ingestor_transformation_success_rate": [({"transformer_type": "points"}, 0.5)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_rates_and_ratios_that_nobody_pushes_are_derived(promtool, tmp_path, way):
    mqtt = {"homeassistant_source": "mqtt"}
    transform = "homeassistant_transform_duration_seconds_count"
    of = {"homeassistant_transformer": "points"}
    series = [
        ("homeassistant_event_received_total", mqtt, growing(65)),
        ("homeassistant_event_received_total", {"homeassistant_source": "websocket"}, growing(15)),
        ("homeassistant_event_discarded_total", {**mqtt, "homeassistant_discard_reason": "duplicate"}, growing(16)),
        ("homeassistant_event_discarded_total", {**mqtt, "homeassistant_discard_reason": "filtered"}, growing(19)),
        (f"{EVENTS}_count", {**MQTT, **OK}, growing(30)),
        (COUNTED, {**MQTT, **OK}, growing(45)),
        (transform, {**of, **OK}, growing(3)),
        (transform, {**of, **ERROR, "error_type": "ValueError"}, growing(1)),
    ]
    expected = {
        "ha_ingestor_event_processing_rate_events_per_second": [({"source": "mqtt"}, 3)],
        "ha_ingestor_deduplication_rate": [({"source": "mqtt"}, 0.2), ({"source": "websocket"}, 0)],
        "ha_ingestor_filter_efficiency": [({}, 0.2)],
        "ha_ingestor_transformation_success_rate": [({"transformer_type": "points"}, 0.75)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


@pytest.mark.parametrize("counted", [{**MQTT, **OK}, None])
def test_events_that_were_only_counted_are_received_events_too(promtool, tmp_path, way, counted):
    mqtt = {"homeassistant_source": "mqtt"}
    name = COUNTED if counted else BY_SOURCE
    series = [
        (name, counted or {**mqtt, **OK}, growing(30)),
        ("homeassistant_event_received_total", mqtt, growing(15)),
        ("homeassistant_event_discarded_total", {**mqtt, "homeassistant_discard_reason": "duplicate"}, growing(9)),
        ("homeassistant_event_discarded_total", {**mqtt, "homeassistant_discard_reason": "filtered"}, growing(6)),
    ]
    expected = {
        "ha_ingestor_event_processing_rate_events_per_second": [({"source": "mqtt"}, 2)],
        "ha_ingestor_deduplication_rate": [({"source": "mqtt"}, 0.2)],
        "ha_ingestor_filter_efficiency": [({}, 6 / 45)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_events_without_a_source_may_be_those_that_were_counted_by_source(promtool, tmp_path, way):
    series = [
        (BY_SOURCE, {"homeassistant_source": "mqtt", **OK}, growing(12)),
        (MEASURED, OK, growing(12)),
        ("homeassistant_event_received_total", {}, growing(15)),
        ("homeassistant_event_discarded_total", {"homeassistant_discard_reason": "filtered"}, growing(3)),
    ]
    rules_give(promtool, tmp_path, way, series, {"ha_ingestor_filter_efficiency": [({}, 0.2)]})


def test_events_counted_by_source_show_for_a_source_without_others(promtool, tmp_path, way):
    series = [
        (BY_SOURCE, {"homeassistant_source": "mqtt", **OK}, constant(10)),
        (BY_SOURCE, {**WEBSOCKET, **ERROR}, constant(4)),
        (MEASURED, {**MQTT, **OK}, constant(10)),
    ]
    expected = {
        PROCESSED: [*processed(success=10)[PROCESSED], ({"source": "websocket", "status": "error"}, 4)],
        "ha_ingestor_events_mqtt_total": [({}, 10)],
        "ha_ingestor_events_failed_total": [({}, 4)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


@pytest.mark.parametrize("received", [(BY_SOURCE, {}), (MEASURED, MQTT)])
def test_duplicates_without_a_source_are_a_share_of_all_events(promtool, tmp_path, way, received):
    name, of = received
    received_total, mqtt = "homeassistant_event_received_total", {"homeassistant_source": "mqtt"}
    series = [
        (name, {**mqtt, **of, **OK}, growing(24)),
        *([(received_total, mqtt, growing(24))] if name == MEASURED else []),
        (received_total, {}, growing(6)),
        ("homeassistant_event_discarded_total", {"homeassistant_discard_reason": "duplicate"}, growing(6)),
    ]
    rules_give(promtool, tmp_path, way, series, {"ha_ingestor_deduplication_rate": [({}, 0.2)]})


def test_received_events_without_any_source_have_one_share(promtool, tmp_path, way):
    series = [("homeassistant_event_received_total", {}, growing(15)), (MEASURED, OK, growing(15))]
    rules_give(promtool, tmp_path, way, series, {"ha_ingestor_deduplication_rate": [({}, 0)]})


@pytest.mark.parametrize("counted", [COUNTED, MEASURED])
def test_a_source_that_is_then_counted_in_another_way_keeps_its_total(promtool, tmp_path, way, counted):
    series = [
        (BY_SOURCE, {"homeassistant_source": "mqtt", **OK}, constant(90)),
        (BY_SOURCE, {"homeassistant_source": "mqtt", **ERROR}, constant(10)),
        (counted, {**MQTT, **OK}, constant(1)),
    ]
    expected = {
        PROCESSED: [({"source": "mqtt", "status": "success"}, 90), ({"source": "mqtt", "status": "error"}, 10)],
        "ha_ingestor_events_mqtt_total": [({}, 100)],
        "ha_ingestor_events_failed_total": [({}, 10)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


def test_the_pipelines_queue_is_its_own_and_without_one_the_sum(promtool, tmp_path, way):
    ingest, pipeline = ({"homeassistant_queue": name} for name in ("ingest", "pipeline"))
    name, both = "homeassistant_queue_size", [("homeassistant_queue_size", ingest, constant(5))]
    rules_give(promtool, tmp_path, way, both, {"ha_ingestor_pipeline_queue_size": [({}, 5)]})
    both.append((name, pipeline, constant(5)))
    rules_give(promtool, tmp_path, way, both, {"ha_ingestor_pipeline_queue_size": [({}, 5)]})


def test_the_rate_of_a_source_has_each_domain_as_its_events_come(promtool, tmp_path, way):
    sensor = {**MQTT, "homeassistant_domain": "sensor"}
    series = [
        (MEASURED, {**MQTT, **OK}, growing(30)),
        (COUNTED, {**MQTT, **OK}, growing(15)),
        (COUNTED, {**sensor, **OK}, growing(15)),
        (COUNTED, {**WEBSOCKET, **OK}, growing(15)),
    ]
    expected = [({"source": "mqtt"}, 3), ({"source": "websocket"}, 1)]
    rules_give(promtool, tmp_path, way, series, {"ha_ingestor_event_processing_rate_events_per_second": expected})


def test_a_metric_that_only_changes_its_name_keeps_its_value_and_labels(promtool, tmp_path, way):
    written = {"homeassistant_measurement": "state", **OK}
    error = {"error.type": "timeout", "homeassistant_component": "db", "homeassistant_error_severity": "error"}
    series = [
        ("homeassistant_queue_size", {"homeassistant_queue": "ingest"}, constant(5)),
        ("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, constant(2)),
        ("homeassistant_point_written_total", {**written, "homeassistant_sink": "influxdb"}, constant(10)),
        ("homeassistant_point_written_total", {**written, "homeassistant_sink": "file"}, constant(1)),
        (
            "homeassistant_data_received_bytes_total",
            {"homeassistant_source": "mqtt", "homeassistant_data_type": "state"},
            constant(512),
        ),
        ("homeassistant_errors_total", {k.replace(".", "_"): v for k, v in error.items()}, constant(3)),
        (
            "homeassistant_retry_attempts_total",
            {"homeassistant_component": "db", "homeassistant_operation": "write"},
            constant(4),
        ),
    ]
    expected = {
        "ha_ingestor_queue_depth": [({"queue_name": "ingest"}, 5)],
        "ha_ingestor_active_connections": [({"connection_type": "mqtt"}, 2)],
        "ha_ingestor_data_points_written_total": [({"measurement": "state", "status": "success"}, 11)],
        "ha_ingestor_data_volume_bytes_total": [({"source": "mqtt", "type": "state"}, 512)],
        "ha_ingestor_errors_total": [({"error_type": "timeout", "component": "db", "severity": "error"}, 3)],
        "ha_ingestor_retry_attempts_total": [({"component": "db", "operation": "write"}, 4)],
    }
    rules_give(promtool, tmp_path, way, series, expected)


@pytest.mark.parametrize(("state", "number"), [("closed", 0), ("half_open", 1), ("open", 2)])
def test_a_circuit_breakers_state_is_its_number(promtool, tmp_path, state, number):
    series = [
        (
            "homeassistant_circuit_breaker_state",
            {"homeassistant_component": "db", "homeassistant_circuit_breaker_state": each},
            constant(float(each == state)),
        )
        for each in ("closed", "half_open", "open")
    ]
    expected = {"ha_ingestor_circuit_breaker_state": [({"component": "db"}, number)]}
    rules_give(promtool, tmp_path, WAYS[0], series, expected)


def test_the_info_names_the_service(promtool, tmp_path, way):
    # The Collector's series have no service_name: it becomes the job.
    expected = {"ha_ingestor_info": [({"service": "ha-ingestor", "host_name": None}, 1)]}
    rules_give(promtool, tmp_path, way, [], expected)
