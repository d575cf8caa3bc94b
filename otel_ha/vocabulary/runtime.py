"""The runtime vocabulary: what a service runs on, and how telemetry itself fares.

Names follow the semantic conventions where these have one. The delay of an event loop has none for Python: its name is
made of the namespace that OpenTelemetry's own asyncio instrumentation uses (asyncio.process.duration) and of the words
that the conventions have for the same thing in Node.js (nodejs.eventloop.delay.*).

Two names end in "s" where the conventions have ".count" (process.thread.count, process.unix.file_descriptor.count): in
Prometheus "_count" is a part of a histogram, and promtool refuses it anywhere else.

CPU use is declared as time, not as utilization: the rate of a time is right over any window and for any number of
readers, while a utilization is a mean since whoever read it last, and its first reading means nothing.
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
    "cpu.mode", "What the CPU did.", values=("user", "system", "idle", "iowait", "steal", "nice", "interrupt")
)
DEVICE = Attribute("system.device", "The disk, or the device that holds the file system.")
MEMORY_STATE = Attribute(
    "system.memory.state", "What the memory is used for.", values=("used", "free", "cached", "buffers")
)
DISK_DIRECTION = Attribute("disk.io.direction", "Whether it was read or written.", values=("read", "write"))
INTERFACE = Attribute("network.interface.name", "The network interface.", keyword="interface")
NETWORK_DIRECTION = Attribute(
    "network.io.direction", "Whether it was sent or received.", values=("transmit", "receive")
)
MOUNTPOINT = Attribute("system.filesystem.mountpoint", "Where the file system is mounted.")
FILESYSTEM_TYPE = Attribute("system.filesystem.type", "The file system's type, for example ext4.")
FILESYSTEM_STATE = Attribute(
    "system.filesystem.state",
    "Used, free for everybody, or free and reserved for the administrator.",
    values=("used", "free", "reserved"),
)
SWITCH_TYPE = Attribute(
    "process.context_switch.type",
    "Whether the process gave way by itself, to wait, or was made to.",
    values=("voluntary", "involuntary"),
)
GENERATION = Attribute("cpython.gc.generation", "The garbage collector's generation: 0, 1 or 2.")
INSTRUMENT = Attribute("otel_ha.instrument", "The instrument that was measured with.")
PROBLEM = Attribute(
    "otel_ha.problem.reason",
    "What was wrong: undeclared_attribute, undeclared_value, budget_exceeded, source_failed, …",
)
ATTRIBUTE = Attribute("otel_ha.attribute", "The attribute that was wrong, where it was one.")

# The watch records what is on time in milliseconds, and what is late as more than its period (see event_loop.py).
LOOP_DELAY = (0.001, 0.0025, 0.005, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5)

SYSTEM_CPU_TIME = ObservableCounter(
    "system.cpu.time",
    unit="s",
    description="Seconds that each logical CPU spent in each mode; it is busy by 1 less the rate of idle and iowait.",
    attributes=(CPU_NUMBER, CPU_MODE),
    group="system",
)
SYSTEM_MEMORY_USAGE = ObservableUpDownCounter(
    "system.memory.usage",
    unit="By",
    description="Memory of the host by use; used is all that could not be had without swapping.",
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
    description="Bytes that the host read from and wrote to each whole disk.",
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
    description="Bytes that the host's network interfaces sent and received; virtual ones are left out.",
    attributes=(INTERFACE, NETWORK_DIRECTION),
    group="system",
)
SYSTEM_NETWORK_ERRORS = ObservableCounter(
    "system.network.errors",
    unit="{error}",
    description="Errors of the host's network interfaces.",
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
    description="Share that is used of a file system's space for everybody; at 1 nothing more can be written.",
    attributes=(DEVICE, MOUNTPOINT, FILESYSTEM_TYPE),
    group="system",
)
PROCESS_CPU_TIME = ObservableCounter(
    "process.cpu.time",
    unit="s",
    description="CPU seconds that this process used.",
    attributes=(CPU_MODE,),
    group="system",
)
PROCESS_MEMORY_USAGE = ObservableUpDownCounter(
    "process.memory.usage",
    unit="By",
    description="Physical memory that this process holds.",
    group="system",
)
PROCESS_MEMORY_VIRTUAL = ObservableUpDownCounter(
    "process.memory.virtual",
    unit="By",
    description="Address space that this process has reserved.",
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
    description="File descriptors that this process has open.",
    group="system",
)
PROCESS_CONTEXT_SWITCHES = ObservableCounter(
    "process.context_switches",
    unit="{context_switch}",
    description="Times that this process gave its CPU away, or lost it.",
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
    description="How late the event loop is; what blocks it for more than 55 ms shows at its full length or more.",
    buckets=LOOP_DELAY,
    group="performance",
    series=1,
)
RECORDING_PROBLEMS = Counter(
    "otel_ha.recording.problems",
    unit="{problem}",
    description="Measurements, or parts of them, that could not be recorded as given; 0 where code and catalog agree.",
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
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_VIRTUAL,
    PROCESS_THREADS,
    PROCESS_DESCRIPTORS,
    PROCESS_CONTEXT_SWITCHES,
    GC_COLLECTIONS,
    GC_COLLECTED,
    # After the process: each file system is asked in a short-lived thread, which its threads should not include.
    SYSTEM_FILESYSTEM_USAGE,
    SYSTEM_FILESYSTEM_UTILIZATION,
    EVENT_LOOP_DELAY,
    RECORDING_PROBLEMS,
)
