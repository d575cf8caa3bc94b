"""The earlier public metric objects of HAIngestorCollector, by their attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_ha.compat import events, pushed
from otel_ha.compat.labelled import MetricObject, Record
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.words import OUTCOMES, amount, word
from otel_ha.declare.instruments import Gauge
from otel_ha.vocabulary import ha_ingestor, ingest

PERCENT: Final = 1e6
"""Upper limit of a percentage: some tools add up those of all CPUs."""


def metric_objects() -> Mapping[str, MetricObject]:
    """Return new objects, by the name of their attribute."""
    return {
        name: MetricObject(PREFIX + exposed, labels, record, adds=adds)
        for name, (exposed, labels, record, adds) in _OBJECTS.items()
    }


def _gauge(gauge: Gauge, keywords: Mapping[str, str], most: float | None = None) -> Record:
    """Return the function that sets a gauge; `keywords` are its keywords by label."""

    def record(value: object, **of: object) -> None:
        pushed.reading(gauge, value, most, **{keywords[label]: each for label, each in of.items()})

    return record


def _disk(way: str) -> Record:
    return lambda total, hostname: pushed.disk_io(total, host=hostname, direction=way)


def _network(way: str) -> Record:
    return lambda total, hostname, interface: pushed.network_io(
        total, host=hostname, interface=interface, direction=way
    )


def _counted(number: object, source: object, domain: object, entity_id: object, status: object) -> None:
    if (known := amount(ha_ingestor.COUNTED_EVENTS, "a count", number)) is not None:
        events.counted(source, domain, entity_id, word(status, OUTCOMES), known)


def _failed(number: object, error_type: object, component: object, severity: object) -> None:
    if (known := amount(ingest.ERRORS, "a count", number)) is not None:
        events.failed(error_type, component, severity, known)


def _retried(number: object, component: object, operation: object) -> None:
    if (known := amount(ingest.RETRIES, "a count", number)) is not None:
        events.retried(component, operation, known)


def _queue(depth: object, queue_name: object) -> None:
    pushed.queue_depth(depth, queue_name)


def _connections(number: object, connection_type: object) -> None:
    pushed.active_connections(number, connection_type)


def _received(number: object, source: object, type: object) -> None:  # noqa: A002 - the earlier label
    events.received(number, source, type)


def _measured(seconds: object, source: object, domain: object, entity_id: object) -> None:
    events.measured(seconds, source, domain, entity_id)


_HOST: Final = {"hostname": "host"}
_ON_DISK: Final = {**_HOST, "mountpoint": "mountpoint"}
_NETWORK: Final = ("hostname", "interface")
_EVENT: Final = ("source", "domain", "entity_id")

_OBJECTS: Final[Mapping[str, tuple[str, tuple[str, ...], Record, bool]]] = {
    "system_cpu_percent": (
        "system_cpu_percent",
        ("hostname",),
        _gauge(ha_ingestor.CPU, _HOST, PERCENT),
        False,
    ),
    "system_memory_percent": (
        "system_memory_percent",
        ("hostname",),
        _gauge(ha_ingestor.MEMORY, _HOST, PERCENT),
        False,
    ),
    "system_memory_used_bytes": (
        "system_memory_used_bytes",
        ("hostname",),
        _gauge(ha_ingestor.MEMORY_USED, _HOST),
        False,
    ),
    "system_disk_usage_percent": (
        "system_disk_usage_percent",
        ("hostname", "mountpoint"),
        _gauge(ha_ingestor.FILESYSTEM, _ON_DISK, PERCENT),
        False,
    ),
    "system_disk_io_read_bytes": ("system_disk_io_read_bytes_total", ("hostname",), _disk("read"), False),
    "system_disk_io_write_bytes": ("system_disk_io_write_bytes_total", ("hostname",), _disk("write"), False),
    "system_network_io_sent_bytes": ("system_network_io_sent_bytes_total", _NETWORK, _network("transmit"), False),
    "system_network_io_recv_bytes": ("system_network_io_recv_bytes_total", _NETWORK, _network("receive"), False),
    "event_processing_duration": ("event_processing_duration_seconds", _EVENT, _measured, True),
    "event_processing_rate": (
        "event_processing_rate_events_per_second",
        ("source",),
        _gauge(ha_ingestor.EVENT_RATE, {"source": "source"}),
        False,
    ),
    "queue_depth": ("queue_depth", ("queue_name",), _queue, False),
    "active_connections": (
        "active_connections",
        ("connection_type",),
        _connections,
        False,
    ),
    "events_processed_total": ("events_processed_total", (*_EVENT, "status"), _counted, True),
    "data_points_written_total": (
        "data_points_written_total",
        ("measurement", "status"),
        events.points_written,
        True,
    ),
    "data_volume_bytes": (
        "data_volume_bytes_total",
        ("source", "type"),
        _received,
        True,
    ),
    "deduplication_rate": (
        "deduplication_rate",
        ("source",),
        _gauge(ha_ingestor.DEDUPLICATION, {"source": "source"}, 1),
        False,
    ),
    "filter_efficiency": (
        "filter_efficiency",
        ("filter_type",),
        _gauge(ha_ingestor.FILTER_EFFICIENCY, {"filter_type": "filter"}, 1),
        False,
    ),
    "transformation_success_rate": (
        "transformation_success_rate",
        ("transformer_type",),
        _gauge(ha_ingestor.TRANSFORM_SUCCESS, {"transformer_type": "transformer"}, 1),
        False,
    ),
    "errors_total": ("errors_total", ("error_type", "component", "severity"), _failed, True),
    "circuit_breaker_state": (
        "circuit_breaker_state",
        ("component",),
        pushed.circuit_breaker,
        False,
    ),
    "retry_attempts_total": ("retry_attempts_total", ("component", "operation"), _retried, True),
}
"""For each attribute: the name, the labels, the function that records, and whether the amount is added."""
