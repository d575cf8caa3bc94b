"""Declarations recorded by the real SDK into memory, for tests of recording."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import Any, NamedTuple, Self

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from otel_ha import Catalog, Discarded, Operation, TelemetryConfig
from otel_ha.declare.fastpath import Ends, FastPath
from otel_ha.declare.instruments import Instrument
from otel_ha.declare.outcome import Outcome, way_of
from otel_ha.declare.ports import Attributes
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.vocabulary import runtime


class Distribution(NamedTuple):
    """The state of a histogram for one set of attributes."""

    count: int
    total: float
    buckets: tuple[int, ...]


Points = dict[str, dict[frozenset[tuple[str, Any]], Any]]


class MemoryReader(GatedReader, InMemoryMetricReader):
    """Collects into memory, and sees batches of measurements whole."""

    def collected(self) -> Points:
        """Collect, and return the values by instrument and attributes."""
        data = self.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            metric.name: {frozenset(point.attributes.items()): _value(point) for point in metric.data.data_points}
            for metric in metrics
        }


class Recorded:
    """Connects declarations to an SDK with in-memory readers, until the block ends.

    On a foreign MeterProvider each measurement goes through the public API; with `journalled`, by the journal.
    """

    def __init__(
        self,
        *instruments: Instrument,
        readers: int = 1,
        catalog: Catalog | None = None,
        journalled: bool = False,
        entity_metrics: bool = True,
        **settings: Any,
    ) -> None:
        self.readers = [MemoryReader() for _ in range(readers)]
        everything = Catalog(*instruments, runtime.RECORDING_PROBLEMS) | (catalog or Catalog())
        config = TelemetryConfig(metrics_exporters=(), entity_metrics=entity_metrics, environ={}, **settings)
        foreign = None if journalled else MeterProvider(self.readers, shutdown_on_exit=False)
        self.pipeline = Pipeline(config, everything, foreign=foreign)
        self.provider = self.pipeline.provider
        for reader in self.readers:
            reader.gate = self.gate
            if journalled:
                self.provider.add_metric_reader(reader)

    @property
    def gate(self) -> CollectionGate:
        return self.pipeline.gate

    def __enter__(self) -> Self:
        self.pipeline.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.pipeline.disconnect()
        self.provider.shutdown()

    def collect(self, reader: int = 0) -> Points:
        """Return {name: {frozenset(attributes): value}} as one reader sees it now."""
        return self.readers[reader].collected()

    def series(self, instrument: Instrument) -> dict[frozenset[tuple[str, Any]], Any]:
        """Return {frozenset(attributes): value} of one instrument."""
        return self.collect().get(instrument.name, {})

    def value(self, instrument: Instrument, /, **by_keyword: Any) -> Any:
        """Return the value at exactly these attributes; 0 if there is none."""
        names = {attribute.keyword: attribute.name for attribute in instrument.attributes}
        return self.series(instrument).get(frozenset((names[k], v) for k, v in by_keyword.items()), 0)

    def problems(self) -> dict[tuple[str, str, str | None], int]:
        """Return how often each (instrument, reason, attribute) was reported."""
        by_key = ((dict(key), count) for key, count in self.series(runtime.RECORDING_PROBLEMS).items())
        return {
            (a["otel_ha.instrument"], a["otel_ha.problem.reason"], a.get("otel_ha.attribute")): n for a, n in by_key
        }


_ROLES = {
    "received": "homeassistant.event.received",
    "processed": "homeassistant.event.process.duration",
    "discarded": "homeassistant.event.discarded",
    "in_flight": "homeassistant.event.in_flight",
}
ROLES = {name: role for role, name in _ROLES.items()}
"""The roles of the ingest vocabulary's instruments in the accounts, by name."""


def accounts(points: Points) -> dict[str, dict[str, int]]:
    """Return {source: {received, processed, discarded, in_flight}} of the ingest vocabulary's instruments."""
    found: dict[str, dict[str, int]] = {}
    for role, name in _ROLES.items():
        for attributes, value in points.get(name, {}).items():
            source = dict(attributes).get("homeassistant.source", "")
            account = found.setdefault(source, dict.fromkeys(_ROLES, 0))
            account[role] += value.count if isinstance(value, Distribution) else value
    return found


def unbalanced(points: Points) -> dict[str, dict[str, int]]:
    """Return the accounts in which received is not processed + discarded + in flight."""
    return {
        source: account
        for source, account in accounts(points).items()
        if account["received"] != account["processed"] + account["discarded"] + account["in_flight"]
    }


def started(operation: Operation, attributes: Attributes) -> None:
    """Record the start of work as measured() does the first time."""
    FastPath(operation, operation.resolved(), attributes).start_in_full()


def ended(
    operation: Operation,
    outcome: Outcome | Discarded,
    duration: float,
    *,
    at_start: Attributes,
    at_end: Attributes,
    later: bool = False,
) -> None:
    """Record the end of work as measured() does the first time; with `later`, as in a finalizer."""
    path = FastPath(operation, operation.resolved(), at_start)
    Ends(path, at_end).ended_in_full(way_of(outcome), duration, later=later)


def in_threads(number: int, target: Callable[[int], object]) -> None:
    """Run `target(0)` to `target(number - 1)` at once, and raise the first of their errors."""

    barrier = Barrier(number)

    def run(i: int) -> object:
        barrier.wait(10)
        return target(i)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(run, range(number)))


@contextmanager
def switching_often():
    """Let threads take turns so often that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def meanwhile(action: Callable[[], object], times: int = 3_000) -> Iterator[None]:
    """Call `action` in a thread from before a block until its end, with many changes of threads, and raise its error.

    Three measurements or batches of each call are fewer than a CollectionGate defers. Beyond that, a collection that is
    slow, as it may be on a busy machine, counts as one that hangs, and sees part of a batch.
    """
    begun, ended, before = Event(), Event(), sys.getswitchinterval()

    def repeat() -> None:
        for _ in range(times):
            action()
            begun.set()
            if ended.is_set():
                break

    with ThreadPoolExecutor(1) as pool:
        repeating = pool.submit(repeat)
        begun.wait(10)
        sys.setswitchinterval(1e-5)
        try:
            yield
        finally:
            sys.setswitchinterval(before)
            ended.set()
        repeating.result()


def _value(point: Any) -> Any:
    if isinstance(point, HistogramDataPoint):
        return Distribution(point.count, point.sum, tuple(point.bucket_counts))
    return point.value
