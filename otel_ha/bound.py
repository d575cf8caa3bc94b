"""Bound instruments: recording is one append; a collection settles what was appended.

Recording through the SDK validates and hashes the attributes once for every reader, at every call. Here an attribute
set is resolved once, to a cell, and a measurement is an entry in a journal: an amount, a cell, and the rest of the
group that it belongs to. Appending to a list takes no lock and is atomic, so a group is in the journal as a whole or
not at all, whatever thread, signal or finalizer it interrupts.

At the start of a collection the journal is settled: its entries go to their cells, and the cells to the aggregations
that the SDK made for them, one for each reader. Those are the SDK's own, with a way in for many measurements at once;
temporality, readers and exporters stay the SDK's. That an aggregation belongs to a cell is found out by a measurement
of nothing through the public API, whose context names the cell.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import repeat
from typing import Any, NamedTuple

from opentelemetry import metrics
from opentelemetry.context import Context, get_current, set_value
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation, _SumAggregation
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, SumAggregation, View
from opentelemetry.trace import get_current_span

from otel_ha.instruments import (
    LONG,
    Attributes,
    AttributeValue,
    Change,
    Direct,
    Histogram,
    Prepared,
    Synchronous,
    shown,
)
from otel_ha.recording import LIMIT, Identity, Shared, SynchronousRecorder, Write, identity, no_amount

_logger = logging.getLogger("otel_ha")

Entry = tuple[Any, "Cell | None", Iterable[tuple[float, "Cell"]]]
"""An amount, its cell, and the (amount, cell) pairs that go with it; a context in place of the amount and no cell for a
group that is to be replayed through the SDK."""

_CELL = "otel_ha.cell"
_TIME = "otel_ha.time"
_LEAST, _MOST = 1e-18, float(LIMIT)
_FINEST = 1.06
"""The ratio of two neighbouring inner bounds: a quantile given as their geometric mean is within 3 % of the true."""


class Gain(NamedTuple):
    """What the fine buckets of one histogram's attribute set gained: counts by the index of their upper bound."""

    instrument: str
    attributes: Mapping[str, AttributeValue]
    bounds: Sequence[float]
    counts: Mapping[int, int]


