"""The metrics of the history agree with those computed from the raw events."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otel_ha.declare.instruments import Observable
from otel_ha.vocabulary import ingest, runtime
from tests.history import Run, run

SOURCES, DOMAINS = ("mqtt", "websocket"), ("light", "sensor")
MB = 1024 * 1024


@dataclass(frozen=True)
class Processed:
    source: str
    domain: str
    seconds: float
    outcome: str

    def record(self) -> None:
        ingest.RECEIVED.add(1, source=self.source)
        ingest.EVENT_DURATION.record(self.seconds, source=self.source, domain=self.domain, outcome=self.outcome)
        ingest.ENTITY_EVENTS.add(1, entity=f"{self.domain}.one", domain=self.domain)


@dataclass(frozen=True)
class Discarded:
    source: str
    reason: str

    def record(self) -> None:
        ingest.RECEIVED.add(1, source=self.source)
        ingest.DISCARDED.add(1, source=self.source, reason=self.reason)


@dataclass(frozen=True)
class Waiting:
    source: str

    def record(self) -> None:
        ingest.EVENT.receive(source=self.source)


@dataclass(frozen=True)
class Written:
    points: int
    outcome: str

    def record(self) -> None:
        ingest.POINTS_WRITTEN.add(self.points, sink="file", measurement="light", outcome=self.outcome)


@dataclass(frozen=True)
class Transformed:
    outcome: str

    def record(self) -> None:
        ingest.TRANSFORM_DURATION.record(0.001, transformer="line_protocol", outcome=self.outcome)


@dataclass(frozen=True)
class Came:
    size: int

    def record(self) -> None:
        ingest.DATA_RECEIVED.add(self.size, source="mqtt", type="state")


@dataclass(frozen=True)
class Connected:
    change: int

    def record(self) -> None:
        ingest.CONNECTIONS.add(self.change, kind="mqtt")


OUTCOMES = st.sampled_from(("ok", "error", "cancelled"))
DURATIONS = st.floats(1e-6, 1e3)
EVENTS = st.one_of(
    st.builds(Processed, st.sampled_from(SOURCES), st.sampled_from(DOMAINS), DURATIONS, OUTCOMES),
    st.builds(Discarded, st.sampled_from(SOURCES), st.sampled_from(("filtered", "duplicate", "invalid"))),
    st.builds(Waiting, st.sampled_from(SOURCES)),
    st.builds(Written, st.integers(0, 1000), st.sampled_from(("ok", "error"))),
    st.builds(Transformed, OUTCOMES),
    st.builds(Came, st.integers(0, 10 * MB)),
    st.builds(Connected, st.integers(-2, 3)),
)


@dataclass(frozen=True)
class Interval:
    """The events between two collections, `seconds` apart; a provisional collection precedes each event in `looks`."""

    seconds: int
    events: list[Any]
    looks: set[int] = field(default_factory=set)

    def happen(self, to: Run) -> None:
        for number, event in enumerate(self.events):
            if number in self.looks:
                to.history.collect()
            event.record()
        to.collect(self.seconds)


INTERVALS = st.lists(
    st.builds(Interval, st.integers(1, 60), st.lists(EVENTS, max_size=30), st.sets(st.integers(0, 30), max_size=2)),
    min_size=1,
    max_size=5,
)


def of(kind: type, intervals: list[Interval]) -> list[Any]:
    return [event for interval in intervals for event in interval.events if isinstance(event, kind)]


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def rank(values: list[float], quantile: float) -> float:
    """Return the exact quantile: the value of rank ceil(quantile * count)."""
    return sorted(values)[max(math.ceil(quantile * len(values)), 1) - 1] if values else 0.0


@given(INTERVALS, st.integers(1, 6))
def test_performance_agrees_with_the_raw_events(intervals: list[Interval], last: int) -> None:
    with run() as recorded:
        for interval in intervals:
            interval.happen(recorded)
        window = intervals[-last:]
        seconds = sum(interval.seconds for interval in window)
        found = recorded.history.performance(seconds)

    times = [event.seconds for event in of(Processed, window)]
    points = sum(event.points for event in of(Written, window) if event.outcome == "ok")
    errors = sum(event.outcome == "error" for event in of(Processed, window))
    assert found.event_processing_rate == pytest.approx(len(times) / seconds)
    assert found.average_processing_time == pytest.approx(1e3 * share(sum(times), len(times)))
    assert found.p50_processing_time == pytest.approx(1e3 * rank(times, 0.50), rel=0.03)
    assert found.p95_processing_time == pytest.approx(1e3 * rank(times, 0.95), rel=0.03)
    assert found.p99_processing_time == pytest.approx(1e3 * rank(times, 0.99), rel=0.03)
    assert found.error_rate == pytest.approx(share(errors, len(times)))
    assert found.throughput_points_per_second == pytest.approx(points / seconds)
    assert found.events_in_flight == len(of(Waiting, intervals))
    assert found.active_connections == sum(event.change for event in of(Connected, intervals))
    assert found.timestamp == 1e9 + sum(interval.seconds for interval in intervals)


def business_of(events: list[Interval]) -> dict[str, Any]:
    """Return the business metrics, computed from the raw events."""
    processed, discarded, transformed = of(Processed, events), of(Discarded, events), of(Transformed, events)
    received = len(processed) + len(discarded) + len(of(Waiting, events))
    return {
        "total_events_processed": len(processed),
        "events_by_domain": dict(Counter(event.domain for event in processed)),
        "events_by_source": dict(Counter(event.source for event in processed)),
        "data_points_written": sum(event.points for event in of(Written, events) if event.outcome == "ok"),
        "data_volume_mb": sum(event.size for event in of(Came, events)) / MB,
        "deduplication_rate": share(sum(event.reason == "duplicate" for event in discarded), received),
        "filter_efficiency": share(sum(event.reason == "filtered" for event in discarded), received),
        "transformation_success_rate": share(sum(event.outcome == "ok" for event in transformed), len(transformed)),
    }


def agrees(metrics: Any, expected: dict[str, Any]) -> bool:
    """Assert that the metrics have the expected values."""
    for name, value in expected.items():
        found = getattr(metrics, name)
        assert found == (pytest.approx(value) if isinstance(value, float) else value), name
    return True


@given(INTERVALS, st.integers(1, 6))
def test_business_agrees_with_the_raw_events(intervals: list[Interval], last: int) -> None:
    with run() as recorded:
        for interval in intervals:
            interval.happen(recorded)
        window = intervals[-last:]
        since_start = recorded.history.business()
        windowed = recorded.history.business(sum(interval.seconds for interval in window))

    for found, happened in ((since_start, intervals), (windowed, window)):
        expected = business_of(happened)
        assert agrees(found, expected)
        assert found.events_by_entity == {f"{d}.one": n for d, n in expected["events_by_domain"].items()}


@given(INTERVALS)
def test_each_interval_agrees_with_its_raw_events(intervals: list[Interval]) -> None:
    with run() as recorded:
        for interval in intervals:
            interval.happen(recorded)
        found = recorded.history.intervals()

    assert len(found) == len(intervals)
    for number, (metrics, interval) in enumerate(zip(found, intervals, strict=True), start=1):
        times = [event.seconds for event in of(Processed, [interval])]
        expected = business_of(intervals[:number])
        assert metrics.end - metrics.start == interval.seconds
        assert metrics.performance.event_processing_rate == pytest.approx(len(times) / interval.seconds)
        assert metrics.performance.p95_processing_time == pytest.approx(1e3 * rank(times, 0.95), rel=0.03)
        assert agrees(metrics.business, expected)


@given(INTERVALS, st.sampled_from((60, 300, 3600)))
def test_roll_ups_agree_with_the_raw_events_of_each_period(intervals: list[Interval], period: int) -> None:
    with run() as recorded:
        for interval in intervals:
            interval.happen(recorded)
        rolled_up = recorded.history.roll_up(period)

    by_period: dict[float, list[Interval]] = {}
    taken = 1e9
    for interval in intervals:
        taken += interval.seconds
        by_period.setdefault(taken // period, []).append(interval)
    assert len(rolled_up) == len(by_period)
    for metrics, of_period in zip(rolled_up, by_period.values(), strict=True):
        expected = business_of(of_period)
        times = [event.seconds for event in of(Processed, of_period)]
        seconds = sum(interval.seconds for interval in of_period)
        assert metrics.end - metrics.start == seconds
        assert agrees(metrics.business, expected)
        assert metrics.performance.event_processing_rate == pytest.approx(len(times) / seconds)
        assert metrics.performance.p99_processing_time == pytest.approx(1e3 * rank(times, 0.99), rel=0.03)


@given(INTERVALS, st.integers(1, 3))
def test_only_collections_beyond_the_length_are_forgotten(intervals: list[Interval], length: int) -> None:
    with run(length) as recorded:
        for interval in intervals:
            interval.happen(recorded)
        found = recorded.history.performance()
        totals = recorded.history.business()

    stored = intervals[-length:]
    times = [event.seconds for event in of(Processed, stored)]
    seconds = sum(interval.seconds for interval in stored)
    assert found.event_processing_rate == pytest.approx(len(times) / seconds)
    assert found.p99_processing_time == pytest.approx(1e3 * rank(times, 0.99), rel=0.03)
    assert agrees(totals, business_of(intervals))


@given(st.lists(DURATIONS, min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_three_per_cent_of_the_exact_one(times: list[float], quantile: float) -> None:
    with run() as recorded:
        for seconds in times:
            ingest.EVENT_DURATION.record(seconds, source="mqtt", domain="light", outcome="ok")
        recorded.history.collect()
        found = recorded.history.quantile(quantile, ingest.EVENT_DURATION, source="mqtt")
    assert found == pytest.approx(rank(times, quantile), rel=0.03)


@given(st.lists(DURATIONS, min_size=1), st.floats(0, 1))
def test_through_the_api_a_quantile_lies_in_the_exported_bucket_of_the_exact_one(
    times: list[float], quantile: float
) -> None:
    with run(exemplar_filter="always_on") as recorded:
        for seconds in times:
            ingest.EVENT_DURATION.record(seconds, source="mqtt", domain="light", outcome="ok")
        recorded.history.collect()
        found = recorded.history.quantile(quantile, ingest.EVENT_DURATION)
    exact = rank(times, quantile)
    below = max((bound for bound in ingest.PROCESSING if bound < exact), default=0.0)
    above = min((bound for bound in ingest.PROCESSING if bound >= exact), default=below)
    assert below <= found <= above


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=10))
def test_the_increase_of_a_counter_is_right_across_resets(readings: list[int]) -> None:
    with run() as recorded:
        now = [0]
        runtime.SYSTEM_DISK_IO.observe(lambda: now[0], device="sda", direction="read")
        for reading in readings:
            now[0] = reading
            recorded.collect(10)
        increase = recorded.history.increase(runtime.SYSTEM_DISK_IO, direction="read")
        rate = recorded.history.rate(runtime.SYSTEM_DISK_IO, direction="read")

    # The host's count before the first reading is not part of the increase; after a reset, all of it is.
    expected = sum(now - before if now >= before else now for before, now in pairwise(readings))
    assert increase == {"": expected}
    assert rate == pytest.approx(expected / (10 * len(readings)))


MODES = ("idle", "iowait", "user", "system", "steal")
CPU_TIMES = st.lists(st.fixed_dictionaries(dict.fromkeys(MODES, st.floats(0, 30))), min_size=1, max_size=5)


def busy_percent(spent: list[dict[str, float]]) -> float:
    """Return the share of the time spent that was neither idle nor waiting for a disk, in %."""
    waiting = sum(of["idle"] + of["iowait"] for of in spent)
    return 100 * (1 - share(waiting, whole)) if (whole := sum(sum(of.values()) for of in spent)) else 0.0


@given(CPU_TIMES, st.floats(0.01, 0.99), st.floats(0, 1))
def test_system_metrics_agree_with_the_readings_of_the_host(
    spent: list[dict[str, float]], memory: float, disk: float
) -> None:
    assume(all(sum(of.values()) > 0.01 for of in spent))
    total = 8192 * MB
    now = dict.fromkeys(MODES, 1000.0)
    observed: tuple[tuple[Observable, Any], ...] = (
        (runtime.SYSTEM_CPU_TIME, lambda: [(now[mode], {"mode": mode, "logical_number": 0}) for mode in MODES]),
        (runtime.SYSTEM_MEMORY_USAGE, lambda: [(memory * total, {"state": "used"})]),
        (runtime.SYSTEM_MEMORY_UTILIZATION, lambda: [(memory, {"state": "used"})]),
        (runtime.SYSTEM_FILESYSTEM_UTILIZATION, lambda: [(disk, {"mountpoint": "/"}), (1.0, {"mountpoint": "/full"})]),
        (runtime.SYSTEM_NETWORK_IO, lambda: [(3 * MB, {"interface": "eth0", "direction": "transmit"})]),
        (runtime.SYSTEM_DISK_IO, lambda: [(5 * MB, {"device": "sda", "direction": "write"})]),
    )
    with run() as recorded:
        for instrument, source in observed:
            instrument.observe(source)
        recorded.collect(1)
        for of in spent:
            for mode in MODES:
                now[mode] += of[mode]
            recorded.collect(10)
        found = recorded.history.system(10 * len(spent))
        current = recorded.history.system()

    assert found.cpu_percent == pytest.approx(busy_percent(spent), abs=1e-3)
    assert current.cpu_percent == pytest.approx(busy_percent(spent[-1:]), abs=1e-3)
    assert current.memory_percent == pytest.approx(100 * memory)
    assert current.memory_used_mb == pytest.approx(memory * 8192)
    assert current.memory_available_mb == pytest.approx((1 - memory) * 8192)
    assert current.disk_usage_percent == pytest.approx(100 * disk)
    assert (current.network_io_sent_mb, current.disk_io_write_mb) == pytest.approx((3, 5))
    assert (found.network_io_sent_mb, found.disk_io_write_mb) == (0, 0)
