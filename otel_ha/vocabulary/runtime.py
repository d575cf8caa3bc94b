"""The runtime vocabulary: metrics of the host, the container, the process and the event loop, and of telemetry itself.

Names follow the semantic conventions. These have none for the delay of a Python event loop: its name combines the
namespace of OpenTelemetry's asyncio instrumentation (asyncio.process.duration) with the conventions' words for the
same metric of Node.js (nodejs.eventloop.delay.*).

Two names end in "s" instead of ".count" (process.thread.count, process.unix.file_descriptor.count): in Prometheus
"_count" is a part of a histogram, and promtool rejects it anywhere else.

The conventions have no limits of a container, only those of a container in Kubernetes (k8s.container.memory.limit,
k8s.container.cpu.limit): ours have these names without k8s, and their kinds and units.

CPU use is declared as time, not as utilization: the rate of a time is right over any window and for any number of
readers. A utilization is a mean since its last reading by any reader, and its first reading is meaningless.
"""

from __future__ import annotations

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import (
    Attribute,
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)

CPU_NUMBER = Attribute("cpu.logical_number", "The logical CPU, counted from 0.")
CPU_MODE = Attribute(
    "cpu.mode", "The mode of the CPU.", values=("user", "system", "idle", "iowait", "steal", "nice", "interrupt")
)
DEVICE = Attribute("system.device", "The disk, or the device of the file system.")
MEMORY_STATE = Attribute(
    "system.memory.state", "The state of the memory.", values=("used", "free", "cached", "buffers")
)
DISK_DIRECTION = Attribute("disk.io.direction", "Whether data was read or written.", values=("read", "write"))
INTERFACE = Attribute("network.interface.name", "The network interface.", keyword="interface")
NETWORK_DIRECTION = Attribute(
    "network.io.direction", "Whether data was sent or received.", values=("transmit", "receive")
)
MOUNTPOINT = Attribute("system.filesystem.mountpoint", "The mount point of the file system.")
FILESYSTEM_TYPE = Attribute("system.filesystem.type", "The type of the file system, for example ext4.")
FILESYSTEM_STATE = Attribute(
    "system.filesystem.state",
    "Used, free for all users, or free but reserved for the administrator.",
    values=("used", "free", "reserved"),
)
SWITCH_TYPE = Attribute(
    "process.context_switch.type",
    "Whether the process yielded the CPU, for example to wait, or was preempted.",
    values=("voluntary", "involuntary"),
)
GENERATION = Attribute("cpython.gc.generation", "The garbage collector's generation: 0, 1 or 2.")
INSTRUMENT = Attribute("otel_ha.instrument", "The instrument of the measurement.")
PROBLEM = Attribute(
    "otel_ha.problem.reason",
    "The reason: undeclared_attribute, undeclared_value, budget_exceeded, not_received, source_failed, …",
)
ATTRIBUTE = Attribute("otel_ha.attribute", "The wrong attribute, if any.")

# Ticks on time are recorded as milliseconds, late ticks as more than a period (see otel_ha.sources.event_loop).
LOOP_DELAY = (0.001, 0.0025, 0.005, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5)

