"""Host and process, read by psutil: everything that one scrape or one push shows, at once.

The devices to read are fixed, in the variable DEVICES, as an engineer writes down those of a host of his own.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

DEVICES: Final = "BENCHMARK_DEVICES"
"""JSON: the names of disks and interfaces, and device, mount point and type of each file system."""

Values = tuple[str, ...]
Points = list[tuple[Values, float]]

_MODES = tuple(
    mode for mode in ("user", "nice", "system", "idle", "iowait", "steal") if hasattr(psutil.cpu_times(), mode)
)
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Metric:
    """A metric of the host or the process. `suffix` is its unit, and "_total" for a counter, in Prometheus."""

    name: str
    unit: str
    help: str
    suffix: str = ""
    keys: tuple[str, ...] = ()

    @property
    def is_counter(self) -> bool:
        """Whether it counts from the start."""
        return self.suffix.endswith("_total")

    @property
    def is_sum(self) -> bool:
        """Whether its values add up, without being a counter: not a share, and not an age."""
        return self.suffix not in ("_ratio", "_seconds") and not self.is_counter


METRICS: Final = (
    Metric(
        "system.cpu.time",
        "s",
        "Seconds that each CPU spent in each mode.",
        "_seconds_total",
        ("cpu.logical_number", "cpu.mode"),
    ),
    Metric("system.memory.usage", "By", "Memory of the host by state.", "_bytes", ("system.memory.state",)),
    Metric(
        "system.memory.utilization",
        "1",
        "Share of the host's memory that is in use.",
        "_ratio",
        ("system.memory.state",),
    ),
    Metric("system.disk.io", "By", "Bytes read and written.", "_bytes_total", ("system.device", "disk.io.direction")),
    Metric(
        "system.disk.operations", "{operation}", "Reads and writes.", "_total", ("system.device", "disk.io.direction")
    ),
    Metric(
        "system.network.io",
        "By",
        "Bytes sent and received.",
        "_bytes_total",
        ("network.interface.name", "network.io.direction"),
    ),
    Metric(
        "system.network.errors",
        "{error}",
        "Errors of the network interfaces.",
        "_total",
        ("network.interface.name", "network.io.direction"),
    ),
    Metric("container.memory.usage", "By", "Memory that the container uses.", "_bytes"),
    Metric("container.memory.limit", "By", "Memory that the container may use.", "_bytes"),
    Metric("container.cpu.limit", "{cpu}", "CPUs that the container may use."),
    Metric("process.cpu.time", "s", "CPU seconds of this process.", "_seconds_total", ("cpu.mode",)),
    Metric("process.uptime", "s", "Time since this process started.", "_seconds"),
    Metric("process.memory.usage", "By", "Physical memory of this process.", "_bytes"),
    Metric("process.memory.virtual", "By", "Address space of this process.", "_bytes"),
    Metric("process.threads", "{thread}", "Threads of this process."),
    Metric("process.unix.file_descriptors", "{file_descriptor}", "Open file descriptors."),
    Metric(
        "process.context_switches",
        "{context_switch}",
        "Context switches of this process.",
        "_total",
        ("process.context_switch.type",),
    ),
    Metric(
        "cpython.gc.collections", "{collection}", "Runs of the garbage collector.", "_total", ("cpython.gc.generation",)
    ),
    Metric(
        "cpython.gc.collected_objects",
        "{object}",
        "Objects that the garbage collector freed.",
        "_total",
        ("cpython.gc.generation",),
    ),
    Metric(
        "system.filesystem.usage",
        "By",
        "Space of each file system by state.",
        "_bytes",
        ("system.device", "system.filesystem.mountpoint", "system.filesystem.type", "system.filesystem.state"),
    ),
    Metric(
        "system.filesystem.utilization",
        "1",
        "Used share of a file system's space.",
        "_ratio",
        ("system.device", "system.filesystem.mountpoint", "system.filesystem.type"),
    ),
)


class Host:
    """The host and this process."""

    def __init__(self) -> None:
        devices = json.loads(os.environ[DEVICES])
        self._disks: list[str] = devices["disks"]
        self._interfaces: list[str] = devices["interfaces"]
        self._filesystems: list[tuple[str, str, str]] = [tuple(each) for each in devices["filesystems"]]
        self._process = psutil.Process()
        self._started = self._process.create_time()
        self._container = (_CGROUP / "memory.current").exists()

    def read(self) -> dict[str, Points]:
        """Return the points of every metric, by its name."""
        found: dict[str, Points] = {
            "system.cpu.time": [
                ((str(number), mode), getattr(times, mode))
                for number, times in enumerate(psutil.cpu_times(percpu=True))
                for mode in _MODES
            ]
        }
        memory = psutil.virtual_memory()
        found["system.memory.usage"] = [
            (("used",), memory.used),
            (("free",), memory.free),
            (("cached",), getattr(memory, "cached", 0)),
        ]
        found["system.memory.utilization"] = [(("used",), memory.used / memory.total)]
        for part in (self._disk, self._network, self._process_now, self._collector, self._space, self._limits):
            found.update(part())
        return found

    def _disk(self) -> Iterator[tuple[str, Points]]:
        disks = psutil.disk_io_counters(perdisk=True) if self._disks else {}
        size: Points = []
        operations: Points = []
        for name in self._disks:
            now = disks[name]
            size += [((name, "read"), now.read_bytes), ((name, "write"), now.write_bytes)]
            operations += [((name, "read"), now.read_count), ((name, "write"), now.write_count)]
        yield "system.disk.io", size
        yield "system.disk.operations", operations

    def _network(self) -> Iterator[tuple[str, Points]]:
        interfaces = psutil.net_io_counters(pernic=True)
        size: Points = []
        errors: Points = []
        for name in self._interfaces:
            now = interfaces[name]
            size += [((name, "transmit"), now.bytes_sent), ((name, "receive"), now.bytes_recv)]
            errors += [((name, "transmit"), now.errout), ((name, "receive"), now.errin)]
        yield "system.network.io", size
        yield "system.network.errors", errors

    def _process_now(self) -> Iterator[tuple[str, Points]]:
        with self._process.oneshot():
            cpu, memory, switches = (
                self._process.cpu_times(),
                self._process.memory_info(),
                self._process.num_ctx_switches(),
            )
            threads, descriptors = self._process.num_threads(), self._process.num_fds()
        yield "process.cpu.time", [(("user",), cpu.user), (("system",), cpu.system)]
        yield "process.uptime", [((), time.time() - self._started)]
        yield "process.memory.usage", [((), memory.rss)]
        yield "process.memory.virtual", [((), memory.vms)]
        yield "process.threads", [((), threads)]
        yield "process.unix.file_descriptors", [((), descriptors)]
        yield (
            "process.context_switches",
            [(("voluntary",), switches.voluntary), (("involuntary",), switches.involuntary)],
        )

    def _collector(self) -> Iterator[tuple[str, Points]]:
        generations = gc.get_stats()
        for name, key in (("cpython.gc.collections", "collections"), ("cpython.gc.collected_objects", "collected")):
            yield name, [((str(number),), generation[key]) for number, generation in enumerate(generations)]

    def _space(self) -> Iterator[tuple[str, Points]]:
        usage: Points = []
        utilization: Points = []
        for where in self._filesystems:
            now = psutil.disk_usage(where[1])
            usage += [((*where, "used"), now.used), ((*where, "free"), now.free)]
            usage.append(((*where, "reserved"), now.total - now.used - now.free))
            utilization.append((where, now.used / (now.used + now.free)))
        yield "system.filesystem.usage", usage
        yield "system.filesystem.utilization", utilization

    def _limits(self) -> Iterator[tuple[str, Points]]:
        """Yield the use and the limits of the container, if this is one with control groups of version 2."""
        if not self._container:
            return
        yield "container.memory.usage", [((), int((_CGROUP / "memory.current").read_text()))]
        if (most := (_CGROUP / "memory.max").read_text().strip()) != "max":
            yield "container.memory.limit", [((), int(most))]
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            yield "container.cpu.limit", [((), int(quota) / int(period))]