class Journal:
    """Takes what is recorded, and settles it when a collection starts."""

    MOST_REPLAYS = 10_000
    """Groups in sampled spans that wait for a collection; of more, the SDK is given no exemplars."""

    def __init__(self, *, exemplars: bool) -> None:
        self.entries: list[Entry] = []
        self.append = self.entries.append
        self.direct: Direct = (self.append, self.entries, self.shorten)
        self._exemplars = exemplars
        self._sorting = threading.Lock()
        self.nowhere = SumCell(lambda *_: None, {})
        """The cell of a group that has nothing in it."""
        self._taking: list[Cell] = []
        self._dirty: list[Cell] = []
        self._replays: list[tuple[Context, Iterable[tuple[float, Cell]]]] = []
        self.readers: Callable[[], object] = lambda: None
        self._gains: dict[HistogramCell, dict[int, int]] | None = None

    def write(self, amount: float, cell: Cell, rest: Sequence[tuple[float, Cell]]) -> None:
        """Take a measurement and those that belong to it."""
        context = get_current()
        if context and self._is_sampled(context):
            # The SDK keeps exemplars; it is given these one by one when the journal is settled.
            self.append((set_value(_TIME, time.time_ns(), context), None, ((amount, cell), *rest)))
        else:
            self.append((amount, cell, rest))
        if len(self.entries) > LONG:
            self.shorten()

    def _is_sampled(self, context: Context) -> bool:
        return self._exemplars and get_current_span(context).get_span_context().trace_flags.sampled

    def shorten(self) -> None:
        """Sort the entries into their cells, unless somebody is at it."""
        if self._sorting.acquire(blocking=False):
            try:
                self._sort()
            finally:
                self._sorting.release()

    def settle(self, _: CallbackOptions | None = None) -> list[Observation]:
        """Bring everything recorded so far to the SDK's aggregations. An observable's callback: it observes nothing."""
        with self._sorting:
            self._sort()
            dirty, self._dirty = self._dirty, []
            for cell in dirty:
                self._note_gains(cell)
                cell.settle(self.readers())
            replays, self._replays = self._replays, []
            for context, changes in replays:
                for amount, cell in changes:
                    cell.write(amount, cell.attributes, context)
                    self._note_gain_of_one(cell, amount)
        return []

    def keep_gains(self) -> None:
        """Keep from now on what the fine buckets gain, for gains() to return."""
        self._gains = {}

    def gains(self) -> list[Gain]:
        """Return what the fine buckets of each histogram cell gained since this was last called."""
        with self._sorting:
            if self._gains is None:
                return []
            gains, self._gains = self._gains, {}
        return [Gain(cell.scale.instrument, cell.attributes, cell.scale.bounds, of) for cell, of in gains.items()]

    def _note_gains(self, cell: Cell) -> None:
        if self._gains is not None and isinstance(cell, HistogramCell):
            kept = self._gains.setdefault(cell, {})
            for index, count in cell.counts.items():
                kept[index] = kept.get(index, 0) + count

    def _note_gain_of_one(self, cell: Cell, amount: float) -> None:
        if self._gains is not None and isinstance(cell, HistogramCell):
            kept, index = self._gains.setdefault(cell, {}), bisect_left(cell.scale.bounds, amount)
            kept[index] = kept.get(index, 0) + 1

    def _sort(self) -> None:
        # A prefix: others append meanwhile, and what they append stays.
        count = len(self.entries)
        entries = self.entries[:count]
        del self.entries[:count]
        # Most groups are prepared ones, whose rest is the same object each time: those are counted.
        rests: dict[int, Any] = {}
        times: dict[int, int] = {}
        for entry in entries:
            amount, cell, rest = entry
            if cell is None:
                amount, cell, rest = self._replayed(entry)
            amounts = cell.amounts
            if not amounts:
                self._taking.append(cell)
            amounts.append(amount)
            if rest:
                key = id(rest)
                if key in times:
                    times[key] += 1
                else:
                    times[key] = 1
                    rests[key] = rest
        for key, rest in rests.items():
            for amount, cell in rest:
                cell.amounts.extend(repeat(amount, times[key]))
                self._taking.append(cell)
        self._take()

    def _replayed(self, entry: Entry) -> tuple[float, Cell, Any]:
        """Put a group in a sampled span aside for the SDK; of too many, return it as one like any other."""
        context, _, changes = entry
        if len(self._replays) < self.MOST_REPLAYS:
            self._replays.append((context, changes))
            return 0, self.nowhere, ()
        (amount, cell), *rest = changes
        return amount, cell, rest

    def _take(self) -> None:
        for cell in self._taking:
            if not cell.dirty:
                cell.dirty = True
                self._dirty.append(cell)
            if cell.amounts:
                cell.take()
        self._taking.clear()


class Cell:
    """One attribute set of one instrument: what was recorded since it was last settled."""

    __slots__ = ("_aggregations", "_created", "_readers", "amounts", "attributes", "dirty", "write")

    def __init__(self, write: Callable[..., None], attributes: dict[str, AttributeValue]) -> None:
        self.write = write
        self.attributes = attributes
        self.amounts: list[float] = []
        self.dirty = False
        self._created: int | None = time.time_ns()
        self._aggregations: list[Any] = []
        self._readers: object = None

    def take(self) -> None:
        """Add up the amounts that were sorted here."""
        raise NotImplementedError

    def settle(self, readers: object) -> None:
        """Hand what was taken to the aggregation of each reader, and begin anew."""
        self.dirty = False
        if readers is not self._readers or any(aggregation.spent for aggregation in self._aggregations):
            self._aggregations.clear()
            self._readers = readers
            self.write(0, self.attributes, Context({_CELL: self}))
            self._created = None
        for aggregation in self._aggregations:
            aggregation.absorb(self)
        self._reset()

    def join(self, aggregation: Any) -> None:
        """Settle to this aggregation, too; it calls this when the measurement of nothing reaches it."""
        aggregation.spent = False
        if self._created is not None:
            aggregation.start_at(self._created)
        self._aggregations.append(aggregation)

    def _reset(self) -> None:
        raise NotImplementedError


