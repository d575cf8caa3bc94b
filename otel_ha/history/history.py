"""History: the last collections of this process, and the values derived from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, TypeVar

from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.declare.ports import AttributeValue
from otel_ha.errors import TelemetryError, UndeclaredError
from otel_ha.history import derive
from otel_ha.history.derive import Span
from otel_ha.history.metrics import BusinessMetrics, PerformanceMetrics, SystemMetrics
from otel_ha.history.store import Moment, Store
from otel_ha.record.journal.increases import Increase
from otel_ha.turn import Turn, giving_way

T = TypeVar("T")

_LEAST_FOR_CPU = 1.0
"""Minimum seconds for CPU utilization: the host counts CPU time in hundredths of a second."""


@dataclass(frozen=True, slots=True)
class Interval:
    """System, performance and business metrics of an interval; start and end are in seconds since the epoch."""

    start: float
    end: float
    system: SystemMetrics
    performance: PerformanceMetrics
    business: BusinessMetrics


class History:
    """The last `length` collections of the given instruments, one every `interval` seconds.

    Methods may be called from any thread. They take some milliseconds, `collect` as long as the sources that it reads;
    in an event loop, call them with ``asyncio.to_thread``. A window is in seconds, ends with the newest collection, and
    is at most as long as the stored history.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        length: int,
        interval: float,
        now: Callable[[], Moment] = Moment.now,
    ) -> None:
        self.length = length
        self.interval = interval
        self.now = now
        self._names = {instrument.name for instrument in instruments}
        self.store = Store(instruments, length, now())
        self._turn = Turn()
        self._is_storing = False
        self._collect: Callable[[], object] = lambda: None

    def connect(self, collect: Callable[[], object]) -> None:
        """Set the function that collect() calls, which collects into take(); the reader calls this."""
        self._collect = collect

    def take(self, metrics: Iterable[Any], increases: Iterable[Increase], *, provisional: bool) -> None:
        """Store a collection; the reader calls this."""
        with self._turn.taken():
            self._is_storing = True
            try:
                self.store.take(self.now(), metrics, increases, provisional=provisional)
            finally:
                self._is_storing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Store nothing during the block, so that all answers in it are those of the same collections.

        Raises TelemetryError in a signal handler that interrupts this thread while it stores a collection.
        """
        with self._turn.taken() as is_outermost:
            if self._is_storing:
                raise TelemetryError("a signal handler that interrupts a collection cannot read it; try again later")
            try:
                yield
            finally:
                if is_outermost:
                    self.store.forget_distributions()

    def collect(self) -> None:
        """Collect now. The next regular collection replaces this one."""
        self._collect()

    @property
    def timestamps(self) -> list[float]:
        """Times of the start and of each collection, in seconds since the epoch."""
        with self.reading():
            return [moment.timestamp for moment in self.store.moments]

    def seconds(self, window: float | None = None) -> float:
        """Return the actual length of a window, in seconds."""
        with self.reading():
            return self.over(window).seconds

    def totals(self, instrument: Instrument, by: Attribute | None = None, **where: AttributeValue) -> dict[str, float]:
        """Return the newest values of an instrument, added up by the values of an attribute (by "" without one).

        A histogram's value is its count. `where` selects series by keyword. Raises TelemetryError for an instrument or
        attribute that is not declared.
        """
        self._check(instrument, by, where)
        with self.reading():
            return self.store.latest(instrument, by, where)

    def increase(
        self, instrument: Instrument, window: float | None = None, by: Attribute | None = None, **where: AttributeValue
    ) -> dict[str, float]:
        """Return the increase of a counter or histogram within a window, like totals()."""
        self._check(instrument, by, where)
        with self.reading():
            return self.over(window).of(instrument, by, **where)

    def rate(self, instrument: Instrument, window: float | None = None, **where: AttributeValue) -> float:
        """Return the increase of a counter or histogram per second within a window; resets are accounted for."""
        self._check(instrument, None, where)
        with self.reading():
            span = self.over(window)
            return derive.share(span.increase(instrument, **where), span.seconds)

    def mean(self, histogram: Histogram, window: float | None = None, **where: AttributeValue) -> float:
        """Return the mean of a histogram's values within a window, in its unit."""
        self._check(histogram, None, where)
        _check_histogram(histogram)
        with self.reading():
            span = self.over(window)
            return derive.share(span.sum_increase(histogram, **where), span.increase(histogram, **where))

    def quantile(
        self, share: float, histogram: Histogram, window: float | None = None, **where: AttributeValue
    ) -> float:
        """Return the value that this share of a histogram's values within a window does not exceed, in its unit.

        It is within 3 % of the exact value; if measurements go through the OpenTelemetry API (see
        docs/architecture/recording.md), it is as precise as the exported buckets allow.
        """
        self._check(histogram, None, where)
        _check_histogram(histogram)
        if not 0 <= share <= 1:
            raise TelemetryError(f"share is {share}; allowed: a number from 0 to 1, such as 0.95")
        with self.reading():
            (value,) = self.over(window).quantiles(histogram, (share,), **where)
            return value

    def system(self, window: float | None = None) -> SystemMetrics:
        """Return the system metrics; without a window, those of disks and network are since the host started."""
        with self.reading():
            end = len(self.store.moments) - 1
            start = None if window is None else self.store.start_of(window)
            return self._system(start, end, self.store.start_of(_LEAST_FOR_CPU, slack=0) if start is None else start)

    def performance(self, window: float | None = None) -> PerformanceMetrics:
        """Return the performance metrics within a window; without one, over the stored history."""
        with self.reading():
            return derive.performance(self.over(window))

    def business(self, window: float | None = None) -> BusinessMetrics:
        """Return the business metrics within a window; without one, since telemetry started."""
        with self.reading():
            start = None if window is None else self.store.start_of(window)
            return derive.business(Span(self.store, start, len(self.store.moments) - 1))

    def intervals(self) -> list[Interval]:
        """Return the metrics at each stored collection, oldest first, without events by entity.

        Performance metrics are those of the interval before the collection; totals are since telemetry started. If
        collect() took the newest one so soon after a regular one that a rate would mean little, it covers both.
        """
        with self.reading():
            return [
                self._interval(self._begin_of(end), end, totals=True)
                for end in giving_way(range(1, len(self.store.moments)))
            ]

    def at_each(self, figure: Callable[[Span], T]) -> list[T]:
        """Return the results of `figure` for each stored collection, oldest first; its span starts with telemetry."""
        with self.reading():
            return [figure(Span(self.store, None, end)) for end in range(1, len(self.store.moments))]

    def roll_up(self, period: float) -> list[Interval]:
        """Return the metrics of each period of `period` seconds (60: from full minute to full minute), oldest first.

        A collection belongs to the period in which it was taken; if the clock was set back, to the period of the
        previous one, so that no period occurs twice. The first and the last period may be incomplete.
        """
        if not period > 0:
            raise TelemetryError(f"period is {period}; allowed: more than 0 seconds, such as 60")
        with self.reading():
            moments = self.store.moments
            begun = list(accumulate((moment.timestamp // period for moment in moments), max))
            periods = [list(numbers) for _, numbers in groupby(range(1, len(moments)), key=begun.__getitem__)]
            return [self._interval(each[0] - 1, each[-1], totals=False) for each in giving_way(periods)]

    def _begin_of(self, end: int) -> int:
        """Return the collection with which the interval before a collection begins."""
        moments = self.store.moments
        is_now = self.store.is_provisional and end == len(moments) - 1
        is_short = is_now and moments[end].clock - moments[end - 1].clock < self.interval / 2
        return end - 2 if is_short and end > 1 else end - 1

    def _interval(self, start: int, end: int, *, totals: bool) -> Interval:
        moments = self.store.moments
        whole = None if totals else start
        first, last = moments[start], moments[end]
        # If the clock was set back meanwhile, its time at the beginning is later than that at the end.
        is_in_order = first.timestamp <= last.timestamp
        return Interval(
            first.timestamp if is_in_order else last.timestamp - (last.clock - first.clock),
            last.timestamp,
            self._system(whole, end, start),
            derive.performance(Span(self.store, start, end)),
            derive.business(Span(self.store, whole, end), entities=False),
        )

    def _system(self, start: int | None, end: int, cpu_start: int) -> SystemMetrics:
        # The host was not read at the start.
        first = 1 if self.store.began else 0
        return derive.system(Span(self.store, start, end), Span(self.store, max(cpu_start, min(first, end)), end))

    def since_start(self) -> Span:
        """Return the span since telemetry started, to be used within reading()."""
        return Span(self.store, None, len(self.store.moments) - 1)

    def over(self, window: float | None = None) -> Span:
        """Return the span of a window; without one, that of the stored collections. To be used within reading()."""
        start = 0 if window is None else self.store.start_of(window)
        return Span(self.store, start, len(self.store.moments) - 1)

    def _check(self, instrument: Instrument, by: Attribute | None, where: dict[str, AttributeValue]) -> None:
        if instrument.name not in self._names:
            raise UndeclaredError(
                f"{instrument.name!r} is not in the catalog of telemetry; add it to setup_telemetry(catalog=…)"
            )
        _check_attributes(instrument, by, where)


def _check_attributes(instrument: Instrument, by: Attribute | None, where: dict[str, AttributeValue]) -> None:
    keywords = {attribute.keyword for attribute in instrument.attributes}
    unknown = [keyword for keyword in where if keyword not in keywords]
    if by is not None and by not in instrument.attributes:
        unknown.append(by.keyword if isinstance(by, Attribute) else str(by))
    if unknown:
        declared = ", ".join(sorted(keywords)) or "none"
        raise TelemetryError(f"{instrument.name!r} has no attribute {unknown[0]!r} (declared: {declared})")


def _check_histogram(instrument: Instrument) -> None:
    if not isinstance(instrument, Histogram):
        raise TelemetryError(f"{instrument.name!r} is not a histogram: it has no quantiles and no mean; use rate()")
