"""The names that the earlier MetricsCollector registers itself: the kind and the help text of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_ha.compat.old_names.old_name import PREFIX

_GAUGES: Final = {
    "uptime_seconds": "Time since the collector was created, in seconds",
    "pipeline_queue_size": "Events that wait in the pipeline's queue",
    "mqtt_connected": "1 while the MQTT client is connected, else 0",
    "websocket_connected": "1 while the WebSocket client is connected, else 0",
    "influxdb_connected": "1 while the InfluxDB client is connected, else 0",
    "connection_throughput_bps": "Throughput of a connection, in bits per second",
    "connection_uptime_seconds": "Time that a connection has been up, in seconds",
    "filters_cache_size": "Entries in the cache of a filter",
    "filter_chain_total_filters": "Filters in the chain",
    "filter_chain_filter_rate": "Share of events that the chain discarded, from 0 to 1",
    "circuit_breaker_state": "State of a circuit breaker: 0 closed, 1 half open, 2 open",
    "influxdb_batch_size": "Points in the current batch",
    "influxdb_batch_compression_ratio": "Bytes of the last batch before compression, divided by those after it",
    "influxdb_batch_optimization_efficiency": "Points of the last batch after optimization, divided by those before it",
    "influxdb_circuit_breaker_state": "State of the writer's circuit breaker: 0 closed, 1 half open, 2 open",
}
_COUNTERS: Final = {
    "events_processed_total": "Events processed",
    "events_mqtt_total": "Events processed that came over MQTT",
    "events_websocket_total": "Events processed that came over WebSocket",
    "events_deduplicated_total": "Events discarded as duplicates",
    "events_failed_total": "Events whose processing failed",
    "connection_errors_total": "Errors of connections",
    "connection_reconnects_total": "Attempts to connect again",
    "filters_events_processed_total": "Events that a filter checked",
    "filters_events_filtered_total": "Events that a filter discarded",
    "filters_cache_hits_total": "Checks of a filter that its cache answered",
    "filters_cache_misses_total": "Checks of a filter that its cache did not answer",
    "errors_total": "Errors",
    "errors_by_category_total": "Errors by category",
    "errors_by_severity_total": "Errors by severity",
    "errors_recovered_total": "Errors from which the service recovered",
    "errors_unrecovered_total": "Errors from which the service did not recover",
    "circuit_breaker_opens_total": "Times that a circuit breaker opened",
    "retry_attempts_total": "Retries of failed operations",
    "influxdb_points_written_total": "Points written to InfluxDB",
    "influxdb_points_failed_total": "Points that could not be written to InfluxDB",
    "influxdb_batches_processed_total": "Batches that were processed",
    "influxdb_batches_failed_total": "Batches that failed",
    "influxdb_retry_attempts_total": "Retries of failed writes to InfluxDB",
    "influxdb_circuit_breaker_opens_total": "Times that the writer's circuit breaker opened",
}
_HISTOGRAMS: Final = {
    "pipeline_processing_duration_seconds": "Time to process an event, in seconds",
    "connection_latency_seconds": "Latency of a connection, in seconds",
    "connection_response_time_seconds": "Response time of a connection, in seconds",
    "filters_processing_duration_seconds": "Time for a filter to check an event, in seconds",
    "filter_chain_processing_duration_seconds": "Time for the chain of filters to check an event, in seconds",
    "influxdb_write_duration_seconds": "Time to write points to InfluxDB, in seconds",
    "influxdb_batch_processing_duration_seconds": "Time to process a batch, in seconds",
    "influxdb_batch_age_seconds": "Age of a batch when it is processed, in seconds",
    "influxdb_throughput_points_per_second": "Points written per second",
    "influxdb_throughput_batches_per_second": "Batches processed per second",
}

BUILT_IN: Final[Mapping[str, tuple[str, str]]] = {
    f"{PREFIX}{name}": (kind, help_text)
    for kind, names in (("gauge", _GAUGES), ("counter", _COUNTERS), ("histogram", _HISTOGRAMS))
    for name, help_text in names.items()
}
"""Kind and help text by name."""

NAMES: Final = frozenset(BUILT_IN)
