"""The earlier API exists, with the names and signatures that services call."""

import dataclasses
import inspect
from collections import Counter

import pytest

from otel_ha import compat
from otel_ha.compat import EnhancedMetricsCollector, HAIngestorCollector, PerformanceMonitor
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES

U = "unknown"
NEEDED = inspect.Parameter.empty

SIGNATURES = {
    "create_performance_monitor": {"config": None},
    "get_performance_monitor": {},
    "set_performance_monitor": {"monitor": NEEDED},
    "PerformanceMonitor": {"config": None},
    "PerformanceMonitor.record_processing_time": {"processing_time_ms": NEEDED},
    "PerformanceMonitor.record_event_processed": {"source": NEEDED, "domain": "", "entity_id": ""},
    "PerformanceMonitor.record_error": {"error_type": NEEDED},
    "PerformanceMonitor.collect_system_metrics": {},
    "PerformanceMonitor.calculate_performance_metrics": {},
    "PerformanceMonitor.calculate_business_metrics": {},
    "PerformanceMonitor.get_metrics_summary": {},
    "PerformanceMonitor.monitor_operation": {"operation_name": NEEDED, "labels": None},
    "PerformanceMonitor.start_monitoring": {},
    "PerformanceMonitor.stop_monitoring": {},
    "create_prometheus_collector": {"registry": None},
    "get_prometheus_collector": {},
    "set_prometheus_collector": {"collector": NEEDED},
    "HAIngestorCollector": {"registry": None},
    "HAIngestorCollector.update_system_metrics": {
        "hostname": NEEDED,
        "cpu_percent": NEEDED,
        "memory_percent": NEEDED,
        "memory_used_bytes": NEEDED,
        "disk_usage_percent": NEEDED,
        "disk_io_read_bytes": NEEDED,
        "disk_io_write_bytes": NEEDED,
        "network_io_sent_bytes": NEEDED,
        "network_io_recv_bytes": NEEDED,
        "mountpoint": "/",
        "interface": "default",
    },
    "HAIngestorCollector.observe_event_processing": {
        "duration_seconds": NEEDED,
        "source": U,
        "domain": U,
        "entity_id": U,
    },
    "HAIngestorCollector.update_event_processing_rate": {"rate": NEEDED, "source": U},
    "HAIngestorCollector.update_queue_depth": {"depth": NEEDED, "queue_name": "default"},
    "HAIngestorCollector.update_active_connections": {"count": NEEDED, "connection_type": U},
    "HAIngestorCollector.increment_events_processed": {"source": U, "domain": U, "entity_id": U, "status": "success"},
    "HAIngestorCollector.increment_data_points_written": {"count": 1, "measurement": U, "status": U},
    "HAIngestorCollector.increment_data_volume": {"bytes_count": NEEDED, "source": U, "data_type": U},
    "HAIngestorCollector.update_deduplication_rate": {"rate": NEEDED, "source": U},
    "HAIngestorCollector.update_filter_efficiency": {"efficiency": NEEDED, "filter_type": U},
    "HAIngestorCollector.update_transformation_success_rate": {"rate": NEEDED, "transformer_type": U},
    "HAIngestorCollector.increment_errors": {"error_type": U, "component": U, "severity": U},
    "HAIngestorCollector.update_circuit_breaker_state": {"state": NEEDED, "component": U},
    "HAIngestorCollector.increment_retry_attempts": {"component": U, "operation": U},
    "HAIngestorCollector.export_metrics": {},
    "HAIngestorCollector.get_metrics_summary": {},
    "create_enhanced_metrics_collector": {"config": None},
    "get_enhanced_metrics_collector": {},
    "set_enhanced_metrics_collector": {"collector": NEEDED},
    "EnhancedMetricsCollector": {"config": None},
    "EnhancedMetricsCollector.start": {},
    "EnhancedMetricsCollector.stop": {},
    "EnhancedMetricsCollector.sync_metrics": {},
    "EnhancedMetricsCollector.record_event_processing": {
        "duration_seconds": NEEDED,
        "source": U,
        "domain": U,
        "entity_id": U,
        "success": True,
    },
    "EnhancedMetricsCollector.record_error": {"error_type": NEEDED, "component": U, "severity": U},
    "EnhancedMetricsCollector.record_circuit_breaker_state": {"state": NEEDED, "component": U},
    "EnhancedMetricsCollector.record_retry_attempt": {"component": U, "operation": U},
    "EnhancedMetricsCollector.get_comprehensive_metrics": {},
    "EnhancedMetricsCollector.export_prometheus_metrics": {},
    "EnhancedMetricsCollector.get_all_metrics": {},
    "EnhancedMetricsCollector.get_health_status": {},
    "EnhancedMetricsCollector.reset_metrics": {},
    "create_metrics_collector": {},
    "get_metrics_collector": {},
    "set_metrics_collector": {"collector": NEEDED},
    "MetricsCollector": {},
    "MetricsCollector.record_event_processed": {"source": NEEDED, "success": True},
    "MetricsCollector.record_event_deduplicated": {},
    "MetricsCollector.record_pipeline_queue_size": {"size": NEEDED},
    "MetricsCollector.record_pipeline_processing_time": {"duration_seconds": NEEDED},
    "MetricsCollector.record_client_connection_status": {"client_type": NEEDED, "connected": NEEDED},
    "MetricsCollector.record_connection_latency": {"client_type": NEEDED, "latency_seconds": NEEDED},
    "MetricsCollector.record_connection_response_time": {"client_type": NEEDED, "response_time_seconds": NEEDED},
    "MetricsCollector.record_connection_throughput": {"client_type": NEEDED, "throughput_bps": NEEDED},
    "MetricsCollector.record_connection_error": {"client_type": NEEDED},
    "MetricsCollector.record_connection_reconnect": {"client_type": NEEDED},
    "MetricsCollector.record_connection_uptime": {"client_type": NEEDED, "uptime_seconds": NEEDED},
    "MetricsCollector.record_influxdb_write": {
        "points_count": NEEDED,
        "success": NEEDED,
        "duration_seconds": NEEDED,
    },
    "MetricsCollector.record_influxdb_batch_size": {"batch_size": NEEDED},
    "MetricsCollector.record_influxdb_batch_processed": {
        "success": NEEDED,
        "processing_duration": NEEDED,
        "batch_age": NEEDED,
        "original_size": NEEDED,
        "optimized_size": NEEDED,
        "original_data_size": NEEDED,
        "compressed_data_size": NEEDED,
    },
    "MetricsCollector.record_influxdb_retry_attempt": {"attempt_number": NEEDED},
    "MetricsCollector.record_influxdb_circuit_breaker_state": {"state": NEEDED},
    "MetricsCollector.record_influxdb_circuit_breaker_opened": {},
    "MetricsCollector.record_influxdb_throughput": {"points_per_second": NEEDED, "batches_per_second": NEEDED},
    "MetricsCollector.update_uptime": {},
    "MetricsCollector.collect_component_metrics": {"component_name": NEEDED, "metrics": NEEDED},
    "MetricsCollector.timed_operation": {"operation_name": NEEDED, "labels": None},
    "MetricsCollector.record_error": {"category": NEEDED, "severity": NEEDED, "recovered": False},
    "MetricsCollector.record_circuit_breaker_open": {"component": NEEDED},
    "MetricsCollector.record_circuit_breaker_state": {"component": NEEDED, "state": NEEDED},
    "MetricsCollector.record_retry_attempt": {"component": NEEDED, "operation": NEEDED},
    "MetricsCollector.record_filter_metrics": {
        "filter_name": NEEDED,
        "filter_type": NEEDED,
        "processing_time": NEEDED,
        "cache_hit": NEEDED,
        "event_filtered": NEEDED,
    },
    "MetricsCollector.record_filter_chain_metrics": {
        "total_filters": NEEDED,
        "total_processed": NEEDED,
        "total_filtered": NEEDED,
        "processing_time": NEEDED,
    },
    "MetricsCollector.update_filter_cache_size": {"filter_name": NEEDED, "filter_type": NEEDED, "cache_size": NEEDED},
    "MetricsCollector.get_metrics_summary": {},
    "MetricsCollector.export_prometheus": {},
    "MetricsCollector.clear_metrics": {},
    "MetricsRegistry": {},
    "MetricsRegistry.register_counter": {"name": NEEDED, "help_text": NEEDED},
    "MetricsRegistry.register_gauge": {"name": NEEDED, "help_text": NEEDED},
    "MetricsRegistry.register_histogram": {"name": NEEDED, "help_text": NEEDED, "buckets": None},
    "MetricsRegistry.increment_counter": {"name": NEEDED, "value": 1.0, "labels": None},
    "MetricsRegistry.set_gauge": {"name": NEEDED, "value": NEEDED, "labels": None},
    "MetricsRegistry.observe_histogram": {"name": NEEDED, "value": NEEDED, "labels": None},
    "MetricsRegistry.get_metric": {"name": NEEDED},
    "MetricsRegistry.get_all_metrics": {},
    "MetricsRegistry.get_metric_names": {},
    "MetricsRegistry.clear_metric": {"name": NEEDED},
    "MetricsRegistry.clear_all_metrics": {},
    "MetricsRegistry.get_uptime_seconds": {},
    "MetricsRegistry.export_prometheus": {},
    "MetricsRegistry.get_metrics_summary": {},
}
COROUTINES = {
    "PerformanceMonitor.collect_system_metrics",
    "PerformanceMonitor.start_monitoring",
    "EnhancedMetricsCollector.start",
    "EnhancedMetricsCollector.stop",
    "EnhancedMetricsCollector.sync_metrics",
}
FIELDS = {
    "SystemMetrics": "cpu_percent memory_percent memory_used_mb memory_available_mb disk_usage_percent disk_io_read_mb "
    "disk_io_write_mb network_io_sent_mb network_io_recv_mb timestamp",
    "PerformanceMetrics": "event_processing_rate average_processing_time p95_processing_time p99_processing_time "
    "queue_depth active_connections error_rate throughput_points_per_second timestamp",
    "BusinessMetrics": "total_events_processed events_by_domain events_by_entity events_by_source data_points_written "
    "data_volume_mb deduplication_rate filter_efficiency transformation_success_rate timestamp",
}
NAMES = """
system_cpu_percent system_memory_percent system_memory_used_bytes system_disk_usage_percent
system_disk_io_read_bytes_total system_disk_io_write_bytes_total
system_network_io_sent_bytes_total system_network_io_recv_bytes_total
event_processing_duration_seconds event_processing_rate_events_per_second queue_depth active_connections
events_processed_total data_points_written_total data_volume_bytes_total deduplication_rate filter_efficiency
transformation_success_rate errors_total circuit_breaker_state retry_attempts_total info
"""
FED = {
    "record_circuit_breaker_state",
    "record_client_connection_status",
    "record_connection_error",
    "record_connection_reconnect",
    "record_error",
    "record_event_deduplicated",
    "record_event_processed",
    "record_influxdb_circuit_breaker_state",
    "record_influxdb_retry_attempt",
    "record_influxdb_write",
    "record_pipeline_processing_time",
    "record_pipeline_queue_size",
    "record_retry_attempt",
}
RECORDS = ("record_", "update_", "increment_", "observe_", "monitor_operation")


