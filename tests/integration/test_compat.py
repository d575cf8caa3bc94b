"""Figures recorded by the earlier API arrive in a real Prometheus, under the new names and the earlier ones."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time

import pytest

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.compat import (
    MetricsRegistry,
    get_enhanced_metrics_collector,
    get_metrics_collector,
    get_performance_monitor,
    get_prometheus_collector,
)
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.vocabulary import ingest
from tests.earlier import SNIPPETS, untouched
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually, free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

ADDED = {"__name__", "job", "instance", "via", "host_name"}
SERVER = {"hostname": "server-01"}
MB = 1024 * 1024
EVENT = {"source": "mqtt", "domain": "light"}
DURATION = f"{PREFIX}event_processing_duration_seconds"

# The figures of the three snippets, by the earlier names: each once.
OF_THE_SNIPPETS = {
    "system_cpu_percent": [(SERVER, 25.5)],
    "system_memory_percent": [(SERVER, 60.0)],
    "system_memory_used_bytes": [(SERVER, 2048 * MB)],
    "system_disk_usage_percent": [({**SERVER, "mountpoint": "/"}, 45.0)],
    "system_disk_io_read_bytes_total": [(SERVER, 100 * MB)],
    "system_disk_io_write_bytes_total": [(SERVER, 50 * MB)],
    "system_network_io_sent_bytes_total": [({**SERVER, "interface": "default"}, 200 * MB)],
    "system_network_io_recv_bytes_total": [({**SERVER, "interface": "default"}, 150 * MB)],
    "event_processing_duration_seconds_count": [({}, 1), (EVENT, 1)],
    "event_processing_duration_seconds_sum": [({}, 0.1505), (EVENT, 0.15)],
    "events_processed_total": [({**EVENT, "status": "success"}, 2)],
}


def run_the_snippets() -> None:
    for snippet in ("performance_monitor", "enhanced_collector", "prometheus_collector"):
        runpy.run_path(str(SNIPPETS / f"{snippet}.py"))


def answered(prometheus, name: str, **only: str) -> list[tuple[dict[str, str], float]]:
    """Every sample of an earlier name now, less the labels that a way to Prometheus adds."""
    matchers = ", ".join(f'{label}="{value}"' for label, value in only.items())
    rows = prometheus.query(f"{PREFIX}{name}{{{matchers}}}")
    found = [({k: v for k, v in labels.items() if k not in ADDED}, value) for labels, value in rows]
    return sorted(found, key=str)


def series_of(old) -> list[str]:
    return [old.name + part for part in old.series]


SERVICE = """
import runpy, sys, time
for snippet in sys.argv[1:]:
    runpy.run_path(snippet)
print("ready", flush=True)
time.sleep(120)
"""


def test_the_snippets_are_found_once_under_the_earlier_names(make_prometheus):
    """In a separate process, in which telemetry has not been set up."""
    (port,) = free_ports(1)
    environment = {
        "PATH": os.environ["PATH"],
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
    }
    snippets = [
        str(SNIPPETS / f"{name}.py") for name in ("performance_monitor", "enhanced_collector", "prometheus_collector")
    ]
    command = [sys.executable, "-W", "error", "-c", SERVICE, *snippets]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout.readline() == "ready\n"
            prometheus = make_prometheus([Scrape("ha-ingestor", f"{HOST}:{port}")]).start()
            for name, expected in OF_THE_SNIPPETS.items():
                wanted = sorted(expected, key=str)
                eventually(lambda name=name: answered(prometheus, name), lambda rows, wanted=wanted: rows == wanted)
            (at_bound,) = answered(prometheus, "event_processing_duration_seconds_bucket", source="mqtt", le="0.25")
            assert at_bound[1] == 1
            (info,) = answered(prometheus, "info")
            assert info == ({"service": "unknown_service:python"}, 1)
        finally:
            service.kill()


@pytest.fixture
def telemetry(make_otelcol, make_prometheus):
    """Telemetry whose metrics reach one Prometheus by a scrape, through the Collector's exporter and by OTLP."""
    prometheus = make_prometheus().start()
    collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp", "prometheus"),
        otlp_endpoint=collector.otlp_http_endpoint,
        prometheus_port=0,
        export_interval=1,
        resource_attributes={"service.instance.id": "one", "service.version": "2.0"},
    )
    with untouched(), setup_telemetry("ha-ingestor", config=config) as running:
        prometheus.scrape("ha-ingestor", running.metrics_url.split("/")[2])
        prometheus.scrape("otelcol-exporter", collector.prometheus_target)
        running.prometheus = prometheus
        yield running


