"""Derivation of system, performance and business metrics from the stored collections."""

from __future__ import annotations

from collections.abc import Iterable

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.declare.ports import AttributeValue
from otel_ha.history import events
from otel_ha.history.distribution import Distribution
from otel_ha.history.metrics import BusinessMetrics, PerformanceMetrics, SystemMetrics
from otel_ha.history.series import Series
from otel_ha.history.store import Store
from otel_ha.vocabulary import ingest, runtime

MB = 1024 * 1024
_QUANTILES = (0.5, 0.95, 0.99)


class Span:
    """The time between two collections or, if `start` is None, since telemetry started; with its metrics."""

    def __init__(self, store: Store, start: int | None, end: int) -> None:
        self._store = store
        self._start = start
        self._end = end
        self.moment = store.moments[end]

    @property
    def seconds(self) -> float:
        """The length of the span."""
        return self.moment.clock - self._store.moments[self._start or 0].clock

    def of(self, instrument: Instrument, by: Attribute | None = None, **where: AttributeValue) -> dict[str, float]:
        """Return the increase of an instrument (a histogram's count) in the span, by the values of an attribute."""
        if self._start is None:
            return self._store.latest(instrument, by, where, self._end)
        return self._store.increase(instrument, by, where, (self._start, self._end))

    def rows(self, instrument: Instrument, *by: Attribute, **where: AttributeValue) -> dict[tuple[str, ...], float]:
        """Return the increase of an instrument (a histogram's count) in the span, by the values of some attributes."""
        return self._store.rows(instrument, by, where, (self._start, self._end))

    def total(self, instrument: Instrument, **where: AttributeValue) -> float:
        """Return the increase of an instrument in the span."""
        return sum(self.of(instrument, None, **where).values())

    def at_end(self, instrument: Instrument, **where: AttributeValue) -> float:
        """Return the sum of an instrument's values at the end."""
        return sum(self._store.latest(instrument, None, where, self._end).values())

    def at_end_if_any(self, instrument: Instrument, unit: float = 1.0) -> float | None:
        """Return the sum of an instrument's values at the end, in multiples of a unit; None if it has no value."""
        found = self._store.latest(instrument, None, {}, self._end)
        return sum(found.values()) / unit if found else None

    def is_known_at_both_ends(self, instrument: Instrument) -> bool:
        """Whether an instrument has values at both ends of the stored collections."""
        return all(self._store.latest(instrument, None, {}, at) for at in (self._start or 0, self._end))

    def increase(self, instrument: Instrument, **where: AttributeValue) -> float:
        """Return the increase of an instrument within the stored collections."""
        return sum(self._store.increase(instrument, None, where, (self._start or 0, self._end)).values())

    def sum_increase(self, instrument: Instrument, **where: AttributeValue) -> float:
        """Return the increase of a histogram's sum within the stored collections."""
        return sum(self._store.increase(instrument, None, where, (self._start or 0, self._end), sums=True).values())

    def quantiles(
        self, instrument: Instrument, shares: Iterable[float] = _QUANTILES, **where: AttributeValue
    ) -> list[float]:
        """Return quantiles of a histogram within the stored collections, in its unit; 0 without measurements."""
        return self.distribution(instrument, **where).quantiles(shares)

    def distribution(self, instrument: Instrument, **where: AttributeValue) -> Distribution:
        """Return the distribution of a histogram's values within the stored collections."""
        return self._store.distribution(instrument, where, (self._start or 0, self._end))

    def series(self, instrument: Instrument) -> list[Series]:
        """Return the series that an instrument has at the end."""
        return self._store.at(instrument, self._end)

    def ages(self) -> tuple[int, int]:
        """Return the ages of the collections at the start and at the end; the newest one's is 0."""
        newest = len(self._store.moments) - 1
        return newest - (self._start or 0), newest - self._end

    def values(self, instrument: Instrument, by: Attribute) -> dict[str, float]:
        """Return an instrument's values at the end, by the values of an attribute."""
        return self._store.latest(instrument, by, {}, self._end)


def share(part: float, whole: float) -> float:
    """Return the ratio of a part to a whole; 0 if the whole is 0."""
    return part / whole if whole else 0.0


def performance(span: Span) -> PerformanceMetrics:
    """Return the performance metrics of a span."""
    by_outcome = span.of(ingest.EVENT_DURATION, ingest.OUTCOME)
    processed = sum(by_outcome.values())
    p50, p95, p99 = span.quantiles(ingest.EVENT_DURATION)
    lag = span.distribution(ingest.LAG_TO_WRITE)
    seconds = span.seconds
    return PerformanceMetrics(
        event_processing_rate=share(processed, seconds),
        average_processing_time=1e3 * share(span.sum_increase(ingest.EVENT_DURATION), processed),
        p50_processing_time=1e3 * p50,
        p95_processing_time=1e3 * p95,
        p99_processing_time=1e3 * p99,
        queue_depth=round(span.at_end(ingest.QUEUE_SIZE)),
        active_connections=round(span.at_end(ingest.CONNECTIONS)),
        events_in_flight=round(span.at_end(ingest.IN_FLIGHT)),
        error_rate=share(by_outcome.get("error", 0.0), processed),
        throughput_points_per_second=share(span.increase(ingest.POINTS_WRITTEN, outcome="ok"), seconds),
        timestamp=span.moment.timestamp,
        received_rate=share(span.increase(ingest.RECEIVED), seconds),
        discarded_rate=share(span.increase(ingest.DISCARDED), seconds),
        rates_by_outcome={name: share(number, seconds) for name, number in by_outcome.items() if name},
        p95_lag=None if lag.is_empty else 1e3 * lag.quantiles((0.95,))[0],
        queue_use=_queue_use(span),
        bytes_received_per_second=share(span.increase(ingest.DATA_RECEIVED), seconds),
        bytes_sent_per_second=share(span.increase(ingest.DATA_SENT), seconds),
    )


