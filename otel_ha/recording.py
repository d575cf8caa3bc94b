"""Recording: what a connected declaration hands its measurements to.

A recorder turns Python keywords into OpenTelemetry attributes, keeps each attribute within its closed set and budget,
and the instrument within its series, and calls the OpenTelemetry API. Whatever is wrong with a measurement is counted
and warned of once; nothing here raises into the measured code.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial

from opentelemetry.context import Context, get_current
from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.instruments import (
    OTHER,
    Attribute,
    Attributes,
    AttributeValue,
    Change,
    Counter,
    Direct,
    Histogram,
    Instrument,
    ObservableCounter,
    Observing,
    Prepared,
    Recorder,
    Source,
    Synchronous,
    shown,
)

_logger = logging.getLogger("otel_ha")

Write = Callable[[float, dict[str, AttributeValue], Context | None], None]
"""The API instrument's own verb."""

OVERFLOW: dict[str, AttributeValue] = {"otel.metric.overflow": True}
"""The one attribute of the series that takes what is beyond an instrument's limit (metrics SDK specification)."""

LIMIT = 2**63
"""What an amount stays below: OTLP has 64 bits for an integer, and one that is larger would cost the whole push."""


_Bound = tuple[Recorder | None, float, Attributes]
"""A Change with the recorder of its instrument."""


class Problems:
    """Counts what is wrong with measurements, and warns of each kind of it once."""

    MOST_WARNINGS = 1000
    """Kinds that are warned of at the most: an undeclared attribute can have any name."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._count = count
        self._counts = threading.local()
        self._warned: dict[tuple[str, str, str], object] = {}

    def report(self, instrument: Instrument, reason: str, what: str, *, attribute: str = "") -> None:
        """Count one problem; the first one of its kind is logged with `what`, which says what was wrong."""
        self._count_once(instrument=instrument.name, reason=reason, attribute=attribute or None)
        kind, mine = (instrument.name, attribute, reason), object()
        # One step, so that of several threads one warns.
        if len(self._warned) < self.MOST_WARNINGS and self._warned.setdefault(kind, mine) is mine:
            _logger.warning("%s: %s (further ones are counted, not logged)", instrument.name, what)

    def _count_once(self, **attributes: str | None) -> None:
        """Count, unless the problem is one of the counter's own: that would go round in circles."""
        if not getattr(self._counts, "counting", False):
            self._counts.counting = True
            try:
                self._count(1, **attributes)
            finally:
                self._counts.counting = False


class Cut:
    """Lets a collection see related measurements all together or not at all.

    An event that leaves "in flight" and becomes "processed" is two measurements on two instruments. The SDK reads one
    instrument after the other while other threads go on recording; so a group that comes in during a collection waits,
    in memory, until the collection has read everything. Nobody blocks: the lock is held for a group or two at a time.
    """

    MOST_DEFERRED = 10_000
    """Groups that wait at the most. Beyond it a collection that hangs costs consistency, never memory or counts."""

    def __init__(self) -> None:
        # Reentrant: a garbage collection inside a group can run a finalizer that records.
        self._lock = threading.RLock()
        self._collections = 0
        self._thread = threading.local()
        self._deferred: deque[tuple[Sequence[_Bound], Context]] = deque()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no group be recorded until the block ends."""
        with self._lock:
            yield

    def apply(self, changes: Sequence[Change]) -> None:
        """Record a group of measurements as one."""
        bound = _bind(changes)
        with self._lock:
            if self._collections and len(self._deferred) < self.MOST_DEFERRED:
                self._deferred.append((bound, get_current()))
            else:
                _record(bound, None)
                # What finalizers deferred must not pile up where nothing of ours collects.
                self._record_deferred()

    def defer(self, changes: Sequence[Change]) -> None:
        """Record a group at the next collection; takes no lock, so a finalizer may call it wherever it interrupts."""
        self._deferred.append((_bind(changes), get_current()))

    def begin(self) -> None:
        """Hold back groups from now on: this thread collects."""
        self._thread.collects = True
        self._catch_up()
        with self._lock:
            self._collections += 1

    def end(self) -> None:
        """Record what was held back, if no other thread collects; nothing if this one's collection ended before."""
        if getattr(self._thread, "collects", False):
            self._thread.collects = False
            with self._lock:
                self._collections -= 1
            self._catch_up()

    def _catch_up(self) -> None:
        """Record what was deferred, while nobody collects; between two groups others have their turn."""
        while self._deferred:
            with self._lock:
                if self._collections:
                    return
                self._record_deferred()

    def _record_deferred(self) -> None:
        """Record the oldest deferred group, if there is one."""
        with suppress(IndexError):  # asking first would leave a finalizer time to take it
            _record(*self._deferred.popleft())