def say_the_rest() -> None:
    collector, enhanced = get_prometheus_collector(), get_enhanced_metrics_collector()
    collector.update_event_processing_rate(12, "mqtt")
    collector.update_queue_depth(5, "ingest")
    collector.update_active_connections(2, "mqtt")
    collector.increment_data_points_written(7, "state", "success")
    collector.increment_data_volume(512, "mqtt", "state")
    collector.update_deduplication_rate(0.25, "mqtt")
    collector.update_filter_efficiency(0.75, "domain")
    collector.update_transformation_success_rate(0.5, "points")
    enhanced.record_error("timeout", "db", "error")
    enhanced.record_circuit_breaker_state("half_open", "db")
    enhanced.record_retry_attempt("db", "write")


OF_THE_REST = {
    "event_processing_rate_events_per_second": [({"source": "mqtt"}, 12)],
    "queue_depth": [({"queue_name": "ingest"}, 5)],
    "active_connections": [({"connection_type": "mqtt"}, 2)],
    "data_points_written_total": [({"measurement": "state", "status": "success"}, 7)],
    "data_volume_bytes_total": [({"source": "mqtt", "type": "state"}, 512)],
    "deduplication_rate": [({"source": "mqtt"}, 0.25)],
    "filter_efficiency": [({"filter_type": "domain"}, 0.75)],
    "transformation_success_rate": [({"transformer_type": "points"}, 0.5)],
    "errors_total": [({"error_type": "timeout", "component": "db", "severity": "error"}, 1)],
    "circuit_breaker_state": [({"component": "db"}, 1)],
    "retry_attempts_total": [({"component": "db", "operation": "write"}, 1)],
    "info": [({"service": "ha-ingestor", "version": "2.0"}, 1)],
}


def test_every_earlier_name_has_the_same_value_on_every_way(telemetry):
    run_the_snippets()
    say_the_rest()
    prometheus, expected = telemetry.prometheus, OF_THE_SNIPPETS | OF_THE_REST
    for via in ("scrape", "collector", ""):
        for name, samples in expected.items():
            wanted = sorted(samples, key=str)
            eventually(lambda n=name, v=via: answered(prometheus, n, via=v), lambda rows, w=wanted: rows == w)
        le = {"source": "mqtt", "le": "0.25"}
        (bucket,) = answered(prometheus, "event_processing_duration_seconds_bucket", via=via, **le)
        assert bucket[1] == 1
    every = {name for old in OLD_NAMES if not old.is_registered for name in series_of(old)}
    assert every == set(expected) | {"event_processing_duration_seconds_bucket"}


