"""The earlier names in the text of export_metrics(), for users without Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from otel_ha import measured
from otel_ha.compat import (
    HAIngestorCollector,
    MetricsRegistry,
    get_enhanced_metrics_collector,
    get_metrics_collector,
    get_prometheus_collector,
)
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.vocabulary import ingest
from tests import earlier
from tests.unit.compat.conftest import run

SERVER = {"hostname": "server-01"}
EVENT = {"source": "mqtt", "domain": "light"}
MB = 1024 * 1024
OF_THE_SNIPPETS = {
    "system_cpu_percent": [(SERVER, 25.5)],
    "system_memory_used_bytes": [(SERVER, 2048 * MB)],
    "system_disk_usage_percent": [({**SERVER, "mountpoint": "/"}, 45.0)],
    "system_disk_io_read_bytes_total": [(SERVER, 100 * MB)],
    "system_network_io_recv_bytes_total": [({**SERVER, "interface": "default"}, 150 * MB)],
    "event_processing_duration_seconds_count": [({}, 1), (EVENT, 1)],
    "event_processing_duration_seconds_sum": [({}, 0.1505), (EVENT, 0.15)],
    "events_processed_total": [({**EVENT, "status": "success"}, 2)],
    "info": [({"service": "test"}, 1)],
}
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
}


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    found = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return sorted(((each.labels, each.value) for each in found if each.name == PREFIX + name), key=str)


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


def test_it_has_the_earlier_names_with_the_values_of_the_rules(telemetry):
    for snippet in ("performance_monitor", "enhanced_collector", "prometheus_collector"):
        run(snippet)
    say_the_rest()
    text = get_prometheus_collector().export_metrics()
    expected = OF_THE_SNIPPETS | OF_THE_REST
    assert {name: samples(text, name) for name in expected} == {
        name: sorted(rows, key=str) for name, rows in expected.items()
    }
    assert all(f"# TYPE {PREFIX}{old.name} " in text for old in OLD_NAMES)


def test_it_has_all_names_of_the_metrics_collector(telemetry):
    get_metrics_collector().record_influxdb_write(10, success=True, duration_seconds=0.5)
    text = get_prometheus_collector().export_metrics()
    assert samples(text, "influxdb_points_written_total") == [({}, 10)]
    ruled = {"circuit_breaker_state", "errors_total", "events_processed_total", "retry_attempts_total"}
    assert {name for name in BUILT_IN if f"# TYPE {name} " in text} == BUILT_IN.keys() - {PREFIX + n for n in ruled}
    assert samples(text, "uptime_seconds")[0][1] >= 0


def test_no_family_and_no_series_is_there_twice(telemetry):
    registry = MetricsRegistry()
    registry.register_gauge("ha_ingestor_pool_size", "Size")
    registry.set_gauge("ha_ingestor_pool_size", 3)
    say_the_rest()
    get_metrics_collector().record_error("timeout", "error")
    text = get_enhanced_metrics_collector().export_prometheus_metrics()
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    found = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(found) == len(set(found))
    assert samples(text, "pool_size")[0][1] == 3


def test_derived_figures_are_those_of_measured_events(telemetry):
    for number in range(5):
        with measured(ingest.EVENT, source="mqtt", domain="light") as event:
            if number == 0:
                event.discard("duplicate")
    text = HAIngestorCollector().export_metrics()
    assert samples(text, "events_processed_total") == [({**EVENT, "status": "success"}, 4)]
    assert samples(text, "deduplication_rate") == [({"source": "mqtt"}, 0.2)]
    assert samples(text, "filter_efficiency") == [({}, 0)]
    assert samples(text, "transformation_success_rate") == []
    assert samples(text, "event_processing_rate_events_per_second")[0][1] > 0


def test_the_host_is_that_of_telemetry():
    with earlier.telemetry(resource_attributes={"host.name": "box", "service.version": "2.0"}):
        text = HAIngestorCollector().export_metrics()
    assert samples(text, "info") == [({"service": "test", "version": "2.0"}, 1)]
    assert [labels for labels, _ in samples(text, "system_memory_percent")] == [{"hostname": "box"}]
    assert samples(text, "system_memory_used_bytes")[0][1] > MB


def test_figures_of_a_group_that_is_off_are_left_out():
    with earlier.telemetry(system_metrics=False):
        assert samples(HAIngestorCollector().export_metrics(), "system_memory_percent") == []


def test_service_info_adds_labels(telemetry):
    collector = HAIngestorCollector()
    collector.service_info.info({"version": "1.0.0", "description": "A service"})
    expected = {"service": "test", "version": "1.0.0", "description": "A service"}
    assert samples(collector.export_metrics(), "info") == [(expected, 1)]


def test_without_the_scrape_it_has_the_names_of_the_metrics_collector():
    with earlier.telemetry(metrics_exporters=()):
        get_metrics_collector().record_error("timeout", "error")
        text = get_prometheus_collector().export_metrics()
        assert samples(text, "errors_total") == [({}, 1)]
        assert "homeassistant_" not in text


def test_it_is_empty_without_telemetry(telemetry):
    collector = get_prometheus_collector()
    telemetry.shutdown()
    assert collector.export_metrics() == ""


def test_uptime_and_start_time_are_known(telemetry):
    every = get_enhanced_metrics_collector().get_all_metrics()
    registry = get_metrics_collector().registry
    assert every["ha_ingestor_start_time_seconds"] > 1e9
    assert every["ha_ingestor_uptime_seconds"] >= 0
    assert registry.start_time > 1e9
    assert registry.get_uptime_seconds() >= 0
