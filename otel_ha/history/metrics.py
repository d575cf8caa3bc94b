"""The answers of the history: figures of the host, the work and the events, as frozen data.

Shares run from 0 to 1, percentages from 0 to 100, and a megabyte is 1,048,576 bytes. A figure that cannot be computed
(there are no events, or its metric group is off) is 0; unmeasured() tells which ones are not measured at all.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.vocabulary import ingest, runtime

__all__ = ["MEANING", "BusinessMetrics", "PerformanceMetrics", "SystemMetrics", "unmeasured"]

MEANING = "meaning"
"""The key of a field's meaning in its metadata, from which the reference of the summary is rendered."""

_NEEDS = "needs"
"""The key of the instruments that a figure is computed from, in a field's metadata."""

_NEEDS_BUCKETS = "needs buckets"
"""The key that says whether a figure needs the buckets of these instruments, not only their counts."""

_END = "end of the window, in seconds since the epoch"


def _figure(meaning: str, *needs: Instrument, buckets: bool = False, **default: Any) -> Any:
    """Return a dataclass field that carries its meaning; docstrings cannot, as Python may strip or reformat them."""
    return field(**default, metadata={MEANING: meaning, _NEEDS: needs, _NEEDS_BUCKETS: buckets})


def unmeasured(cls: type, groups: Collection[str]) -> list[str]:
    """Return the figures of a class that are not measured while only these metric groups are on."""
    return [each.name for each in fields(cls) if not _is_measured(each.metadata, groups)]


def _is_measured(figure: Mapping[str, Any], groups: Collection[str]) -> bool:
    needs: tuple[Instrument, ...] = figure[_NEEDS]
    if figure[_NEEDS_BUCKETS]:
        return all(isinstance(each, Histogram) and each.bounds(groups) for each in needs)
    return all(each.is_on(groups) for each in needs)


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """The host: use of CPU, memory and disks, traffic of disks and network; and the container's own memory and limits.

    Percentages run from 0 to 100; a megabyte (MB) is 1,048,576 bytes.
    """

    cpu_percent: float | None = _figure(
        "share of the time of all CPUs that was neither idle nor waiting for a disk, in %; null until it is read twice",
        runtime.SYSTEM_CPU_TIME,
        default=None,
    )
    memory_percent: float = _figure(
        "share of memory that is not available without swapping, in %", runtime.SYSTEM_MEMORY_UTILIZATION, default=0.0
    )
    memory_used_mb: float = _figure(
        "memory that is not available without swapping, in MB", runtime.SYSTEM_MEMORY_USAGE, default=0.0
    )
    memory_available_mb: float = _figure(
        "memory that is available without swapping, in MB",
        runtime.SYSTEM_MEMORY_USAGE,
        runtime.SYSTEM_MEMORY_UTILIZATION,
        default=0.0,
    )
    disk_usage_percent: float = _figure(
        'usage of the file system at "/", or of the fullest file system if "/" is not local, in %',
        runtime.SYSTEM_FILESYSTEM_UTILIZATION,
        default=0.0,
    )
    disk_io_read_mb: float = _figure(
        "data read from all disks, since the host started or within the window, in MB",
        runtime.SYSTEM_DISK_IO,
        default=0.0,
    )
    disk_io_write_mb: float = _figure(
        "data written to all disks, since the host started or within the window, in MB",
        runtime.SYSTEM_DISK_IO,
        default=0.0,
    )
    network_io_sent_mb: float = _figure(
        "data sent by all network interfaces, since the host started or within the window, in MB",
        runtime.SYSTEM_NETWORK_IO,
        default=0.0,
    )
    network_io_recv_mb: float = _figure(
        "data received by all network interfaces, since the host started or within the window, in MB",
        runtime.SYSTEM_NETWORK_IO,
        default=0.0,
    )
    timestamp: float = _figure(_END, default_factory=time.time)
    container_memory_used_mb: float | None = _figure(
        "memory that the container of this process uses, its file cache included, in MB; null outside a container",
        default=None,
    )
    container_memory_limit_mb: float | None = _figure(
        "memory that the container may use, in MB; null without a limit", default=None
    )
    container_cpu_limit: float | None = _figure(
        "CPUs whose time the container may use; null without a limit", default=None
    )
    process_cpu_percent: float | None = _figure(
        "CPU time of this process, in % of one CPU; null until it is read twice", runtime.PROCESS_CPU_TIME, default=None
    )
    process_memory_mb: float | None = _figure(
        "physical memory that this process uses, in MB", runtime.PROCESS_MEMORY_USAGE, default=None
    )


