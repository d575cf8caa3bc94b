"""HAIngestorCollector: one method for each metric to record; output as text and to registries of prometheus_client."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from otel_ha.compat import answers, events
from otel_ha.compat.built_in import NAMES
from otel_ha.compat.earlier_text import RULED, earlier_text
from otel_ha.compat.labelled import MetricObject, ServiceInfo
from otel_ha.compat.metrics_collector import get_metrics_collector
from otel_ha.compat.objects import metric_objects
from otel_ha.compat.running import Instance, ensure, is_running, prometheus_text
from otel_ha.compat.words import OUTCOMES, word


class HAIngestorCollector(Collector):
    """The earlier Prometheus collector, with one method for each metric.

    All metrics of telemetry are registered with `registry` (default: a new one), once per registry. Each earlier metric
    is an attribute as well: ``collector.queue_depth.labels(queue_name="ingest").set(3)``.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        ensure({})
        self.logger = logging.getLogger("otel_ha.compat")
        self.service_info = ServiceInfo()
        self._objects = metric_objects()
        self.registry = registry if registry is not None else CollectorRegistry()
        if self.registry not in _collected:
            _collected.add(self.registry)
            self.registry.register(self)

    def __getattr__(self, name: str) -> MetricObject:
        """Return an earlier metric object."""
        found: MetricObject | None = self.__dict__.get("_objects", {}).get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return found

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the metrics are not known in advance."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of telemetry, for a registry of prometheus_client."""
        return list(text_string_to_metric_families(prometheus_text()))

    def update_system_metrics(
        self,
        hostname: str,
        cpu_percent: float,
        memory_percent: float,
        memory_used_bytes: float,
        disk_usage_percent: float,
        disk_io_read_bytes: float,
        disk_io_write_bytes: float,
        network_io_sent_bytes: float,
        network_io_recv_bytes: float,
        mountpoint: str = "/",
        interface: str = "default",
    ) -> None:
        """Set readings of a machine; those of disks and network are the machine's own totals."""
        self.system_cpu_percent.labels(hostname).set(cpu_percent)
        self.system_memory_percent.labels(hostname).set(memory_percent)
        self.system_memory_used_bytes.labels(hostname).set(memory_used_bytes)
        self.system_disk_usage_percent.labels(hostname, mountpoint).set(disk_usage_percent)
        self.system_disk_io_read_bytes.labels(hostname).set(disk_io_read_bytes)
        self.system_disk_io_write_bytes.labels(hostname).set(disk_io_write_bytes)
        self.system_network_io_sent_bytes.labels(hostname, interface).set(network_io_sent_bytes)
        self.system_network_io_recv_bytes.labels(hostname, interface).set(network_io_recv_bytes)

    def observe_event_processing(
        self, duration_seconds: float, source: str = "unknown", domain: str = "unknown", entity_id: str = "unknown"
    ) -> None:
        """Record an event with its duration in seconds."""
        events.measured(duration_seconds, source, domain, entity_id)

    def update_event_processing_rate(self, rate: float, source: str = "unknown") -> None:
        """Set a rate, in events per second."""
        self.event_processing_rate.labels(source).set(rate)

    def update_queue_depth(self, depth: int, queue_name: str = "default") -> None:
        """Set the depth of a queue."""
        self.queue_depth.labels(queue_name).set(depth)

    def update_active_connections(self, count: int, connection_type: str = "unknown") -> None:
        """Set the number of active connections."""
        self.active_connections.labels(connection_type).set(count)

    def increment_events_processed(
        self, source: str = "unknown", domain: str = "unknown", entity_id: str = "unknown", status: str = "success"
    ) -> None:
        """Count an event that was processed."""
        events.counted(source, domain, entity_id, word(status, OUTCOMES))

    def increment_data_points_written(
        self, count: int = 1, measurement: str = "unknown", status: str = "unknown"
    ) -> None:
        """Count points that were written or failed, by status."""
        events.points_written(count, measurement, status)

    def increment_data_volume(self, bytes_count: int, source: str = "unknown", data_type: str = "unknown") -> None:
        """Count bytes received."""
        events.received(bytes_count, source, data_type)

    def update_deduplication_rate(self, rate: float, source: str = "unknown") -> None:
        """Set the share of events that were duplicates, from 0 to 1."""
        self.deduplication_rate.labels(source).set(rate)

    def update_filter_efficiency(self, efficiency: float, filter_type: str = "unknown") -> None:
        """Set the efficiency of a filter, from 0 to 1."""
        self.filter_efficiency.labels(filter_type).set(efficiency)

    def update_transformation_success_rate(self, rate: float, transformer_type: str = "unknown") -> None:
        """Set the share of transformations that succeeded, from 0 to 1."""
        self.transformation_success_rate.labels(transformer_type).set(rate)

    def increment_errors(
        self, error_type: str = "unknown", component: str = "unknown", severity: str = "unknown"
    ) -> None:
        """Count an error."""
        events.failed(error_type, component, severity)

    def update_circuit_breaker_state(self, state: int, component: str = "unknown") -> None:
        """Set the state of a circuit breaker: 0 closed, 1 half open, 2 open."""
        self.circuit_breaker_state.labels(component).set(state)

    def increment_retry_attempts(self, component: str = "unknown", operation: str = "unknown") -> None:
        """Count a retry."""
        events.retried(component, operation)

    def export_metrics(self) -> str:
        """Return the text that a scrape returns, then the earlier names; empty if telemetry does not run.

        Without the exporter prometheus, it has only the names of the metrics collector.
        """
        if not is_running():
            return ""
        answers.collected()
        scraped = prometheus_text()
        earlier = earlier_text(scraped, self.service_info.labels) if scraped else ""
        registry = get_metrics_collector()
        registry.update_uptime()
        known = RULED if scraped else frozenset[str]()
        ours = NAMES - known
        return f"{scraped}{earlier}{registry.registry.text(ours.__contains__)}"

    def get_metrics_summary(self) -> dict[str, Any]:
        """Return registry, metrics_count, and metrics: the type, help and samples of each."""
        metrics = {metric.name: _described(metric) for metric in self.collect()}
        return {"registry": str(self.registry), "metrics_count": len(metrics), "metrics": metrics}


_collected: weakref.WeakSet[CollectorRegistry] = weakref.WeakSet()
"""The registries with which the metrics of telemetry are registered."""


def _described(metric: Metric) -> dict[str, Any]:
    samples = [
        {
            "name": sample.name,
            "labels": sample.labels,
            "value": sample.value,
            "timestamp": sample.timestamp,
            "exemplar": sample.exemplar,
        }
        for sample in metric.samples
    ]
    return {"type": metric.type, "help": metric.documentation, "samples": samples}


def create_prometheus_collector(registry: CollectorRegistry | None = None) -> HAIngestorCollector:
    """Return a new collector."""
    return HAIngestorCollector(registry)


_the_collector = Instance(create_prometheus_collector)


def get_prometheus_collector() -> HAIngestorCollector:
    """Return the collector of this process; sets telemetry up from the environment unless that has been done."""
    return _the_collector.get()


def set_prometheus_collector(collector: HAIngestorCollector) -> None:
    """Replace the collector of this process."""
    _the_collector.set(collector)