OF_THE_METRICS_COLLECTOR = {
    "pipeline_queue_size": [({}, 42)],
    "mqtt_connected": [({}, 1)],
    "websocket_connected": [],
    "influxdb_connected": [({}, 0)],
    "events_mqtt_total": [({}, 1)],
    "events_websocket_total": [({}, 1)],
    "events_failed_total": [({}, 1)],
    "events_deduplicated_total": [({}, 1)],
    "pipeline_processing_duration_seconds_count": [({}, 1)],
    "pipeline_processing_duration_seconds_sum": [({}, 0.5)],
    "connection_errors_total": [({"client_type": "mqtt"}, 1)],
    "connection_reconnects_total": [({"client_type": "mqtt"}, 1)],
    "errors_by_category_total": [({"category": "connection"}, 1)],
    "errors_by_severity_total": [({"severity": "warning"}, 1)],
    "influxdb_points_written_total": [({}, 10)],
    "influxdb_points_failed_total": [({}, 5)],
    "influxdb_write_duration_seconds_count": [({}, 2)],
    "influxdb_write_duration_seconds_sum": [({}, 0.75)],
    "influxdb_retry_attempts_total": [({}, 1)],
    "influxdb_circuit_breaker_state": [({}, 1)],
    # Names of today's rules, with their labels.
    "events_processed_total": [
        ({"source": "mqtt", "status": "success"}, 1),
        ({"source": "websocket", "status": "error"}, 1),
    ],
    "errors_total": [({"error_type": "connection", "severity": "warning"}, 1)],
    "circuit_breaker_state": [({"component": "db"}, 2), ({"component": "influxdb"}, 1)],
    "retry_attempts_total": [
        ({"component": "db", "operation": "write"}, 1),
        ({"component": "influxdb", "operation": "write"}, 1),
    ],
    "data_points_written_total": [({"status": "success"}, 10), ({"status": "error"}, 5)],
}


def say_by_the_metrics_collector() -> None:
    collector = get_metrics_collector()
    collector.record_event_processed("mqtt")
    collector.record_event_processed("websocket", success=False)
    collector.record_event_deduplicated()
    collector.record_pipeline_queue_size(42)
    collector.record_pipeline_processing_time(0.5)
    collector.record_client_connection_status("mqtt", connected=True)
    collector.record_client_connection_status("influxdb", connected=False)
    collector.record_connection_error("mqtt")
    collector.record_connection_reconnect("mqtt")
    collector.record_influxdb_write(10, success=True, duration_seconds=0.5)
    collector.record_influxdb_write(5, success=False, duration_seconds=0.25)
    collector.record_influxdb_retry_attempt(1)
    collector.record_influxdb_circuit_breaker_state("HALF_OPEN")
    collector.record_error("connection", "warning")
    collector.record_circuit_breaker_state("db", "open")
    collector.record_retry_attempt("db", "write")


def test_every_name_of_the_metrics_collector_has_the_same_value_on_every_way(telemetry):
    say_by_the_metrics_collector()
    for via in ("scrape", "collector", ""):
        for name, samples in OF_THE_METRICS_COLLECTOR.items():
            wanted = sorted(samples, key=str)
            eventually(lambda n=name, v=via: answered(telemetry.prometheus, n, via=v), lambda rows, w=wanted: rows == w)
        ((labels, uptime),) = answered(telemetry.prometheus, "uptime_seconds", via=via)
        assert (labels, uptime > 0) == ({}, True)
    registered = {name for old in OLD_NAMES if old.is_registered for name in series_of(old)} - {"uptime_seconds"}
    buckets = {name for name in registered if name.endswith("_bucket")}
    assert registered - buckets <= OF_THE_METRICS_COLLECTOR.keys()


