"""Alerts on the resources of the host, the container and the process."""

from __future__ import annotations

from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import WINDOW
from otel_ha.render.promql import EVERYTHING, once, total, total_per_instance
from otel_ha.vocabulary import runtime

__all__ = ["RESOURCES"]

_MOUNT: Final = runtime.MOUNTPOINT.prometheus_label
_IDLE: Final = f'{runtime.CPU_MODE.prometheus_label}=~"idle|iowait"'
_USED: Final = f'{runtime.MEMORY_STATE.prometheus_label}="used"'


def _free(at: str = "") -> str:
    """Return the free space of each file system. A service that pushes is a new instance after each start."""
    state = f'{runtime.FILESYSTEM_STATE.prometheus_label}="free"'
    scraped, pushed = (
        EVERYTHING.series(runtime.SYSTEM_FILESYSTEM_USAGE, state, way) for way in ('via="scrape"', 'via!="scrape"')
    )
    return (
        f"(min by (job, via, instance, {_MOUNT}) ({scraped}{at})"
        f" or min by (job, via, host_name, {_MOUNT}) ({pushed}{at}))"
    )


def _cpu() -> str:
    """Return the used share of the container's quota, or without one that of the host's CPUs."""
    quota = total_per_instance(EVERYTHING.series(runtime.CONTAINER_CPU_LIMIT))
    process = total_per_instance(WINDOW.rate(runtime.PROCESS_CPU_TIME))
    idle = total_per_instance(WINDOW.rate(runtime.SYSTEM_CPU_TIME, _IDLE))
    every = total_per_instance(WINDOW.rate(runtime.SYSTEM_CPU_TIME))
    return once(f"{process} / {quota} or 1 - {idle} / {every}")


def _memory() -> str:
    """Return the used share of the container's limit, or without one that of the host's memory.

    The process counts, not the container: that includes its file cache, which always grows to the limit.
    """
    limit = total_per_instance(EVERYTHING.series(runtime.CONTAINER_MEMORY_LIMIT))
    process = total_per_instance(EVERYTHING.series(runtime.PROCESS_MEMORY_USAGE))
    host = total_per_instance(EVERYTHING.series(runtime.SYSTEM_MEMORY_UTILIZATION, _USED))
    return once(f"{process} / {limit} or {host}")


def _blocks() -> str:
    """Return the times that the event loop was late by more than 0.5 s, which is a bound of its histogram."""
    every = total(WINDOW.increase(runtime.EVENT_LOOP_DELAY, part="_count"))
    short = total(WINDOW.increase(runtime.EVENT_LOOP_DELAY, 'le="0.5"', part="_bucket"))
    return once(f"{every} - {short}")


_CPU_NEEDS: Final = (runtime.SYSTEM_CPU_TIME, runtime.PROCESS_CPU_TIME, runtime.CONTAINER_CPU_LIMIT)
_MEMORY_NEEDS: Final = (
    runtime.SYSTEM_MEMORY_UTILIZATION,
    runtime.PROCESS_MEMORY_USAGE,
    runtime.CONTAINER_MEMORY_LIMIT,
)

RESOURCES: Final = (
    Alert(
        name="CpuSaturated",
        severity="ticket",
        cause="cpu",
        expr=f"{_cpu()} > <cpu_ticket>",
        hold="15m",
        summary="The CPU that {{ $labels.job }} runs on is saturated",
        description="{{ $value | humanizePercentage }} of the CPU time that {{ $labels.job }} may use is in use; the "
        "limit is <cpu_ticket>. Events are delayed.",
        needs=_CPU_NEEDS,
    ),
    Alert(
        name="CpuHigh",
        severity="info",
        cause="cpu",
        expr=f"{_cpu()} > <cpu_info>",
        hold="30m",
        summary="The CPU that {{ $labels.job }} runs on is busy",
        description="{{ $value | humanizePercentage }} of the CPU time that {{ $labels.job }} may use is in use; the "
        "limit is <cpu_info>.",
        needs=_CPU_NEEDS,
    ),
    Alert(
        name="MemoryExhausted",
        severity="page",
        cause="memory",
        expr=f"{_memory()} > <memory_page>",
        summary="The memory that {{ $labels.job }} runs in is almost exhausted",
        description="{{ $value | humanizePercentage }} of the memory that {{ $labels.job }} may use is in use; the "
        "limit is <memory_page>. The kernel may kill a process.",
        needs=_MEMORY_NEEDS,
    ),
    Alert(
        name="MemoryHigh",
        severity="ticket",
        cause="memory",
        expr=f"{_memory()} > <memory_ticket>",
        hold="15m",
        summary="The memory that {{ $labels.job }} runs in is scarce",
        description="{{ $value | humanizePercentage }} of the memory that {{ $labels.job }} may use is in use; the "
        "limit is <memory_ticket>.",
        needs=_MEMORY_NEEDS,
    ),
    Alert(
        name="DiskAlmostFull",
        severity="ticket",
        cause="disk",
        expr=f"max by (job, {_MOUNT}) ({EVERYTHING.series(runtime.SYSTEM_FILESYSTEM_UTILIZATION)}) > <disk_share>",
        summary="The disk at {{ $labels.system_filesystem_mountpoint }} of {{ $labels.job }} is almost full",
        description="The file system at {{ $labels.system_filesystem_mountpoint }} on the machine of {{ $labels.job "
        "}} is {{ $value | humanizePercentage }} full; the limit is <disk_share>.",
        needs=(runtime.SYSTEM_FILESYSTEM_UTILIZATION,),
    ),
    Alert(
        name="DiskFillsUp",
        severity="ticket",
        cause="disk",
        # Only a file system that has been known for that long: minutes of growth say nothing about a day.
        expr=f"min by (job, {_MOUNT}) ({_free()} / -(deriv({_free()}[<disk_trend>:1m]) < 0)"
        f" and {_free(' offset <disk_trend>')}) < <disk_full_within>",
        hold="1h",
        summary="The disk at {{ $labels.system_filesystem_mountpoint }} of {{ $labels.job }} will be full in "
        "{{ $value | humanizeDuration }}",
        description="The file system at {{ $labels.system_filesystem_mountpoint }} on the machine of {{ $labels.job "
        "}} will be full in {{ $value | humanizeDuration }} if it grows as in the last <disk_trend>.",
        needs=(runtime.SYSTEM_FILESYSTEM_USAGE,),
    ),
    Alert(
        name="EventLoopBlocked",
        severity="ticket",
        cause="event_loop",
        expr=f"{_blocks()} >= <loop_blocks>",
        summary="The event loop of {{ $labels.job }} is blocked",
        description="Times that the event loop of {{ $labels.job }} was blocked for more than half a second: "
        '{{ printf "%.0f" $value }} within <window>. All events wait meanwhile.',
        needs=(runtime.EVENT_LOOP_DELAY,),
    ),
    Alert(
        name="FileDescriptorsHigh",
        severity="ticket",
        cause="descriptors",
        # The semantic conventions have no metric for the limit of a process; most systems give it 1,024.
        expr=f"max by (job) ({EVERYTHING.series(runtime.PROCESS_DESCRIPTORS)}) > <descriptors>",
        summary="{{ $labels.job }} has many open files",
        description="{{ $labels.job }} has {{ $value }} open file descriptors; the limit of this alert is "
        "<descriptors>. At the limit of the process, new connections and files fail.",
        needs=(runtime.PROCESS_DESCRIPTORS,),
    ),
)
