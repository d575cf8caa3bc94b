"""MetricsCollector: one method for each thing that happens in a service, on top of a MetricsRegistry."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

from otel_ha.compat import recorded
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.registry import MetricsRegistry
from otel_ha.compat.running import Instance, report
from otel_ha.compat.words import BREAKER_STATES, has_failed, usable_number, word
from otel_ha.declare.plain import plain_number, plain_text
from otel_ha.declare.ports import shown
from otel_ha.vocabulary.ingest import CIRCUIT_STATE

MOST_CLIENTS: Final = 16
"""Clients that have a gauge of their own, besides mqtt, websocket and influxdb."""

_BREAKER_NUMBERS: Final = {state: number for number, state in enumerate(CIRCUIT_STATE.values)}


class MetricsCollector:
    """The earlier metrics collector: its 49 names are in `registry`, and its figures in the metrics of telemetry.

    No method that records raises. What the service reports by otel-ha's own API as well is counted twice in telemetry,
    except for events and queues (see otel_ha.compat.recorded).
    """

    def __init__(self) -> None:
        self.logger = logging.getLogger("otel_ha.compat")
        self.registry = MetricsRegistry()
        self._clients: set[str] = set()
        """The names of the gauges of clients that are not built in."""
        for name, (kind, help_text) in BUILT_IN.items():
            getattr(self.registry, f"register_{kind}")(name, help_text)

    def record_event_processed(self, source: str, success: bool = True) -> None:  # noqa: FBT001, FBT002 - the earlier signature
        """Count an event that was processed."""
        self.note_event(source, success)
        recorded.event(source, success)

    def note_event(self, source: object, success: object) -> None:
        """Count an event under the earlier names only: telemetry has counted it already."""
        self._count("events_processed_total")
        if (known := (plain_text(source) or "").lower()) in {"mqtt", "websocket"}:
            self._count(f"events_{known}_total")
        if has_failed(success):
            self._count("events_failed_total")

    def record_event_deduplicated(self) -> None:
        """Count an event that was discarded as a duplicate."""
        self._count("events_deduplicated_total")
        recorded.duplicate()

    def record_pipeline_queue_size(self, size: int) -> None:
        """Set the number of events that wait."""
        self._set("pipeline_queue_size", size)
        recorded.queue_size(size)

    def record_pipeline_processing_time(self, duration_seconds: float) -> None:
        """Record an event with its duration in seconds."""
        self._observe("pipeline_processing_duration_seconds", duration_seconds)
        recorded.processing_time(duration_seconds)

    def record_client_connection_status(self, client_type: str, connected: bool) -> None:  # noqa: FBT001 - as above
        """Set whether a client is connected: mqtt, websocket, influxdb or another one."""
        client, is_up = _lower(client_type), plain_number(connected)
        name = f"{client}_connected"
        status = None if is_up is None else float(bool(is_up))
        if self._has_gauge(client, name):
            self._set(name, status)
        recorded.connection(client, status)

    def _has_gauge(self, client: str, name: str) -> bool:
        """Register the gauge of a client, within a budget: it must not take the names that the service registers."""
        if f"{PREFIX}{name}" not in BUILT_IN and name not in self._clients:
            if len(self._clients) >= MOST_CLIENTS:
                message = f"more than {MOST_CLIENTS} clients; {shown(client)} and later ones have no gauge of their own"
                report("MetricsRegistry", "names_exceeded", message)
                return False
            self._clients.add(name)
            self.registry.register_gauge(f"{PREFIX}{name}", f"1 while the client {client} is connected, else 0")
        return True

    def record_connection_latency(self, client_type: str, latency_seconds: float) -> None:
        """Record the latency of a connection, in seconds."""
        self._observe("connection_latency_seconds", latency_seconds, client_type=_lower(client_type))

    def record_connection_response_time(self, client_type: str, response_time_seconds: float) -> None:
        """Record a response time, in seconds."""
        self._observe("connection_response_time_seconds", response_time_seconds, client_type=_lower(client_type))

    def record_connection_throughput(self, client_type: str, throughput_bps: float) -> None:
        """Set the throughput of a connection, in bits per second."""
        self._set("connection_throughput_bps", throughput_bps, client_type=_lower(client_type))

    def record_connection_error(self, client_type: str) -> None:
        """Count an error of a connection."""
        self._count("connection_errors_total", client_type=_lower(client_type))
        recorded.connection_error(_lower(client_type))

    def record_connection_reconnect(self, client_type: str) -> None:
        """Count an attempt to connect again."""
        self._count("connection_reconnects_total", client_type=_lower(client_type))
        recorded.reconnect(_lower(client_type))

    def record_connection_uptime(self, client_type: str, uptime_seconds: float) -> None:
        """Set the time that a connection has been up, in seconds."""
        self._set("connection_uptime_seconds", uptime_seconds, client_type=_lower(client_type))

    def record_influxdb_write(self, points_count: int, success: bool, duration_seconds: float) -> None:  # noqa: FBT001 - as above
        """Record a write to InfluxDB: its points, its outcome, and its duration in seconds."""
        failed = has_failed(success)
        self._count(f"influxdb_points_{'failed' if failed else 'written'}_total", points_count)
        self._observe("influxdb_write_duration_seconds", duration_seconds)
        recorded.write(points_count, success, duration_seconds)

    def record_influxdb_batch_size(self, batch_size: int) -> None:
        """Set the number of points in the current batch."""
        self._set("influxdb_batch_size", batch_size)

    def record_influxdb_batch_processed(
        self,
        success: bool,  # noqa: FBT001 - the earlier signature
        processing_duration: float,
        batch_age: float,
        original_size: int,
        optimized_size: int,
        original_data_size: int,
        compressed_data_size: int,
    ) -> None:
        """Record a batch: durations in seconds, sizes in points, data sizes in bytes."""
        failed = has_failed(success)
        self._count(f"influxdb_batches_{'failed' if failed else 'processed'}_total")
        self._observe("influxdb_batch_processing_duration_seconds", processing_duration)
        self._observe("influxdb_batch_age_seconds", batch_age)
        self._set_ratio("influxdb_batch_optimization_efficiency", optimized_size, original_size)
        self._set_ratio("influxdb_batch_compression_ratio", original_data_size, compressed_data_size)
        recorded.batch(optimized_size)

    def record_influxdb_retry_attempt(self, attempt_number: int) -> None:
        """Count a retry of a write; `attempt_number` is not used."""
        del attempt_number
        self._count("influxdb_retry_attempts_total")
        recorded.retry("influxdb", "write")

    def record_influxdb_circuit_breaker_state(self, state: str) -> None:
        """Set the state of the writer's circuit breaker: closed, half_open or open, also in capitals."""
        self._set_breaker("influxdb_circuit_breaker_state", state)
        recorded.breaker(state, "influxdb")

    def record_influxdb_circuit_breaker_opened(self) -> None:
        """Count that the writer's circuit breaker opened."""
        self._count("influxdb_circuit_breaker_opens_total")

    def record_influxdb_throughput(self, points_per_second: float, batches_per_second: float) -> None:
        """Record the throughput of the writer."""
        self._observe("influxdb_throughput_points_per_second", points_per_second)
        self._observe("influxdb_throughput_batches_per_second", batches_per_second)

    def update_uptime(self) -> None:
        """Set the uptime, which export_prometheus() does as well."""
        self._set("uptime_seconds", self.registry.get_uptime_seconds())

    def collect_component_metrics(self, component_name: str, metrics: dict[str, Any]) -> None:
        """Set a gauge ha_ingestor_<component>_<name> for each number in `metrics`; other values are left out."""
        component = plain_text(component_name)
        if component is None or not isinstance(metrics, Mapping):
            wrong = component_name if component is None else metrics
            report(
                "MetricsRegistry",
                "invalid_value",
                f"got {shown(wrong)}; allowed: the component's name and a dict of numbers",
            )
            return
        for key, value in _items(metrics):
            if (name := plain_text(key)) is not None and plain_number(value) is not None:
                full = f"{PREFIX}{component}_{name}"
                self.registry.register_gauge(full, f"{component} {name}")
                self.registry.set_gauge(full, value)

    @asynccontextmanager
    async def timed_operation(self, operation_name: str, labels: dict[str, str] | None = None) -> AsyncIterator[None]:
        """Record the duration of the block as ha_ingestor_<operation>_duration_seconds, unless it raises."""
        started = perf_counter()
        yield
        if (operation := plain_text(operation_name)) is None:
            report("MetricsRegistry", "invalid_name", f"cannot time {shown(operation_name)}; allowed: a name; ignored")
            return
        name = f"{PREFIX}{operation}_duration_seconds"
        self.registry.register_histogram(name, f"Time for {operation}, in seconds")
        self.registry.observe_histogram(name, perf_counter() - started, labels)

    def record_error(self, category: str, severity: str, recovered: bool = False) -> None:  # noqa: FBT001, FBT002 - as above
        """Count an error."""
        self.note_error(category, severity, recovered)
        recorded.error(category, severity)

    def note_error(self, category: object, severity: object, recovered: object = False) -> None:  # noqa: FBT002 - as above
        """Count an error under the earlier names only: telemetry has counted it already."""
        self._count("errors_total")
        self._count("errors_by_category_total", category=category)
        self._count("errors_by_severity_total", severity=severity)
        self._count(f"errors_{'recovered' if plain_number(recovered) else 'unrecovered'}_total")

    def record_circuit_breaker_open(self, component: str) -> None:
        """Count that a circuit breaker opened."""
        self._count("circuit_breaker_opens_total", component=component)

    def record_circuit_breaker_state(self, component: str, state: str) -> None:
        """Set the state of a circuit breaker: closed, half_open or open."""
        self.note_breaker(component, state)
        recorded.breaker(state, component)

    def note_breaker(self, component: object, state: object) -> None:
        """Set the state of a circuit breaker under the earlier name only."""
        self._set_breaker("circuit_breaker_state", state, component=component)

    def record_retry_attempt(self, component: str, operation: str) -> None:
        """Count a retry."""
        self.note_retry(component, operation)
        recorded.retry(component, operation)

    def note_retry(self, component: object, operation: object) -> None:
        """Count a retry under the earlier name only: telemetry has counted it already."""
        self._count("retry_attempts_total", component=component, operation=operation)

    def record_filter_metrics(
        self,
        filter_name: str,
        filter_type: str,
        processing_time: float,
        cache_hit: bool,  # noqa: FBT001 - the earlier signature
        event_filtered: bool,  # noqa: FBT001 - the earlier signature
    ) -> None:
        """Record the check of an event by a filter, with its duration in seconds."""
        of = {"filter_name": filter_name, "filter_type": filter_type}
        self._observe("filters_processing_duration_seconds", processing_time, **of)
        self._count(f"filters_cache_{'hits' if plain_number(cache_hit) else 'misses'}_total", **of)
        self._count("filters_events_processed_total", **of)
        if plain_number(event_filtered):
            self._count("filters_events_filtered_total", **of)

    def record_filter_chain_metrics(
        self, total_filters: int, total_processed: int, total_filtered: int, processing_time: float
    ) -> None:
        """Record the check of events by the chain of filters, with its duration in seconds."""
        self._observe("filter_chain_processing_duration_seconds", processing_time)
        self._set("filter_chain_total_filters", total_filters)
        processed, filtered = usable_number(total_processed, least=0), usable_number(total_filtered, least=0)
        whole = None if processed is None or filtered is None else processed + filtered or 1
        self._set_ratio("filter_chain_filter_rate", total_filtered, whole)

    def update_filter_cache_size(self, filter_name: str, filter_type: str, cache_size: int) -> None:
        """Set the number of entries in the cache of a filter."""
        self._set("filters_cache_size", cache_size, filter_name=filter_name, filter_type=filter_type)

    def get_metrics_summary(self) -> dict[str, Any]:
        """Return the summary of the registry."""
        return self.registry.get_metrics_summary()

    def export_prometheus(self) -> str:
        """Return the text of the registry, with the uptime."""
        self.update_uptime()
        return self.registry.export_prometheus()

    def clear_metrics(self) -> None:
        """Forget the numbers of the registry; the series in telemetry continue."""
        self.registry.clear_all_metrics()

    def _count(self, name: str, amount: object = 1.0, **labels: object) -> None:
        self.registry.increment_counter(f"{PREFIX}{name}", amount, labels)  # type: ignore[arg-type]  # it checks both

    def _set(self, name: str, value: object, **labels: object) -> None:
        self.registry.set_gauge(f"{PREFIX}{name}", value, labels)  # type: ignore[arg-type]  # it checks both

    def _observe(self, name: str, value: object, **labels: object) -> None:
        self.registry.observe_histogram(f"{PREFIX}{name}", value, labels)  # type: ignore[arg-type]  # it checks both

    def _set_ratio(self, name: str, part: object, whole: object) -> None:
        """Set the ratio of two numbers, unless the second one is 0."""
        one, other = usable_number(part, least=0), usable_number(whole, least=0)
        if one is None or other is None:
            wrong = part if one is None else whole
            report(f"{PREFIX}{name}", "invalid_amount", f"cannot use {shown(wrong)}; allowed: a number from 0; ignored")
        elif other > 0:
            self._set(name, one / other)

    def _set_breaker(self, name: str, state: object, **labels: object) -> None:
        known = plain_text(word(state, BREAKER_STATES)) or ""
        if known in _BREAKER_NUMBERS:  # otherwise it stays as it is, and recorded.breaker() reports it
            self._set(name, _BREAKER_NUMBERS[known], **labels)


def _items(metrics: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return [(key, value) for key, value in metrics.items()]
    except Exception:  # noqa: BLE001 - a mapping of the caller's own may do anything, and recording never raises
        report("MetricsRegistry", "invalid_value", "a component's metrics cannot be read; ignored")
        return []


def _lower(client: object) -> str:
    name = plain_text(client)
    return "unknown" if name is None else name.lower()


def create_metrics_collector() -> MetricsCollector:
    """Return a new collector."""
    return MetricsCollector()


_the_collector = Instance(create_metrics_collector)


def get_metrics_collector() -> MetricsCollector:
    """Return the collector of this process; sets telemetry up from the environment unless that has been done."""
    return _the_collector.get()


def set_metrics_collector(collector: MetricsCollector) -> None:
    """Replace the collector of this process; None creates a new one at the next get."""
    _the_collector.set(collector)