def found(name: str) -> object:
    owner, _, method = name.partition(".")
    return getattr(getattr(compat, owner), method) if method else getattr(compat, owner)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_call_has_the_earlier_signature(name):
    parameters = inspect.signature(found(name)).parameters.values()
    assert {p.name: p.default for p in parameters if p.name != "self"} == SIGNATURES[name]
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)


@pytest.mark.parametrize("name", SIGNATURES)
def test_calls_that_were_awaited_are_still_awaited(name):
    assert inspect.iscoroutinefunction(found(name)) == (name in COROUTINES)


@pytest.mark.parametrize("name", FIELDS)
def test_metrics_have_the_earlier_fields_first_and_defaults_for_all(name):
    cls = getattr(compat, name)
    fields = FIELDS[name].split()
    assert [field.name for field in dataclasses.fields(cls)][: len(fields)] == fields
    assert not any(value for key, value in dataclasses.asdict(cls()).items() if key != "timestamp")
    assert cls().timestamp > 1e9


def test_everything_public_is_listed():
    assert set(compat.__all__) == {name for name in SIGNATURES if "." not in name} | set(FIELDS)


def test_every_earlier_prometheus_name_is_in_the_table_once():
    assert [old.name for old in OLD_NAMES if not old.is_registered] == NAMES.split()
    assert PREFIX == "ha_ingestor_"


def test_a_rule_of_the_metrics_collector_has_one_of_its_names_and_none_of_the_others():
    names = [PREFIX + old.name for old in OLD_NAMES if old.is_registered]
    assert len(names) == len(set(names))
    assert set(names) <= BUILT_IN.keys()
    assert not set(names) & {PREFIX + name for name in NAMES.split()}


def test_the_metrics_collector_has_the_49_earlier_names():
    kinds = Counter(kind for kind, _ in BUILT_IN.values())
    assert kinds == {"gauge": 15, "counter": 24, "histogram": 10}


def test_every_call_that_records_is_in_the_table():
    classes = (PerformanceMonitor, HAIngestorCollector, EnhancedMetricsCollector)
    recording = {f"{cls.__name__}.{name}" for cls in classes for name in vars(cls) if name.startswith(RECORDS)}
    recording |= {f"MetricsCollector.{name}" for name in FED}
    assert {call for old in OLD_NAMES for call in old.calls} == recording
