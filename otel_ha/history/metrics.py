"""What the history answers with: how the host, the work and the events fare, as frozen data.

Shares are numbers from 0 to 1, percentages from 0 to 100, and a megabyte is 1,048,576 bytes. Where there is nothing to
compute a figure from (no event, a metric group that is off), it is 0.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["BusinessMetrics", "PerformanceMetrics", "SystemMetrics"]


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """The host: CPU and what is used of it, and what went through disks and network.

    cpu_percent: share of all CPUs that was busy, in %. memory_percent: share of the memory that is in use, in %.
    memory_used_mb, memory_available_mb: MB. disk_usage_percent: share of the file system at "/" (or of the fullest,
    where that is not among the local ones) that is used, in %. disk_io_read_mb, disk_io_write_mb, network_io_sent_mb,
    network_io_recv_mb: MB of all disks and interfaces, since the host started or, over a window, within it.
    timestamp: seconds since the epoch.
    """

    cpu_percent: float = 0.0
    memory_percent: float = 0.0
    memory_used_mb: float = 0.0
    memory_available_mb: float = 0.0
    disk_usage_percent: float = 0.0
    disk_io_read_mb: float = 0.0
    disk_io_write_mb: float = 0.0
    network_io_sent_mb: float = 0.0
    network_io_recv_mb: float = 0.0
    timestamp: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class PerformanceMetrics:
    """The work over a window: how much, how quick, how well.

    event_processing_rate: events processed per second. average_processing_time, p50_…, p95_…, p99_processing_time:
    milliseconds. queue_depth: items that wait in all queues. active_connections: connections that are up. error_rate:
    share of the events processed that ended in an error. throughput_points_per_second: points that sinks acknowledged
    per second. timestamp: seconds since the epoch, the end of the window. events_in_flight: events received and neither
    processed nor discarded yet. Depths and numbers are those at the end of the window.
    """

    event_processing_rate: float = 0.0
    average_processing_time: float = 0.0
    p95_processing_time: float = 0.0
    p99_processing_time: float = 0.0
    queue_depth: int = 0
    active_connections: int = 0
    error_rate: float = 0.0
    throughput_points_per_second: float = 0.0
    timestamp: float = field(default_factory=time.time)
    p50_processing_time: float = 0.0
    events_in_flight: int = 0


@dataclass(frozen=True, slots=True)
class BusinessMetrics:
    """The events: how many, from where, and what became of them; since telemetry started or, over a window, within it.

    total_events_processed, events_by_domain, events_by_entity (where entity metrics are on, and the entity has not been
    silent for too long), events_by_source: events. data_points_written: points that sinks acknowledged.
    data_volume_mb: MB received from sources. deduplication_rate: share of the events received that were duplicates.
    filter_efficiency: share of the events received that a filter kept out. transformation_success_rate: share of the
    transformations that succeeded. timestamp: seconds since the epoch.
    """

    total_events_processed: int = 0
    events_by_domain: Mapping[str, int] = field(default_factory=dict)
    events_by_entity: Mapping[str, int] = field(default_factory=dict)
    events_by_source: Mapping[str, int] = field(default_factory=dict)
    data_points_written: int = 0
    data_volume_mb: float = 0.0
    deduplication_rate: float = 0.0
    filter_efficiency: float = 0.0
    transformation_success_rate: float = 0.0
    timestamp: float = field(default_factory=time.time)