@dataclass(frozen=True, slots=True)
class PerformanceMetrics:
    """The work over a window: its rate, durations and errors.

    Durations are in milliseconds; shares run from 0 to 1.
    """

    event_processing_rate: float = _figure("events processed per second", ingest.EVENT_DURATION, default=0.0)
    average_processing_time: float = _figure(
        "mean time to process an event, in milliseconds", ingest.EVENT_DURATION, buckets=True, default=0.0
    )
    p95_processing_time: float = _figure(
        "time within which 95 % of the events were processed, accurate to 3 %, in milliseconds",
        ingest.EVENT_DURATION,
        buckets=True,
        default=0.0,
    )
    p99_processing_time: float = _figure(
        "time within which 99 % of the events were processed, accurate to 3 %, in milliseconds",
        ingest.EVENT_DURATION,
        buckets=True,
        default=0.0,
    )
    queue_depth: int = _figure("items waiting in all queues at the end of the window", ingest.QUEUE_SIZE, default=0)
    active_connections: int = _figure("connections that are up at the end of the window", ingest.CONNECTIONS, default=0)
    error_rate: float = _figure(
        "share of processed events that ended in an error, from 0 to 1", ingest.EVENT_DURATION, default=0.0
    )
    throughput_points_per_second: float = _figure(
        "points acknowledged by sinks per second", ingest.POINTS_WRITTEN, default=0.0
    )
    timestamp: float = _figure(_END, default_factory=time.time)
    p50_processing_time: float = _figure(
        "time within which half of the events were processed, accurate to 3 %, in milliseconds",
        ingest.EVENT_DURATION,
        buckets=True,
        default=0.0,
    )
    events_in_flight: int = _figure(
        "events received but neither processed nor discarded yet, at the end of the window", ingest.IN_FLIGHT, default=0
    )
    received_rate: float = _figure("events received per second", ingest.RECEIVED, default=0.0)
    discarded_rate: float = _figure("events discarded per second", ingest.DISCARDED, default=0.0)
    rates_by_outcome: Mapping[str, float] = _figure(
        "events processed per second, by each outcome that has occurred since telemetry started",
        ingest.EVENT_DURATION,
        default_factory=dict,
    )
    p95_lag: float | None = _figure(
        "time within which 95 % of the states were stored after their own timestamp, in milliseconds; null without any",
        ingest.LAG_TO_WRITE,
        buckets=True,
        default=None,
    )
    queue_use: float | None = _figure(
        "use of the fullest queue at the end of the window, as a share of its capacity; null without a capacity",
        ingest.QUEUE_SIZE,
        ingest.QUEUE_CAPACITY,
        default=None,
    )
    bytes_received_per_second: float = _figure(
        "bytes received from all sources per second", ingest.DATA_RECEIVED, default=0.0
    )
    bytes_sent_per_second: float = _figure("bytes sent to all sinks per second", ingest.DATA_SENT, default=0.0)


@dataclass(frozen=True, slots=True)
class BusinessMetrics:
    """The events: how many there were, where they came from, and how they ended.

    Counts cover the window, or all the time since telemetry started; shares run from 0 to 1.
    """

    total_events_processed: int = _figure("events processed, with any outcome", ingest.EVENT_DURATION, default=0)
    events_by_domain: Mapping[str, int] = _figure(
        "events processed, by domain of the entity", ingest.EVENT_DURATION, default_factory=dict
    )
    events_by_entity: Mapping[str, int] = _figure(
        "events processed, by entity, if entity metrics are on; without entities that have long been silent",
        ingest.ENTITY_EVENTS,
        default_factory=dict,
    )
    events_by_source: Mapping[str, int] = _figure(
        "events processed, by source", ingest.EVENT_DURATION, default_factory=dict
    )
    data_points_written: int = _figure("points acknowledged by sinks", ingest.POINTS_WRITTEN, default=0)
    data_volume_mb: float = _figure("data received from all sources, in MB", ingest.DATA_RECEIVED, default=0.0)
    deduplication_rate: float = _figure(
        "share of received events that were duplicates, from 0 to 1", ingest.DISCARDED, ingest.RECEIVED, default=0.0
    )
    filter_efficiency: float = _figure(
        "share of received events that a filter discarded, from 0 to 1", ingest.DISCARDED, ingest.RECEIVED, default=0.0
    )
    transformation_success_rate: float = _figure(
        "share of transformations that succeeded, from 0 to 1", ingest.TRANSFORM_DURATION, default=0.0
    )
    timestamp: float = _figure(_END, default_factory=time.time)
