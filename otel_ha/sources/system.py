"""Host and process: OpenTelemetry's own system metrics as the source of the runtime vocabulary.

SystemMetricsInstrumentor reads; the declarations in otel_ha.vocabulary.runtime say what comes of it. So the names and
attributes are those of today's semantic conventions (the instrumentor's are older: "state", "device",
process.open_file_descriptor.count), and groups, limits, shutdown and problems are dealt with as for any other metric.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.instruments import Observable
from otel_ha.declare.ports import AttributeValue, Point
from otel_ha.sources.devices import real_disks, real_interfaces
from otel_ha.sources.filesystems import observe_filesystems
from otel_ha.vocabulary import runtime

__all__ = ["instrument_system", "observe_filesystems"]

Callback = Callable[[CallbackOptions], Iterator[Observation]]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What the instrumentor reads for one declaration.

    `key` is the instrumentor's name for it, `parts` which of its values are asked for, `keywords` our keyword of each
    of its attributes (others are dropped), `devices` what chooses the devices that count.
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
        """Read once; raises what the instrumentor raises."""
        observations = list(callback(CallbackOptions()))
        if self.devices is not None:
            kept = self.devices(frozenset(str((o.attributes or {})["device"]) for o in observations))
            observations = [o for o in observations if (o.attributes or {})["device"] in kept]
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
# Asked of sysfs again when other devices are there.
_DISKS = lru_cache(maxsize=1)(real_disks)
_INTERFACES = lru_cache(maxsize=1)(real_interfaces)

# Left out: utilization of the CPU (see otel_ha.vocabulary.runtime), what the conventions have given up or renamed
# without the instrumentor following (swap, thread_count, packets, process.runtime.*), connections (reading them takes
# rights and time), and uncollectable objects, of which CPython has had none since 3.4.
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
    """Read host and process at every collection, into the connected declarations; returns what ends that.

    CPU, memory, disks and network of the host; CPU, memory, threads, descriptors, context switches and garbage
    collection of the process. Which devices count, otel_ha.sources.devices says. A forked child that goes on
    with these sources reads its own process.
    """
    callbacks = _Callbacks()
    with ExitStack() as stack:
        for reading in _READINGS:
            stack.enter_context(reading.instrument.observe(_source(reading, callbacks)))
        return stack.pop_all().close


def _source(reading: _Reading, callbacks: _Callbacks) -> Callable[[], list[Point]]:
    def source() -> list[Point]:
        callback = callbacks.of(reading.name)
        return [] if callback is None else reading.points(callback)  # there is none where the platform lacks it

    return source


class _Callbacks:
    """The callbacks of an instrumentor of this very process, by the name of their instrument."""

    def __init__(self) -> None:
        self._pid = 0
        self._by_name: Mapping[str, Callback] = {}

    def of(self, name: str) -> Callback | None:
        """Return the one of an instrument; None where there is none."""
        # The instrumentor holds on to the process that it was made in: after a fork, to the parent.
        if self._pid != os.getpid():
            # Imported by who reads first, since that takes longer than all the rest of setting up the readings.
            from otel_ha.sources.instrumentor import callbacks_of  # noqa: PLC0415

            self._by_name = callbacks_of({reading.name: reading.parts for reading in _READINGS})
            self._pid = os.getpid()
        return self._by_name.get(name)
