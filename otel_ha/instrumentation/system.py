"""Host and process: psutil reads them, the declarations in otel_ha.vocabulary.runtime say what comes of it.

OpenTelemetry's own instrumentation of the same reads with psutil as well, each metric by itself and for every reader
anew, by names and attributes that the semantic conventions have since changed.
"""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import psutil

from otel_ha.instrumentation.devices import real_disks, real_interfaces
from otel_ha.instrumentation.filesystems import observe_filesystems
from otel_ha.instrumentation.fresh import fresh
from otel_ha.instruments import Observable, Point, Source
from otel_ha.vocabulary import runtime

__all__ = ["instrument_system", "observe_filesystems"]

_CPU_MODES = ("user", "system", "idle", "iowait", "steal")
_MEMORY_STATES = ("used", "free", "cached")

# Asked of sysfs again when other devices are there.
_disks = lru_cache(maxsize=1)(real_disks)
_interfaces = lru_cache(maxsize=1)(real_interfaces)
# For one process after the other: a forked child is another.
_process = lru_cache(maxsize=1)(psutil.Process)


def instrument_system() -> Callable[[], None]:
    """Read host and process at every collection, into the connected declarations; returns what ends that.

    CPU, memory, disks and network of the host; CPU, memory, threads, descriptors, context switches and garbage
    collection of the process. Which devices count, otel_ha.instrumentation.devices says. Readers that collect at about
    the same time share a reading. A forked child that goes on with these sources reads its own process.
    """
    with ExitStack() as stack:
        for instrument, source in (_of_host() | _of_process() | _of_interpreter()).items():
            stack.enter_context(instrument.observe(source))
        return stack.pop_all().close


# Left out: utilization of the CPU (see otel_ha.vocabulary.runtime), swap, packets, connections (reading them takes
# rights and time), and uncollectable objects, of which CPython has had none since 3.4.


def _of_host() -> dict[Observable, Source]:
    cpus = fresh(lambda: psutil.cpu_times(percpu=True))
    memory = fresh(psutil.virtual_memory)
    disks = fresh(lambda: _kept(psutil.disk_io_counters(perdisk=True), _disks))
    networks = fresh(lambda: _kept(psutil.net_io_counters(pernic=True), _interfaces))

    def cpu_time() -> list[Point]:
        return [
            (getattr(times, mode), {"logical_number": number, "mode": mode})
            for number, times in enumerate(cpus())
            for mode in _CPU_MODES
            if hasattr(times, mode)
        ]

    def memory_usage() -> list[Point]:
        now = memory()
        return [(getattr(now, state), {"state": state}) for state in _MEMORY_STATES if hasattr(now, state)]

    def memory_utilization() -> list[Point]:
        return [(memory().used / memory().total, {"state": "used"})]

    def of_disks(read: str, written: str) -> Source:
        return lambda: _both_ways(disks(), "device", {"read": read, "write": written})

    def of_networks(sent: str, received: str) -> Source:
        return lambda: _both_ways(networks(), "interface", {"transmit": sent, "receive": received})

    return {
        runtime.SYSTEM_CPU_TIME: cpu_time,
        runtime.SYSTEM_MEMORY_USAGE: memory_usage,
        runtime.SYSTEM_MEMORY_UTILIZATION: memory_utilization,
        runtime.SYSTEM_DISK_IO: of_disks("read_bytes", "write_bytes"),
        runtime.SYSTEM_DISK_OPERATIONS: of_disks("read_count", "write_count"),
        runtime.SYSTEM_NETWORK_IO: of_networks("bytes_sent", "bytes_recv"),
        runtime.SYSTEM_NETWORK_ERRORS: of_networks("errout", "errin"),
    }


def _kept(counters: Mapping[str, Any], real: Callable[[frozenset[str]], Iterable[str]]) -> dict[str, Any]:
    return {device: counters[device] for device in sorted(real(frozenset(counters)))}


def _both_ways(counters: Mapping[str, Any], device: str, directions: Mapping[str, str]) -> list[Point]:
    return [
        (getattr(of_device, counted), {device: name, "direction": direction})
        for name, of_device in counters.items()
        for direction, counted in directions.items()
    ]


def _of_process() -> dict[Observable, Source]:
    now = fresh(lambda: _process(os.getpid()).as_dict(read))

    def by(attribute: str, name: str, *parts: str) -> Source:
        return lambda: [(getattr(now()[name], part), {attribute: part}) for part in parts]

    sources: dict[str, dict[Observable, Source]] = {
        "cpu_times": {runtime.PROCESS_CPU_TIME: by("mode", "cpu_times", "user", "system")},
        "memory_info": {
            runtime.PROCESS_MEMORY_USAGE: lambda: now()["memory_info"].rss,
            runtime.PROCESS_MEMORY_VIRTUAL: lambda: now()["memory_info"].vms,
        },
        "num_threads": {runtime.PROCESS_THREADS: lambda: now()["num_threads"]},
        "num_fds": {runtime.PROCESS_DESCRIPTORS: lambda: now()["num_fds"]},
        "num_ctx_switches": {
            runtime.PROCESS_CONTEXT_SWITCHES: by("type", "num_ctx_switches", "voluntary", "involuntary")
        },
    }
    read = [name for name in sources if _has(name)]
    return {instrument: source for name in read for instrument, source in sources[name].items()}


def _has(name: str) -> bool:
    """Whether the platform tells this of a process; some containers hide a part."""
    try:
        getattr(_process(os.getpid()), name)()
    except (AttributeError, NotImplementedError, psutil.Error):
        return False
    return True


def _of_interpreter() -> dict[Observable, Source]:
    if platform.python_implementation() != "CPython":
        return {}

    def of(counted: str) -> Source:
        return lambda: [(each[counted], {"generation": number}) for number, each in enumerate(gc.get_stats())]

    return {runtime.GC_COLLECTIONS: of("collections"), runtime.GC_COLLECTED: of("collected")}