def business(span: Span, *, entities: bool = True) -> BusinessMetrics:
    """Return the business metrics of a span; events by entity, perhaps thousands, only with `entities`."""
    received = events.received(span.of)
    transformed = span.total(ingest.TRANSFORM_DURATION)
    return BusinessMetrics(
        total_events_processed=round(span.total(ingest.EVENT_DURATION)),
        events_by_domain=_counts(span.of(ingest.EVENT_DURATION, ingest.DOMAIN)),
        events_by_source=_counts(span.of(ingest.EVENT_DURATION, ingest.SOURCE)),
        events_by_entity=_counts(span.of(ingest.ENTITY_EVENTS, ingest.ENTITY)) if entities else {},
        data_points_written=round(span.total(ingest.POINTS_WRITTEN, outcome="ok")),
        data_volume_mb=span.total(ingest.DATA_RECEIVED) / MB,
        deduplication_rate=share(span.total(ingest.DISCARDED, reason="duplicate"), received),
        filter_efficiency=share(span.total(ingest.DISCARDED, reason="filtered"), received),
        transformation_success_rate=share(span.total(ingest.TRANSFORM_DURATION, outcome="ok"), transformed),
        timestamp=span.moment.timestamp,
    )


def system(span: Span, cpu: Span) -> SystemMetrics:
    """Return the system metrics of a span; CPU utilization needs a separate span, as its total is meaningless."""
    used = span.at_end(runtime.SYSTEM_MEMORY_USAGE, state="used")
    in_use = span.at_end(runtime.SYSTEM_MEMORY_UTILIZATION, state="used")
    return SystemMetrics(
        cpu_percent=_cpu_percent(cpu),
        memory_percent=100 * in_use,
        memory_used_mb=used / MB,
        memory_available_mb=share(used * (1 - in_use), in_use) / MB,
        disk_usage_percent=100 * _disk_usage(span),
        disk_io_read_mb=span.total(runtime.SYSTEM_DISK_IO, direction="read") / MB,
        disk_io_write_mb=span.total(runtime.SYSTEM_DISK_IO, direction="write") / MB,
        network_io_sent_mb=span.total(runtime.SYSTEM_NETWORK_IO, direction="transmit") / MB,
        network_io_recv_mb=span.total(runtime.SYSTEM_NETWORK_IO, direction="receive") / MB,
        container_memory_used_mb=span.at_end_if_any(runtime.CONTAINER_MEMORY_USAGE, MB),
        container_memory_limit_mb=span.at_end_if_any(runtime.CONTAINER_MEMORY_LIMIT, MB),
        container_cpu_limit=span.at_end_if_any(runtime.CONTAINER_CPU_LIMIT),
        process_cpu_percent=_process_cpu_percent(cpu),
        process_memory_mb=span.at_end_if_any(runtime.PROCESS_MEMORY_USAGE, MB),
        timestamp=span.moment.timestamp,
    )


def _cpu_percent(span: Span) -> float | None:
    """Return the share of CPU time that was neither idle nor waiting for a disk, in %; None until it is read twice.

    The whole is the time counted by the host, not the span: a reading may be older than its collection.
    """
    by_mode = span.of(runtime.SYSTEM_CPU_TIME, runtime.CPU_MODE)
    waiting = by_mode.get("idle", 0.0) + by_mode.get("iowait", 0.0)
    whole = sum(by_mode.values())
    return 100 * (1 - waiting / whole) if whole else None


def _process_cpu_percent(span: Span) -> float | None:
    """Return the CPU time of this process in % of one CPU; None unless it was read at both ends of the span."""
    if not span.seconds or not span.is_known_at_both_ends(runtime.PROCESS_CPU_TIME):
        return None
    return 100 * span.increase(runtime.PROCESS_CPU_TIME) / span.seconds


def _queue_use(span: Span) -> float | None:
    """Return the used share of the fullest queue; None if no queue has a capacity."""
    sizes = span.values(ingest.QUEUE_SIZE, ingest.QUEUE)
    capacities = span.values(ingest.QUEUE_CAPACITY, ingest.QUEUE)
    uses = [size / capacities[queue] for queue, size in sizes.items() if capacities.get(queue, 0) > 0]
    return max(uses, default=None)


def _disk_usage(span: Span) -> float:
    by_mountpoint = span.values(runtime.SYSTEM_FILESYSTEM_UTILIZATION, runtime.MOUNTPOINT)
    return by_mountpoint.get("/", max(by_mountpoint.values(), default=0.0))


def _counts(found: dict[str, float]) -> dict[str, int]:
    """Return whole numbers, without zeros and without the series that lack the attribute."""
    return {name: round(count) for name, count in found.items() if name and count}