def test_names_registered_at_run_time_are_found_as_given_on_every_way(telemetry):
    registry = MetricsRegistry()
    registry.register_counter("pool_acquired_total", "Connections taken from the pool")
    registry.register_counter("pool_returned", "Connections given back")
    registry.register_gauge("pool_size_bytes", "Size of the pool")
    registry.register_gauge("cache_hit_ratio", "Share of hits")
    registry.register_gauge("connections_total", "Connections that are open")
    registry.register_counter("seconds_waited", "Seconds of waiting")
    registry.register_histogram("pool_wait_seconds", "Time to wait", [0.25, 1.5])
    registry.increment_counter("pool_acquired_total", 3, {"pool": "db", "job": "backup"})
    registry.increment_counter("pool_returned", 2, {"pool": "db"})
    registry.set_gauge("pool_size_bytes", -4, {"pool": "db"})
    registry.set_gauge("cache_hit_ratio", 0.5)
    registry.set_gauge("connections_total", 7)
    registry.increment_counter("seconds_waited", 2.5)
    registry.observe_histogram("pool_wait_seconds", 1.0, {"pool": "db"})
    get_metrics_collector().collect_component_metrics("health tracker", {"load": 1.5})
    db = {"pool": "db"}
    expected = {
        "pool_acquired_total": [({**db, "exported_job": "backup"}, 3)],
        "pool_returned": [(db, 2)],
        "pool_size_bytes": [(db, -4)],
        "cache_hit_ratio": [({}, 0.5)],
        "connections_total": [({}, 7)],
        "seconds_waited": [({}, 2.5)],
        "pool_wait_seconds_count": [(db, 1)],
        "pool_wait_seconds_sum": [(db, 1)],
        "ha_ingestor_health_tracker_load": [({}, 1.5)],
    }
    for via in ("scrape", "collector", ""):
        for name, wanted in expected.items():
            eventually(lambda n=name, v=via: found(telemetry.prometheus, n, v), lambda rows, w=wanted: rows == w)
    assert telemetry.prometheus.query('{__name__=~"pool.*_total_total|pool_returned_total|.*bytes_bytes"}') == []


def found(prometheus, name: str, via: str) -> list[tuple[dict[str, str], float]]:
    """Every sample of a name now, less the labels that a way to Prometheus adds."""
    rows = prometheus.query(f'{name}{{via="{via}"}}')
    return [({k: v for k, v in labels.items() if k not in ADDED}, value) for labels, value in rows]


def test_a_half_moved_service_has_the_true_share_of_duplicates(telemetry):
    """Its events are counted by the earlier API, and its duplicates by otel-ha's own."""
    end = time.monotonic() + 60
    missing = {"scrape", "collector", ""}
    while missing and time.monotonic() < end:
        for _ in range(8):
            get_performance_monitor().record_event_processed("mqtt", "light")
        for _ in range(2):
            ingest.EVENT.receive(source="mqtt")
            ingest.EVENT.discard("duplicate", source="mqtt")
        time.sleep(0.05)
        for via in sorted(missing):
            rows = answered(telemetry.prometheus, "deduplication_rate", via=via)
            if rows and rows[0][0] == {"source": "mqtt"} and abs(rows[0][1] - 0.2) < 0.02:
                missing.discard(via)
    assert missing == set()


def test_a_service_that_has_moved_on_gets_the_measured_figures(telemetry):
    """Without the earlier API, except for figures that have no counterpart."""

    @measured(ingest.EVENT, source="mqtt", domain="light")
    def handle() -> None:
        time.sleep(0.001)

    end = time.monotonic() + 60
    prometheus, host = telemetry.prometheus, telemetry.config
    derived = ("system_cpu_percent", "system_memory_percent", "system_disk_usage_percent")
    rates = ("event_processing_rate_events_per_second", "deduplication_rate", "filter_efficiency")
    missing = {(name, via) for name in (*derived, *rates) for via in ("scrape", "collector", "")}
    while missing and time.monotonic() < end:
        handle()
        time.sleep(0.05)
        missing -= {(name, via) for name, via in missing if answered(prometheus, name, via=via)}
    assert missing == set()
    assert host.service_name == "ha-ingestor"
    for via in ("scrape", "collector", ""):
        ((labels, percent),) = answered(prometheus, "system_memory_percent", via=via)
        assert 0 < percent < 100
        assert labels == {"hostname": os.uname().nodename}
        ((labels, rate),) = answered(prometheus, "event_processing_rate_events_per_second", via=via)
        assert labels == {"source": "mqtt"}
        assert rate > 0
        assert answered(prometheus, "deduplication_rate", via=via) == [({"source": "mqtt"}, 0)]


def test_the_figures_of_the_api_are_those_in_prometheus(telemetry):
    run_the_snippets()
    counts = get_performance_monitor().event_counts
    (sample,) = eventually(lambda: answered(telemetry.prometheus, "events_processed_total", via="scrape"))
    assert sample == ({**EVENT, "status": "success"}, counts["total"])
