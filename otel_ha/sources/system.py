"""Host and process: OpenTelemetry's system metrics as the source of the runtime vocabulary.

SystemMetricsInstrumentor takes the readings, and otel_ha.vocabulary.runtime declares the metrics. So names and
attributes follow the current semantic conventions (the instrumentor's are older: "state", "device",
process.open_file_descriptor.count), and groups, limits, shutdown and problems work as for any other metric.

Counters are read again by each collection, or rates over short intervals would be wrong: the readings of two
collections of a reader would not be as far apart as the collections. Readers share amounts, such as memory and threads,
for a while (see otel_ha.sources.recent).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psutil
from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.instruments import Observable, ObservableCounter
from otel_ha.declare.ports import AttributeValue, Point
from otel_ha.sources.devices import real_disks, real_interfaces
from otel_ha.sources.recent import Recent
from otel_ha.vocabulary import runtime

Callback = Callable[[CallbackOptions], Iterator[Observation]]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The reading of the instrumentor for one declaration.

    `key` is the instrumentor's name if it differs, `parts` the requested parts, `keywords` our keyword for each of its
    attributes (others are dropped), `devices` a function that selects devices.
    """

    instrument: Observable
    key: str = ""
    parts: Sequence[str] | None = None
    keywords: Mapping[str, str] = field(default_factory=dict)
    devices: Callable[[frozenset[str]], Collection[str]] | None = None

    @property
    def name(self) -> str:
        return self.key or self.instrument.name

    def points(self, callback: Callback) -> list[Point]:
        """Read once; exceptions of the instrumentor pass through."""
        observations = list(callback(CallbackOptions()))
        if self.devices is not None:
            selected = self.devices(frozenset(str((o.attributes or {})["device"]) for o in observations))
            observations = [o for o in observations if (o.attributes or {})["device"] in selected]
        return [(o.value, self._own(o.attributes or {})) for o in observations]

    def _own(self, attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
        own = {keyword: attributes[theirs] for theirs, keyword in self.keywords.items()}
        if "logical_number" in own:
            own["logical_number"] -= 1  # the instrumentor counts from 1, the conventions from 0
        return own


_DISK = {"device": "device", "direction": "direction"}
_NETWORK = {"device": "interface", "direction": "direction"}
_BOTH_WAYS = ("transmit", "receive")
_GENERATION = {"cpython.gc.generation": "generation"}
# Cached until the set of devices changes.
_DISKS = lru_cache(maxsize=1)(real_disks)
_INTERFACES = lru_cache(maxsize=1)(real_interfaces)

# Not read: CPU utilization (see otel_ha.vocabulary.runtime), metrics that the conventions have removed or renamed but
# the instrumentor has not (swap, thread_count, packets, process.runtime.*), connections (slow, and they need
# privileges), and uncollectable objects, which CPython has not had since 3.4.
_READINGS = (
    _Reading(
        instrument=runtime.SYSTEM_CPU_TIME,
        parts=("user", "nice", "system", "idle", "iowait", "steal"),
        keywords={"state": "mode", "cpu": "logical_number"},
    ),
    _Reading(instrument=runtime.SYSTEM_MEMORY_USAGE, parts=("used", "free", "cached"), keywords={"state": "state"}),
    _Reading(instrument=runtime.SYSTEM_MEMORY_UTILIZATION, parts=("used",), keywords={"state": "state"}),
    _Reading(instrument=runtime.SYSTEM_DISK_IO, parts=("read", "write"), keywords=_DISK, devices=_DISKS),
    _Reading(instrument=runtime.SYSTEM_DISK_OPERATIONS, parts=("read", "write"), keywords=_DISK, devices=_DISKS),
    _Reading(instrument=runtime.SYSTEM_NETWORK_IO, parts=_BOTH_WAYS, keywords=_NETWORK, devices=_INTERFACES),
    _Reading(instrument=runtime.SYSTEM_NETWORK_ERRORS, parts=_BOTH_WAYS, keywords=_NETWORK, devices=_INTERFACES),
    _Reading(instrument=runtime.PROCESS_CPU_TIME, parts=("user", "system"), keywords={"type": "mode"}),
    _Reading(instrument=runtime.PROCESS_MEMORY_USAGE),
    _Reading(instrument=runtime.PROCESS_MEMORY_VIRTUAL),
    _Reading(instrument=runtime.PROCESS_THREADS, key="process.thread.count"),
    _Reading(instrument=runtime.PROCESS_DESCRIPTORS, key="process.open_file_descriptor.count"),
    _Reading(
        instrument=runtime.PROCESS_CONTEXT_SWITCHES,
        parts=("voluntary", "involuntary"),
        keywords={"type": "type"},
    ),
    _Reading(instrument=runtime.GC_COLLECTIONS, keywords=_GENERATION),
    _Reading(instrument=runtime.GC_COLLECTED, keywords=_GENERATION),
)


def instrument_system() -> Callable[[], None]:
    """Read the host and the process at every collection; return a function that stops that.

    CPU, memory, disks and network of the host, on the devices that otel_ha.sources.devices selects; CPU, uptime,
    memory, threads, descriptors, context switches and garbage collection of the process. A forked child that adopts
    these sources reads its own process.
    """
    callbacks = _Callbacks()
    with ExitStack() as stack:
        for reading in _READINGS:
            stack.enter_context(reading.instrument.observe(_source(reading, callbacks)))
        stack.enter_context(runtime.PROCESS_UPTIME.observe(process_uptime))
        return stack.pop_all().close


def process_uptime() -> float:
    """Return the time since this process started, in seconds."""
    return max(time.monotonic() - _started(os.getpid()), 0.0)


@lru_cache(maxsize=1)
def _started(pid: int) -> float:
    """Return the start of a process on the monotonic clock, which does not jump when the host's clock is set."""
    age = time.time() - psutil.Process(pid).create_time()
    return time.monotonic() - age


def load_instrumentor() -> None:
    """Import the instrumentor, which the first reading does otherwise, in the thread of a collection."""
    from otel_ha.sources import instrumentor  # noqa: F401, PLC0415 - see _Callbacks.of


def _source(reading: _Reading, callbacks: _Callbacks) -> Callable[[], list[Point]]:
    def source() -> list[Point]:
        callback = callbacks.of(reading.name)
        return [] if callback is None else reading.points(callback)  # None: the platform lacks this metric

    return source if isinstance(reading.instrument, ObservableCounter) else Recent(source)


class _Callbacks:
    """The callbacks of this process's instrumentor, by the name of their instrument."""

    def __init__(self) -> None:
        self._pid = 0
        self._by_name: Mapping[str, Callback] = {}

    def of(self, name: str) -> Callback | None:
        """Return the callback of an instrument, or None."""
        # The instrumentor refers to the process that created it: after a fork, to the parent.
        if self._pid != os.getpid():
            # Imported at the first reading: the import takes longer than the rest of the set-up.
            from otel_ha.sources.instrumentor import callbacks_of  # noqa: PLC0415

            self._by_name = callbacks_of({reading.name: reading.parts for reading in _READINGS})
            self._pid = os.getpid()
        return self._by_name.get(name)