class SumCell(Cell):
    """The sum of a counter's or an up-down counter's measurements."""

    __slots__ = ("total",)

    def __init__(self, write: Callable[..., None], attributes: dict[str, AttributeValue]) -> None:
        super().__init__(write, attributes)
        self.total: float = 0

    def take(self) -> None:
        """Add up the amounts that were sorted here."""
        self.total += sum(self.amounts)
        self.amounts.clear()

    def _reset(self) -> None:
        self.total = 0


class HistogramCell(Cell):
    """The distribution of a histogram's measurements, over bounds finer than those that are exported."""

    __slots__ = ("counts", "highest", "lowest", "scale", "total")

    def __init__(self, write: Callable[..., None], attributes: dict[str, AttributeValue], scale: Scale) -> None:
        super().__init__(write, attributes)
        self.scale = scale
        self.counts: dict[int, int] = {}
        self.total: float = 0
        self.lowest = math.inf
        self.highest = -math.inf

    def take(self) -> None:
        """Add up the amounts that were sorted here."""
        bounds, counts = self.scale.bounds, self.counts
        for amount in self.amounts:
            index = bisect_left(bounds, amount)
            counts[index] = counts.get(index, 0) + 1
        self.total += sum(self.amounts)
        self.lowest = min(self.lowest, min(self.amounts))  # noqa: PLW3301 - unpacking thousands costs more
        self.highest = max(self.highest, max(self.amounts))  # noqa: PLW3301
        self.amounts.clear()

    def _reset(self) -> None:
        self.counts.clear()
        self.total = 0
        self.lowest = math.inf
        self.highest = -math.inf


class Scale:
    """The bounds of a histogram and finer ones between, below and above them."""

    def __init__(self, buckets: tuple[float, ...], instrument: str = "") -> None:
        self.instrument = instrument
        positive = [bound for bound in buckets if bound > 0] or [1.0]
        low, high = max(positive[0] / 1e3, _LEAST), min(positive[-1] * 1e3, _MOST)
        steps = math.floor((math.log(high) - math.log(low)) / math.log(_FINEST)) + 1
        self.bounds = sorted({*buckets, *(low * _FINEST**step for step in range(steps + 1))})
        self.bucket_of = [bisect_left(buckets, bound) for bound in self.bounds] + [len(buckets)]
        """The exported bucket of each inner one."""


class _Bound:
    """Mixed into an aggregation of the SDK: takes what cells settle, beside what comes one by one."""

    _start_time_unix_nano: int
    spent = False
    """Whether the SDK may have put it aside: it does so with those of a delta reader, which start anew each time."""

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """Take one measurement; the one of nothing that names a cell makes it settle here."""
        cell = measurement.context.get(_CELL) if measurement.context else None
        if isinstance(cell, Cell):
            cell.join(self)
        else:
            if measurement.context and (taken := measurement.context.get(_TIME)):
                measurement = replace(measurement, time_unix_nano=taken)
            super().aggregate(measurement, should_sample_exemplar)  # type: ignore[misc]

    def start_at(self, nanoseconds: int) -> None:
        """Say that the series started then: before the collection that made the SDK make this."""
        self._start_time_unix_nano = min(self._start_time_unix_nano, nanoseconds)
        self._previous_collection_start_nano = self._start_time_unix_nano

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the SDK's own point."""
        self.spent = collection_aggregation_temporality is AggregationTemporality.DELTA
        return super().collect(collection_aggregation_temporality, collection_start_nano)  # type: ignore[misc]


class _BoundSum(_Bound, _SumAggregation):
    _value: float | None  # type: ignore[assignment]

    def absorb(self, cell: SumCell) -> None:
        """Take what a cell has gained."""
        with self._lock:
            self._value = (self._value or 0) + cell.total