@dataclass(frozen=True, slots=True)
class Shared:
    """What the recorders of one pipeline have in common."""

    problems: Problems
    cut: Cut = field(default_factory=Cut)
    kept: dict[Attribute, set[AttributeValue]] = field(default_factory=dict)
    """The values within an attribute's budget: the same ones on every instrument, or their accounts would differ."""


def _can_be_sent(value: object) -> bool:
    """Whether an exporter can encode it: a lone surrogate would cost every scrape, a larger number every push."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    return isinstance(value, bool | float) or (isinstance(value, int) and -LIMIT <= value < LIMIT)


Identity = frozenset[tuple[str, type, AttributeValue]]


def identity(attributes: Mapping[str, AttributeValue]) -> Identity:
    """Return what tells attribute sets apart as the SDK does: 1, 1.0 and True are three values."""
    return frozenset((name, type(value), value) for name, value in attributes.items())


class Resolver:
    """Turns the keywords of one instrument's measurements into OpenTelemetry attributes, within its limits."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._instrument = instrument
        self._problems = shared.problems
        self._attributes = {attribute.keyword: attribute for attribute in instrument.attributes}
        self._kept = {a.keyword: shared.kept.setdefault(a, set()) for a in instrument.attributes}
        self._series: set[Identity] = set()
        self.reports = 0

    def resolve(self, attributes: Attributes, *, take_place: bool = True) -> dict[str, AttributeValue]:
        """Return the attributes by their full names, or OVERFLOW beyond the instrument's series."""
        resolved: dict[str, AttributeValue] = {}
        for keyword, value in attributes.items():
            if value is None:
                continue
            attribute = self._attributes.get(keyword)
            if attribute is None:
                declared = ", ".join(self._attributes) or "none"
                what = f"has no attribute {keyword!r} (declared: {declared}); the measurement is recorded without it"
                self._report("undeclared_attribute", keyword, what)
            else:
                resolved[attribute.name] = self._within_limits(attribute, value)
        if not take_place or self._is_within_series(resolved):
            return resolved
        folded = self._fold(resolved)
        return folded if self._is_within_series(folded, reserve=True) else OVERFLOW

    def _fold(self, resolved: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the attributes with the one that has the most values as "_OTHER": the others survive."""
        return {**resolved, self._widest: OTHER} if self._widest in resolved else resolved

    @cached_property
    def _widest(self) -> str:
        """The open attribute with the most values; asked for when the series are used up, and then left at that."""
        values: dict[str, set[AttributeValue]] = {a.name: set() for a in self._attributes.values() if not a.values}
        for series in self._series:
            for name, _, value in series:
                if name in values:
                    values[name].add(value)
        return max(values, key=lambda name: len(values[name]), default="")

    def _within_limits(self, attribute: Attribute, value: AttributeValue) -> AttributeValue:
        if not _can_be_sent(value):
            what = f"{attribute.name} is text in Unicode, a 64-bit number or a bool, not {shown(value)}"
            self._report("invalid_value", attribute.name, what)
            return OTHER
        if attribute.values and value not in attribute.values:
            allowed = ", ".join(attribute.values)
            what = f"{attribute.name} is one of {allowed}; not {shown(value)}"
            self._report("undeclared_value", attribute.name, what)
            return OTHER
        if attribute.budget and not self._is_within_budget(attribute, value):
            most = attribute.budget
            what = f"{attribute.name} has more than {most} values; {shown(value)} is recorded as {OTHER}"
            self._report("budget_exceeded", attribute.name, what)
            return OTHER
        return value

    def _is_within_budget(self, attribute: Attribute, value: AttributeValue) -> bool:
        kept = self._kept[attribute.keyword]
        if value not in kept:
            if len(kept) >= (attribute.budget or 0):
                return False
            kept.add(value)
        return True

    def _is_within_series(self, resolved: dict[str, AttributeValue], *, reserve: bool = False) -> bool:
        series = identity(resolved)
        if series not in self._series:
            if len(self._series) >= self._instrument.series + (self._instrument.reserve if reserve else 0):
                most = self._instrument.series
                if not reserve:
                    what = f"more than {most} attribute sets; of further ones the attribute with most values is {OTHER}"
                    self._report("series_exceeded", "", what)
                return False
            self._series.add(series)
        return True

    def forget(self, gone: Iterable[Mapping[str, AttributeValue]]) -> None:
        """Give the places of attribute sets back."""
        self._series.difference_update(map(identity, gone))

    def _report(self, reason: str, attribute: str, what: str) -> None:
        self.reports += 1
        self._problems.report(self._instrument, reason, what, attribute=attribute)


def _bind(changes: Sequence[Change]) -> Sequence[_Bound]:
    """Return the changes with their recorders of now: what is deferred is recorded although telemetry is ending."""
    return [(instrument.recorder, amount, attributes) for instrument, amount, attributes in changes]


def _record(changes: Sequence[_Bound], context: Context | None) -> None:
    for recorder, amount, attributes in changes:
        if isinstance(recorder, SynchronousRecorder):
            recorder.record(amount, attributes, context)


class SynchronousRecorder:
    """Records one synchronous instrument's measurements through the OpenTelemetry API."""

    direct: Direct | None = None

    def __init__(self, instrument: Synchronous, write: Write, shared: Shared) -> None:
        self._cut = shared.cut
        self._instrument = instrument
        self._write = write
        self._problems = shared.problems
        self.resolver = Resolver(instrument, shared)
        self._least = _least(instrument)

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Take one measurement; never raises."""
        try:
            if isinstance(amount, int | float) and self._least <= amount < LIMIT:
                self._write(amount, self.resolver.resolve(attributes), context)
            else:
                self.report("invalid_amount", no_amount(amount, self._instrument))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def record_together(self, changes: Sequence[Change], *, later: bool) -> None:
        """Take measurements that belong together; see Recorder."""
        (self._cut.defer if later else self._cut.apply)(changes)

    def prepare(self, changes: Sequence[Change]) -> Prepared | None:  # noqa: ARG002 - the API resolves at each call
        """Return None: nothing can be prepared here."""
        return None

    def bind(self, attributes: Attributes) -> Callable[[float], None]:
        """Return what records with these attributes; see Recorder."""
        return partial(self.record, attributes=attributes)

    def forget(self, attributes: Attributes) -> None:
        """Do nothing: a series of the SDK's stays."""

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement."""
        self._problems.report(self._instrument, reason, what, attribute=attribute)


class ExpiringSums:
    """The sums of a counter whose series end: reported while in use, given up after `expiry` seconds without use.

    The SDK never removes a synchronous series, so these are kept here and observed.
    """

    def __init__(self, expiry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry = expiry
        self._clock = clock
        self._lock = threading.Lock()
        self._sums: dict[frozenset[tuple[str, AttributeValue]], tuple[float, float]] = {}
        self._gone: list[dict[str, AttributeValue]] = []
        self.release: Callable[[list[dict[str, AttributeValue]]], None] = lambda _: None
        """Called, at a collection, with the attributes of series that are given up."""

    def add(self, amount: float, attributes: dict[str, AttributeValue], _: Context | None) -> None:
        """Add to the sum of these attributes."""
        key = frozenset(attributes.items())
        with self._lock:
            before, _used = self._sums.get(key, (0, 0.0))
            self._sums[key] = (before + amount, self._clock())

    def clear(self) -> None:
        """Give up every sum."""
        with self._lock:
            self._sums.clear()

    def forget(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Give up the sums that have these attributes, among others."""
        with self._lock:
            self._give_up([key for key in self._sums if attributes.items() <= dict(key).items()])

    def _give_up(self, keys: list[frozenset[tuple[str, AttributeValue]]]) -> None:
        for key in keys:
            del self._sums[key]
            self._gone.append(dict(key))

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the sums in use; give up those that are not."""
        oldest = self._clock() - self._expiry
        with self._lock:
            self._give_up([key for key, (_, used) in self._sums.items() if used < oldest])
            gone, self._gone = self._gone, []
            if gone:
                self.release(gone)
            return [Observation(total, dict(key)) for key, (total, _) in self._sums.items()]


class ExpiringRecorder(SynchronousRecorder):
    """Records a counter whose series end."""

    def __init__(self, instrument: Synchronous, sums: ExpiringSums, shared: Shared) -> None:
        super().__init__(instrument, sums.add, shared)
        self._sums = sums

    def forget(self, attributes: Attributes) -> None:
        """Give up the series that have these attributes; their places are free from the next collection on."""
        try:
            self._sums.forget(self.resolver.resolve(attributes, take_place=False))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"forgetting failed: {shown(error)}")


class Observers:
    """Reads the sources of one observable instrument at every collection."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._instrument = instrument
        self._problems = shared.problems
        self._resolver = Resolver(instrument, shared)
        self._least = _least(instrument)
        self._sources: dict[object, tuple[Source, Attributes]] = {}

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection until it is stopped."""
        key = object()
        self._sources[key] = (source, attributes)

        def stop() -> None:
            self._sources.pop(key, None)

        return Observing(stop)

    def adopt(self, other: Observers) -> None:
        """Go on with the sources of another one: in a forked child, the parent's."""
        self._sources = other._sources

    def clear(self) -> None:
        """Give up every source."""
        self._sources.clear()

    def callback(self, _: CallbackOptions) -> Iterable[Observation]:
        """Read every source; one that raises is left out and reported."""
        return [observation for key in list(self._sources) for observation in self._read(key)]

    def _read(self, key: object) -> list[Observation]:
        source, attributes = self._sources.get(key, (lambda: None, {}))
        try:
            value = source()
            if value is None:
                return []
            points = [(value, {})] if isinstance(value, int | float) else value
            return [
                Observation(v, self._resolver.resolve({**attributes, **own})) for v, own in points if self._is_amount(v)
            ]
        except Exception as error:  # noqa: BLE001 - one broken source must not cost the whole collection
            self._problems.report(self._instrument, "source_failed", f"a source failed: {shown(error)}")
            return []

    def _is_amount(self, value: float) -> bool:
        if isinstance(value, int | float) and self._least <= value < LIMIT:
            return True
        self._problems.report(self._instrument, "invalid_amount", no_amount(value, self._instrument))
        return False


def _least(instrument: Instrument) -> float:
    """Return the least amount that an instrument takes. Every comparison with NaN is false, so it is out as well."""
    return 0.0 if isinstance(instrument, Counter | Histogram | ObservableCounter) else -LIMIT


def no_amount(value: object, instrument: Instrument) -> str:
    """Say that a value is none that can be recorded."""
    return f"{shown(value)} is no amount for a {type(instrument).__name__}; it is left out"
