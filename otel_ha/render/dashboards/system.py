"""System and process: the host, the container, the process, the event loop, and telemetry itself."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.limits import limit
from otel_ha.render.dashboards.panels import Dashboard, Panel, Query, Row
from otel_ha.render.dashboards.queries import highest, level, quantiles, rate, ratios, value
from otel_ha.render.promql import Selection, once, ratio, total_per_instance
from otel_ha.vocabulary.runtime import (
    ATTRIBUTE,
    CONTAINER_CPU_LIMIT,
    CONTAINER_MEMORY_LIMIT,
    CONTAINER_MEMORY_USAGE,
    CPU_MODE,
    DEVICE,
    DISK_DIRECTION,
    EVENT_LOOP_DELAY,
    GC_COLLECTED,
    GC_COLLECTIONS,
    GENERATION,
    INSTRUMENT,
    INTERFACE,
    MEMORY_STATE,
    MOUNTPOINT,
    NETWORK_DIRECTION,
    PROBLEM,
    PROCESS_CONTEXT_SWITCHES,
    PROCESS_CPU_TIME,
    PROCESS_DESCRIPTORS,
    PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_VIRTUAL,
    PROCESS_THREADS,
    PROCESS_UPTIME,
    RECORDING_PROBLEMS,
    SWITCH_TYPE,
    SYSTEM_CPU_TIME,
    SYSTEM_DISK_IO,
    SYSTEM_DISK_OPERATIONS,
    SYSTEM_FILESYSTEM_USAGE,
    SYSTEM_FILESYSTEM_UTILIZATION,
    SYSTEM_MEMORY_USAGE,
    SYSTEM_MEMORY_UTILIZATION,
    SYSTEM_NETWORK_ERRORS,
    SYSTEM_NETWORK_IO,
)

_NO_DISK: Final = "Empty if the container shows no disk."
_NO_NETWORK: Final = "Empty if the container shows no network interface."
_NO_CONTAINER: Final = "Empty outside a container and without a limit."


def _cpu_use(selection: Selection) -> str:
    idle = total_per_instance(selection.rate(SYSTEM_CPU_TIME, value(CPU_MODE, "idle", "iowait")))
    every = total_per_instance(selection.rate(SYSTEM_CPU_TIME))
    return once(f"1 - {ratio(idle, every)}")


_PROCESS: Final = Row(
    "Process",
    (
        Panel(
            title="CPU of the process",
            description="CPUs that the process uses: 1 is one whole CPU.",
            unit="{cpu}",
            queries=(rate(PROCESS_CPU_TIME, CPU_MODE, of_instance=True),),
        ),
        Panel(
            title="Memory of the process",
            description="Physical memory that the process uses.",
            unit="By",
            queries=(level(PROCESS_MEMORY_USAGE, of_instance=True),),
        ),
        Panel(
            title="Event loop delay",
            description="Half, 95 % and 99 % of the event loop's ticks are at most this late. Above 55 ms something "
            "blocks it.",
            unit="s",
            queries=quantiles(EVENT_LOOP_DELAY),
            empty="Empty if no event loop runs.",
        ),
        Panel(
            title="Uptime",
            description="Time since the process started.",
            unit="s",
            large=True,
            queries=(Query(lambda s: f"min by (job) ({s.series(PROCESS_UPTIME)})", "{{job}}", (PROCESS_UPTIME,)),),
        ),
        Panel(
            title="Threads and file descriptors",
            description="Threads and open file descriptors of the process.",
            unit="{thread}",
            queries=(
                level(PROCESS_THREADS, legend="threads", of_instance=True),
                level(PROCESS_DESCRIPTORS, legend="file descriptors", of_instance=True),
            ),
        ),
        Panel(
            title="Address space",
            description="Address space that the process has reserved, used or not.",
            unit="By",
            queries=(level(PROCESS_MEMORY_VIRTUAL, of_instance=True),),
        ),
        Panel(
            title="Context switches",
            description="Times per second that the process yielded the CPU (voluntary) or lost it (involuntary).",
            unit="{context_switch}/s",
            queries=(rate(PROCESS_CONTEXT_SWITCHES, SWITCH_TYPE, of_instance=True),),
        ),
        Panel(
            title="Garbage collections",
            description="Runs of Python's garbage collector per second, by generation.",
            unit="{collection}/s",
            queries=(rate(GC_COLLECTIONS, GENERATION, of_instance=True),),
        ),
        Panel(
            title="Collected objects",
            description="Objects that Python's garbage collector freed per second, by generation.",
            unit="{object}/s",
            queries=(rate(GC_COLLECTED, GENERATION, of_instance=True),),
        ),
    ),
)

_HOST: Final = Row(
    "Host",
    (
        Panel(
            title="CPU use of the host",
            description="Share of the CPUs' time that is neither idle nor spent waiting for disks.",
            unit="1",
            queries=(Query(_cpu_use, "{{job}}", (SYSTEM_CPU_TIME,)),),
            limit=limit("cpu_ticket"),
            top=1,
        ),
        Panel(
            title="Memory use of the host",
            description="Share of the memory that is not available without swapping.",
            unit="1",
            queries=(highest(SYSTEM_MEMORY_UTILIZATION),),
            limit=limit("memory_ticket"),
            top=1,
        ),
        Panel(
            title="Memory by state",
            description="Memory of the host.",
            unit="By",
            large=True,
            queries=(highest(SYSTEM_MEMORY_USAGE, MEMORY_STATE),),
        ),
        Panel(
            title="Disk use",
            description="Used share of each file system. At 100 % nothing more can be written.",
            unit="1",
            queries=(highest(SYSTEM_FILESYSTEM_UTILIZATION, MOUNTPOINT),),
            limit=limit("disk_share"),
            top=1,
        ),
        Panel(
            title="Free space",
            description="Space of each file system that is free for all users.",
            unit="By",
            large=True,
            queries=(
                Query(
                    lambda s: once(s.series(SYSTEM_FILESYSTEM_USAGE, 'system_filesystem_state="free"'), MOUNTPOINT),
                    "{{system_filesystem_mountpoint}}",
                    (SYSTEM_FILESYSTEM_USAGE,),
                ),
            ),
        ),
        Panel(
            title="Disk traffic",
            description="Bytes read from and written to each disk per second.",
            unit="By/s",
            queries=(rate(SYSTEM_DISK_IO, DEVICE, DISK_DIRECTION, of_instance=True),),
            empty=_NO_DISK,
        ),
        Panel(
            title="Disk operations",
            description="Reads and writes of each disk per second.",
            unit="{operation}/s",
            queries=(rate(SYSTEM_DISK_OPERATIONS, DEVICE, DISK_DIRECTION, of_instance=True),),
            empty=_NO_DISK,
        ),
        Panel(
            title="Network traffic",
            description="Bytes sent and received by each interface per second.",
            unit="By/s",
            queries=(rate(SYSTEM_NETWORK_IO, INTERFACE, NETWORK_DIRECTION, of_instance=True),),
            empty=_NO_NETWORK,
        ),
        Panel(
            title="Network errors",
            description="Errors of each interface per second.",
            unit="{error}/s",
            queries=(rate(SYSTEM_NETWORK_ERRORS, INTERFACE, NETWORK_DIRECTION, of_instance=True),),
            empty=_NO_NETWORK,
        ),
    ),
)

_CONTAINER: Final = Row(
    "Container",
    (
        Panel(
            title="Memory of the container",
            description="Memory that the container uses, its file cache included, and its limit.",
            unit="By",
            queries=(
                level(CONTAINER_MEMORY_USAGE, legend="used", of_instance=True),
                level(CONTAINER_MEMORY_LIMIT, legend="limit", of_instance=True),
            ),
            empty=_NO_CONTAINER,
        ),
        Panel(
            title="Memory use of the container",
            description="Memory that the container uses, as a share of its limit.",
            unit="1",
            queries=(
                ratios(
                    lambda selection: selection.series(CONTAINER_MEMORY_USAGE),
                    lambda selection: selection.series(CONTAINER_MEMORY_LIMIT),
                    reads=(CONTAINER_MEMORY_USAGE, CONTAINER_MEMORY_LIMIT),
                    of_instance=True,
                ),
            ),
            limit=limit("memory_ticket"),
            top=1,
            empty=_NO_CONTAINER,
        ),
        Panel(
            title="CPU limit of the container",
            description="CPUs whose time the container may use.",
            unit="{cpu}",
            queries=(level(CONTAINER_CPU_LIMIT, of_instance=True),),
            empty=_NO_CONTAINER,
        ),
    ),
)

_TELEMETRY: Final = Row(
    "Telemetry",
    (
        Panel(
            title="Recording problems",
            description="Measurements per second that could not be recorded as given.",
            unit="{problem}/s",
            queries=(rate(RECORDING_PROBLEMS, INSTRUMENT, PROBLEM, ATTRIBUTE),),
            empty="Empty while code and catalog agree.",
            width=24,
        ),
    ),
)

SYSTEM: Final = Dashboard(
    uid="otel-ha-system",
    title="System and process",
    description="Host, container and process of one service. Of several instances, the one with the largest value.",
    place=4,
    rows=(_PROCESS, _HOST, _CONTAINER, _TELEMETRY),
)