class _BoundHistogram(_Bound, _ExplicitBucketHistogramAggregation):
    _value: list[int] | None  # type: ignore[assignment]
    _sum: float  # type: ignore[assignment]

    def absorb(self, cell: HistogramCell) -> None:
        """Take what a cell has gained, in the buckets that are exported."""
        with self._lock:
            if self._value is None:
                self._value = self._get_empty_bucket_counts()
            for index, count in cell.counts.items():
                self._value[cell.scale.bucket_of[index]] += count
            self._sum += cell.total
            self._min = min(self._min, cell.lowest)
            self._max = max(self._max, cell.highest)


class CellSum(SumAggregation):
    """The SDK's sum, for a View, which cells can settle to."""

    def _create_aggregation(self, instrument: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        monotonic, reservoir = isinstance(instrument, metrics.Counter), reservoir_factory(_SumAggregation)
        return _BoundSum(attributes, monotonic, AggregationTemporality.DELTA, start, reservoir)


class CellHistogram(ExplicitBucketHistogramAggregation):
    """The SDK's explicit-bucket histogram, for a View, which cells can settle to."""

    def _create_aggregation(self, _: Any, attributes: Any, reservoir_factory: Any, start: int) -> Any:
        reservoir = reservoir_factory(_ExplicitBucketHistogramAggregation)
        bounds = self._boundaries
        return _BoundHistogram(attributes, AggregationTemporality.DELTA, start, reservoir, bounds)


class BoundRecorder(SynchronousRecorder):
    """Records one synchronous instrument's measurements as entries in a journal."""

    MOST_KEYS = 10_000
    """Attribute sets, as they are given, whose cell is looked up; beyond it they are resolved each time."""

    def __init__(self, instrument: Synchronous, write: Write, shared: Shared, journal: Journal) -> None:
        super().__init__(instrument, write, shared)
        self.journal = journal
        self.direct = journal.direct
        self._scale = Scale(instrument.buckets, instrument.name) if isinstance(instrument, Histogram) else None
        self._given: dict[tuple[tuple[str, AttributeValue | None], ...], Cell] = {}
        self._cells: dict[Identity, Cell] = {}

    def record(self, amount: float, attributes: Attributes, _: Context | None = None) -> None:
        """Take one measurement; never raises."""
        try:
            if isinstance(amount, int | float) and self._least <= amount < LIMIT:
                self.journal.write(amount, self.cell(attributes), ())
            else:
                self.report("invalid_amount", no_amount(amount, self._instrument))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def record_together(self, changes: Sequence[Change], *, later: bool) -> None:
        """Take measurements that belong together, as one entry."""
        try:
            if any(not isinstance(change[0].recorder, BoundRecorder | None) for change in changes):
                # Not all of them are in the journal: a collection has to be held back.
                super().record_together(changes, later=later)
            elif group := self._group(changes):
                (amount, cell), *rest = group
                self.journal.write(amount, cell, rest)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def prepare(self, changes: Sequence[Change]) -> Prepared | None:
        """Return the changes as an entry, if all of them were recorded before and have cells; see Recorder."""
        group: list[tuple[float, Cell]] = []
        for instrument, amount, attributes in changes:
            recorder = instrument.recorder
            if recorder is not None:
                given = recorder._given if isinstance(recorder, BoundRecorder) else {}
                cell = given.get(tuple(attributes.items()))
                if cell is None:
                    return None
                group.append((amount, cell))
        if not group:
            return 0, self.journal.nowhere, ()
        (amount, cell), *rest = group
        return amount, cell, tuple(rest)

    def bind(self, attributes: Attributes) -> Callable[[float], None]:
        """Return what records with these attributes; see Recorder."""
        write, least, cell = self.journal.write, self._least, None

        def record(amount: float) -> None:
            nonlocal cell
            if not (isinstance(amount, int | float) and least <= amount < LIMIT):
                self.report("invalid_amount", no_amount(amount, self._instrument))
            elif cell is not None:
                write(amount, cell, ())
            else:
                reports = self.resolver.reports
                self.record(amount, attributes)
                if reports == self.resolver.reports:  # what is wrong with them is to be counted each time
                    with suppress(Exception):
                        cell = self.cell(attributes)

        return record

    def cell(self, attributes: Attributes) -> Cell:
        """Return the cell of these attributes."""
        key = tuple(attributes.items())
        try:
            cell = self._given.get(key)
        except TypeError:  # a value that cannot be hashed is none that can be taken
            cell = None
        return cell or self._resolve(key, attributes)

    def _resolve(self, key: tuple[tuple[str, AttributeValue | None], ...], attributes: Attributes) -> Cell:
        reports = self.resolver.reports
        resolved = self.resolver.resolve(attributes)
        same = identity(resolved)
        cell = self._cells.get(same)
        if cell is None:
            if self._scale is not None:
                cell = HistogramCell(self._write, resolved, self._scale)
            else:
                cell = SumCell(self._write, resolved)
            self._cells[same] = cell
        # What has to be counted each time as wrong is not kept, nor what equals other keys: 1, 1.0 and True.
        plain = all(isinstance(value, str | None) for value in attributes.values())
        if plain and reports == self.resolver.reports and len(self._given) < self.MOST_KEYS:
            self._given[key] = cell
        return cell

    def _group(self, changes: Sequence[Change]) -> list[tuple[float, Cell]]:
        found: list[tuple[float, Cell]] = []
        for instrument, amount, attributes in changes:
            recorder = instrument.recorder
            if isinstance(recorder, BoundRecorder):
                if isinstance(amount, int | float) and recorder._least <= amount < LIMIT:
                    found.append((amount, recorder.cell(attributes)))
                else:
                    recorder.report("invalid_amount", no_amount(amount, instrument))
        return found


@functools.cache
def is_supported() -> bool:
    """Whether the SDK's inside is as this module expects: tried on a pipeline of its own, once a process."""
    try:
        return _exported_by_a_trial() == {"sum": 5, "histogram": (1, 1, 0)}
    except Exception as error:  # noqa: BLE001 - whatever has changed, the public API is still there
        _logger.debug("bound instruments: %r", error)
        return False


def _exported_by_a_trial() -> dict[str, Any]:
    found: dict[str, Any] = {}
    reader = InMemoryMetricReader()
    views = [
        View(instrument_name="sum", aggregation=CellSum()),
        View(instrument_name="histogram", aggregation=CellHistogram((1.0, 2.0))),
    ]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    meter, journal = provider.get_meter("trial"), Journal(exemplars=False)
    journal.readers = functools.partial(readers_of, provider)
    meter.create_observable_gauge("settle", callbacks=[journal.settle])
    sums = SumCell(meter.create_counter("sum").add, {})
    distribution = HistogramCell(meter.create_histogram("histogram").record, {}, Scale((1.0, 2.0)))
    journal.write(2, sums, [(0.5, distribution)])
    journal.write(3, sums, [(1.5, distribution)])
    data = reader.get_metrics_data()
    for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
        (point,) = metric.data.data_points
        found[metric.name] = getattr(point, "bucket_counts", None) or getattr(point, "value", None)
    provider.shutdown()
    return found


def drop_series(provider: MeterProvider, name: str, gone: Iterable[dict[str, AttributeValue]]) -> None:
    """Make the SDK forget series of an observable instrument, at the start of a collection.

    The SDK keeps their state for ever, and counts them; were one to come back, a delta would be negative.
    """
    keys = {frozenset(attributes.items()) for attributes in gone}
    with suppress(AttributeError):  # an SDK with another inside keeps them
        for storage in provider._measurement_consumer._reader_storages.values():
            for instrument, matches in list(storage._instrument_view_instrument_matches.items()):
                for match in matches if instrument.name == name else ():
                    with match._lock:
                        for key, aggregation in list(match._attributes_aggregation.items()):
                            if frozenset((aggregation._attributes or {}).items()) in keys:
                                del match._attributes_aggregation[key]


def readers_of(provider: MeterProvider) -> object:
    """Return what the SDK replaces by another object whenever a reader joins or leaves."""
    return provider._measurement_consumer._reader_storages
