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

    cpu_percent: share of the time of all CPUs that was neither idle nor waiting for a disk, in %
    memory_percent: share of the memory that could not be had without swapping, in %
    memory_used_mb: memory that could not be had without swapping, in MB
    memory_available_mb: memory that could be had without swapping, in MB
    disk_usage_percent: use of the file system at "/", or of the fullest where that is not a local one, in %
    disk_io_read_mb: read from all disks since the host started or, over a window, within it, in MB
    disk_io_write_mb: written to all disks, likewise, in MB
    network_io_sent_mb: sent by all network interfaces, likewise, in MB
    network_io_recv_mb: received by all network interfaces, likewise, in MB
    timestamp: end of the window, in seconds since the epoch
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

    event_processing_rate: events processed per second
    average_processing_time: mean time to process an event, in milliseconds
    p95_processing_time: time that 95 % of the events did not exceed, within 3 %, in milliseconds
    p99_processing_time: time that 99 % of the events did not exceed, within 3 %, in milliseconds
    queue_depth: items that wait in all queues at the end of the window
    active_connections: connections that are up at the end of the window
    error_rate: share of the events processed that ended in an error, from 0 to 1
    throughput_points_per_second: points that sinks acknowledged per second
    timestamp: end of the window, in seconds since the epoch
    p50_processing_time: time that half of the events did not exceed, within 3 %, in milliseconds
    events_in_flight: events received and neither processed nor discarded yet, at the end of the window
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
    """The events: how many, from where, and what became of them.

    Since telemetry started or, over a window, within it.

    total_events_processed: events processed, with whatever outcome
    events_by_domain: the same by the entity's domain
    events_by_entity: the same by entity, where entity metrics are on and the entity has not been silent for too long
    events_by_source: the same by source
    data_points_written: points that sinks acknowledged
    data_volume_mb: received from all sources, in MB
    deduplication_rate: share of the events received that were duplicates, from 0 to 1
    filter_efficiency: share of the events received that a filter kept out, from 0 to 1
    transformation_success_rate: share of the transformations that succeeded, from 0 to 1
    timestamp: end of the window, in seconds since the epoch
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