SYSTEM_CPU_TIME = ObservableCounter(
    "system.cpu.time",
    unit="s",
    description="Seconds that each logical CPU spent in each mode; utilization is 1 minus the rate of idle and iowait.",
    attributes=(CPU_NUMBER, CPU_MODE),
    group="system",
)
SYSTEM_MEMORY_USAGE = ObservableUpDownCounter(
    "system.memory.usage",
    unit="By",
    description="Memory of the host by state; used is all memory that is not available without swapping.",
    attributes=(MEMORY_STATE,),
    group="system",
)
SYSTEM_MEMORY_UTILIZATION = ObservableGauge(
    "system.memory.utilization",
    unit="1",
    description="Share of the host's memory that is in use.",
    attributes=(MEMORY_STATE,),
    group="system",
)
SYSTEM_DISK_IO = ObservableCounter(
    "system.disk.io",
    unit="By",
    description="Bytes read from and written to each whole disk of the host.",
    attributes=(DEVICE, DISK_DIRECTION),
    group="system",
)
SYSTEM_DISK_OPERATIONS = ObservableCounter(
    "system.disk.operations",
    unit="{operation}",
    description="Reads and writes of each whole disk of the host.",
    attributes=(DEVICE, DISK_DIRECTION),
    group="system",
)
SYSTEM_NETWORK_IO = ObservableCounter(
    "system.network.io",
    unit="By",
    description="Bytes sent and received by the host's network interfaces, without virtual ones.",
    attributes=(INTERFACE, NETWORK_DIRECTION),
    group="system",
)
SYSTEM_NETWORK_ERRORS = ObservableCounter(
    "system.network.errors",
    unit="{error}",
    description="Errors of the host's network interfaces, without virtual ones.",
    attributes=(INTERFACE, NETWORK_DIRECTION),
    group="system",
)
SYSTEM_FILESYSTEM_USAGE = ObservableUpDownCounter(
    "system.filesystem.usage",
    unit="By",
    description="Space of each local file system by state; the states add up to its size.",
    attributes=(DEVICE, MOUNTPOINT, FILESYSTEM_TYPE, FILESYSTEM_STATE),
    group="system",
)
SYSTEM_FILESYSTEM_UTILIZATION = ObservableGauge(
    "system.filesystem.utilization",
    unit="1",
    description="Used share of a file system's space for all users; at 1 nothing more can be written.",
    attributes=(DEVICE, MOUNTPOINT, FILESYSTEM_TYPE),
    group="system",
)
CONTAINER_MEMORY_USAGE = ObservableUpDownCounter(
    "container.memory.usage",
    unit="By",
    description="Memory that the container of this process uses, its file cache included; absent outside a container.",
    group="system",
)
CONTAINER_MEMORY_LIMIT = ObservableUpDownCounter(
    "container.memory.limit",
    unit="By",
    description="Memory that the container of this process may use; absent without a limit.",
    group="system",
)
CONTAINER_CPU_LIMIT = ObservableUpDownCounter(
    "container.cpu.limit",
    unit="{cpu}",
    description="CPUs whose time the container of this process may use (its CPU quota); absent without a limit.",
    group="system",
)
PROCESS_CPU_TIME = ObservableCounter(
    "process.cpu.time",
    unit="s",
    description="CPU seconds used by this process.",
    attributes=(CPU_MODE,),
    group="system",
)
PROCESS_UPTIME = ObservableGauge(
    "process.uptime",
    unit="s",
    description="Time since this process started.",
    group="system",
)
PROCESS_MEMORY_USAGE = ObservableUpDownCounter(
    "process.memory.usage",
    unit="By",
    description="Physical memory used by this process.",
    group="system",
)
PROCESS_MEMORY_VIRTUAL = ObservableUpDownCounter(
    "process.memory.virtual",
    unit="By",
    description="Address space reserved by this process.",
    group="system",
)
PROCESS_THREADS = ObservableUpDownCounter(
    "process.threads",
    unit="{thread}",
    description="Threads of this process.",
    group="system",
)
PROCESS_DESCRIPTORS = ObservableUpDownCounter(
    "process.unix.file_descriptors",
    unit="{file_descriptor}",
    description="Open file descriptors of this process.",
    group="system",
)
PROCESS_CONTEXT_SWITCHES = ObservableCounter(
    "process.context_switches",
    unit="{context_switch}",
    description="Times that this process yielded or lost the CPU.",
    attributes=(SWITCH_TYPE,),
    group="system",
)
GC_COLLECTIONS = ObservableCounter(
    "cpython.gc.collections",
    unit="{collection}",
    description="Runs of the garbage collector, by generation.",
    attributes=(GENERATION,),
    group="system",
)
GC_COLLECTED = ObservableCounter(
    "cpython.gc.collected_objects",
    unit="{object}",
    description="Objects that the garbage collector freed, by generation.",
    attributes=(GENERATION,),
    group="system",
)
EVENT_LOOP_DELAY = Histogram(
    "asyncio.eventloop.delay",
    unit="s",
    description="Lateness of the event loop; a block of more than 55 ms is recorded at its full length or more.",
    buckets=LOOP_DELAY,
    group="performance",
    series=1,
)
RECORDING_PROBLEMS = Counter(
    "otel_ha.recording.problems",
    unit="{problem}",
    description="Measurements or parts of them that could not be recorded as given; 0 if code and catalog agree.",
    attributes=(INSTRUMENT, PROBLEM, ATTRIBUTE),
    group="operations",
)

CATALOG = Catalog(
    SYSTEM_CPU_TIME,
    SYSTEM_MEMORY_USAGE,
    SYSTEM_MEMORY_UTILIZATION,
    SYSTEM_DISK_IO,
    SYSTEM_DISK_OPERATIONS,
    SYSTEM_NETWORK_IO,
    SYSTEM_NETWORK_ERRORS,
    CONTAINER_MEMORY_USAGE,
    CONTAINER_MEMORY_LIMIT,
    CONTAINER_CPU_LIMIT,
    PROCESS_CPU_TIME,
    PROCESS_UPTIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_VIRTUAL,
    PROCESS_THREADS,
    PROCESS_DESCRIPTORS,
    PROCESS_CONTEXT_SWITCHES,
    GC_COLLECTIONS,
    GC_COLLECTED,
    # After the process: file systems are read in short-lived threads, which process.threads should not count.
    SYSTEM_FILESYSTEM_USAGE,
    SYSTEM_FILESYSTEM_UTILIZATION,
    EVENT_LOOP_DELAY,
    RECORDING_PROBLEMS,
)
