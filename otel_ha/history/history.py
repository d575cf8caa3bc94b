"""History: the last collections of this process, and the figures that follow from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, TypeVar

from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.declare.ports import AttributeValue
from otel_ha.errors import TelemetryError
from otel_ha.history import derive
from otel_ha.history.derive import Span
from otel_ha.history.metrics import BusinessMetrics, PerformanceMetrics, SystemMetrics
from otel_ha.history.store import Moment, Store
from otel_ha.record.journal.increases import Increase

T = TypeVar("T")

_SLACK = 0.5
"""Seconds by which a window may be shorter than asked for: collections are not taken to the millisecond."""
_LEAST_FOR_CPU = 1.0
"""Seconds that CPU use is taken over at the least: the host counts in hundredths."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The three metrics of one interval, and its start and end in seconds since the epoch."""

    start: float
    end: float
    system: SystemMetrics
    performance: PerformanceMetrics
    business: BusinessMetrics


class History:
    """The last `length` collections, one every `interval` seconds, of the instruments of a catalog.

    Every method may be called from any thread. Those that return figures take some milliseconds, `collect` as long as
    the sources that it reads; in an event loop, call them by ``asyncio.to_thread``. A window is in seconds, ends with
    the newest collection, and is as long as what is kept, at the most.
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
        self._now = now
        self._names = {instrument.name for instrument in instruments}
        self.store = Store(instruments, length, now())
        self._lock = threading.Lock()
        self._collect: Callable[[], object] = lambda: None

    def connect(self, collect: Callable[[], object]) -> None:
        """Let collect() call this function, which collects into take(); the reader calls this."""
        self._collect = collect

    def take(self, metrics: Iterable[Any], increases: Iterable[Increase], *, provisional: bool) -> None:
        """Store a collection; the reader calls this."""
        with self._lock:
            self.store.take(self._now(), metrics, increases, provisional=provisional)

    def collect(self) -> None:
        """Collect now. The regular collections go on as they would: the next one takes the place of this one."""
        self._collect()

    @property
    def timestamps(self) -> list[float]:
        """When it began and when each collection was taken, in seconds since the epoch."""
        with self._lock:
            return [moment.timestamp for moment in self.store.moments]

    def seconds(self, window: float | None = None) -> float:
        """Return how long a window is in fact, in seconds."""
        with self._lock:
            return self._over(window).seconds

    def totals(self, instrument: Instrument, by: Attribute | None = None, **where: AttributeValue) -> dict[str, float]:
        """Return the newest values of an instrument, added up by the values of an attribute (by "" without one).

        Of a histogram it is the count. `where` chooses series by keyword. Raises TelemetryError for an instrument or
        attribute that is not kept.
        """
        self._check(instrument, by, where)
        with self._lock:
            return self.store.latest(instrument, by, where)

    def increase(
        self, instrument: Instrument, window: float | None = None, by: Attribute | None = None, **where: AttributeValue
    ) -> dict[str, float]:
        """Return what a counter or histogram counted within a window, like totals()."""
        self._check(instrument, by, where)
        with self._lock:
            return self._over(window).of(instrument, by, **where)

    def rate(self, instrument: Instrument, window: float | None = None, **where: AttributeValue) -> float:
        """Return what a counter or histogram counted per second within a window, right across resets."""
        self._check(instrument, None, where)
        with self._lock:
            span = self._over(window)
            return derive.share(span.increase(instrument, **where), span.seconds)

    def mean(self, histogram: Histogram, window: float | None = None, **where: AttributeValue) -> float:
        """Return the mean of what a histogram recorded within a window, in its unit."""
        self._check(histogram, None, where)
        self._check_distribution(histogram)
        with self._lock:
            span = self._over(window)
            return derive.share(span.sum_increase(histogram, **where), span.increase(histogram, **where))

    def quantile(
        self, share: float, histogram: Histogram, window: float | None = None, **where: AttributeValue
    ) -> float:
        """Return the value that this share of what a histogram recorded within a window does not exceed, in its unit.

        Within 3 % of the exact one; where each measurement goes through the OpenTelemetry API (see
        docs/architecture.md), as near as the exported buckets allow.
        """
        self._check(histogram, None, where)
        self._check_distribution(histogram)
        if not 0 <= share <= 1:
            raise TelemetryError(f"a quantile is asked for by a share from 0 to 1, not {share}")
        with self._lock:
            (value,) = self._over(window).quantiles(histogram, (share,), **where)
            return value

    def system(self, window: float | None = None) -> SystemMetrics:
        """Return how the host fares; without a window disks and network since the host started."""
        with self._lock:
            end = len(self.store.moments) - 1
            start = None if window is None else self._start(window)
            return self._system(start, end, self._start(_LEAST_FOR_CPU, slack=0) if start is None else start)

    def performance(self, window: float | None = None) -> PerformanceMetrics:
        """Return how the work fares, over all that is kept without a window."""
        with self._lock:
            return derive.performance(self._over(window))

    def business(self, window: float | None = None) -> BusinessMetrics:
        """Return what became of the events, since telemetry began without a window."""
        with self._lock:
            start = None if window is None else self._start(window)
            return derive.business(Span(self.store, start, len(self.store.moments) - 1))

    def intervals(self) -> list[Interval]:
        """Return the figures of each collection that is kept, oldest first.

        The work's are those of the interval before it; totals are totals. Events are not told apart by entity here.
        """
        with self._lock:
            return [self._figures(end - 1, end, totals=True) for end in range(1, len(self.store.moments))]

    def at_each(self, figure: Callable[[Span], T]) -> list[T]:
        """Return a figure of one's own for each collection that is kept, from all until then, oldest first."""
        with self._lock:
            return [figure(Span(self.store, None, end)) for end in range(1, len(self.store.moments))]

    def roll_up(self, period: float) -> list[Interval]:
        """Return the figures of each period of so many seconds (60: from full minute to full minute), oldest first.

        A collection belongs to the period that it was taken in; where the clock was set back, to that of the one before
        it, so that no period comes twice. The first and the last period may be incomplete.
        """
        if not period > 0:
            raise TelemetryError(f"a period is longer than 0 s, not {period}")
        with self._lock:
            moments = self.store.moments
            begun = list(accumulate((moment.timestamp // period for moment in moments), max))
            periods = [list(numbers) for _, numbers in groupby(range(1, len(moments)), key=begun.__getitem__)]
            return [self._figures(each[0] - 1, each[-1], totals=False) for each in periods]

    def _figures(self, start: int, end: int, *, totals: bool) -> Interval:
        moments = self.store.moments
        whole = None if totals else start
        return Interval(
            moments[start].timestamp,
            moments[end].timestamp,
            self._system(whole, end, start),
            derive.performance(Span(self.store, start, end)),
            derive.business(Span(self.store, whole, end), entities=False),
        )

    def _system(self, start: int | None, end: int, cpu_start: int) -> SystemMetrics:
        # The host was not read at the moment at which everything began.
        first = 1 if self.store.began else 0
        return derive.system(Span(self.store, start, end), Span(self.store, max(cpu_start, min(first, end)), end))

    def _over(self, window: float | None) -> Span:
        start = 0 if window is None else self._start(window)
        return Span(self.store, start, len(self.store.moments) - 1)

    def _start(self, window: float, slack: float = _SLACK) -> int:
        """Return the number of the collection that a window starts with: the last one that is old enough."""
        moments = self.store.moments
        newest = moments[-1].clock
        old_enough = [n for n, moment in enumerate(moments) if newest - moment.clock >= window - slack]
        return min(old_enough[-1] if old_enough else 0, max(len(moments) - 2, 0))

    @staticmethod
    def _check_distribution(instrument: Instrument) -> None:
        if not isinstance(instrument, Histogram):
            raise TelemetryError(f"{instrument.name!r} is no histogram, and has neither quantiles nor a mean")

    def _check(self, instrument: Instrument, by: Attribute | None, where: dict[str, AttributeValue]) -> None:
        if instrument.name not in self._names:
            raise TelemetryError(f"{instrument.name!r} is not in the catalog that telemetry was set up with")
        keywords = {attribute.keyword for attribute in instrument.attributes}
        unknown = [keyword for keyword in where if keyword not in keywords]
        if by is not None and by not in instrument.attributes:
            unknown.append(by.keyword if isinstance(by, Attribute) else str(by))
        if unknown:
            declared = ", ".join(sorted(keywords)) or "none"
            raise TelemetryError(f"{instrument.name!r} has no attribute {unknown[0]!r} (declared: {declared})")
