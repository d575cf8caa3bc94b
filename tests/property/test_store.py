"""The store agrees with the raw measurements, journalled or not, while other readers collect."""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import attach, detach
from opentelemetry.sdk.metrics.view import View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ha import Attribute, Catalog, Counter, Gauge, Histogram, UpDownCounter
from otel_ha.history.distribution import packed, unpacked
from otel_ha.record.journal.recorder import JournalRecorder
from otel_ha.vocabulary import runtime
from tests.history import Run, run
from tests.recorded import MemoryReader

ROOM = Attribute("test.room", "A room.")


def counter(name: str) -> Counter:
    return Counter(name, unit="{thing}", description="Things.", attributes=(ROOM,))


def level(name: str) -> UpDownCounter:
    return UpDownCounter(name, unit="{thing}", description="A level.", attributes=(ROOM,))


def histogram(name: str) -> Histogram:
    return Histogram(name, unit="m", description="Widths.", attributes=(ROOM,), buckets=(0.5, 1.0, 2.5))


BOUND = {"add": counter("test.things"), "change": level("test.level"), "record": histogram("test.width")}
UNBOUND = {"add": counter("test.api.things"), "change": level("test.api.level"), "record": histogram("test.api.width")}
HEAT = Gauge("test.heat", unit="Cel", description="Heat.", attributes=(ROOM,))
CATALOG = Catalog(*BOUND.values(), *UNBOUND.values(), HEAT, runtime.RECORDING_PROBLEMS)
VIEWS = (View(instrument_name="test.api.*"),)
"""Views that change nothing except that matching instruments are recorded through the API."""

SAMPLED = NonRecordingSpan(SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))


@dataclass
class Scenario:
    """A history, and the measurements recorded in it."""

    run: Run
    readers: list[MemoryReader] = field(default_factory=list)
    recorded: list[tuple[str, float, object]] = field(default_factory=list)
    heat: dict[object, float] = field(default_factory=dict)
    collections: list[int] = field(default_factory=list)
    """The number of measurements before each regular collection."""

    def record(self, kind: str, amount: float, room: object, sampled: bool) -> None:  # noqa: FBT001 - drawn
        with in_a_span() if sampled else nullcontext():
            for instruments in (BOUND, UNBOUND):
                verb: Any = instruments[kind].record if kind == "record" else instruments[kind].add
                verb(amount, room=room)
        self.recorded.append((kind, amount, room))

    def warm(self, amount: float, room: object) -> None:
        HEAT.set(amount, room=room)
        self.heat[room] = amount

    def look(self) -> None:
        self.run.history.collect()

    def collect(self) -> None:
        self.run.collect(10)
        self.collections.append(len(self.recorded))

    def join(self) -> None:
        self.readers.append(MemoryReader())
        self.readers[-1].gate = self.run.gate
        self.run.pipeline.provider.add_metric_reader(self.readers[-1])

    def leave(self) -> None:
        if self.readers:
            self.run.pipeline.provider.remove_metric_reader(self.readers.pop())

    def scrape(self) -> None:
        for reader in self.readers:
            reader.collected()

    def amounts(self, kind: str, start: int = 0, end: int | None = None) -> list[tuple[float, object]]:
        return [(amount, room) for each, amount, room in self.recorded[start:end] if each == kind]


class in_a_span:  # noqa: N801 - reads as what it does
    """Run the block in a sampled span."""

    def __enter__(self) -> None:
        self.token = attach(set_span_in_context(SAMPLED))

    def __exit__(self, *_: object) -> None:
        detach(self.token)


ROOMS = st.sampled_from(["hall", "kitchen", "1", None])
AMOUNTS = st.integers(0, 1000) | st.floats(1e-3, 1e3)
RECORD = st.tuples(st.just("record"), st.sampled_from(("add", "record")), AMOUNTS, ROOMS, st.booleans())
CHANGE = st.tuples(st.just("record"), st.just("change"), st.integers(-9, 9), ROOMS, st.booleans())
WARM = st.tuples(st.just("warm"), st.floats(-50, 50), ROOMS)
READ = st.tuples(st.sampled_from(("look", "look", "collect", "collect", "scrape", "join", "leave")))
STEPS = st.lists(st.one_of(RECORD, RECORD, CHANGE, WARM, READ, READ), max_size=40)


def sums(amounts: list[tuple[float, object]], *, counts: bool = False) -> dict[str, Any]:
    """Return the sum or the count of the amounts of each room."""
    found: dict[str, float] = defaultdict(float)
    for amount, room in amounts:
        found["" if room is None else str(room)] += 1 if counts else amount
    return {room: pytest.approx(total, abs=1e-6) for room, total in found.items()}


@given(STEPS)
def test_the_store_agrees_with_the_measurements_on_both_ways(steps: list[tuple[Any, ...]]) -> None:
    with run(catalog=CATALOG, views=VIEWS) as recorded:
        assert all(isinstance(each.recorder, JournalRecorder) for each in BOUND.values())
        assert not any(isinstance(each.recorder, JournalRecorder) for each in UNBOUND.values())
        scenario = Scenario(recorded)
        for verb, *arguments in steps:
            getattr(scenario, verb)(*arguments)
        scenario.collect()
        history = recorded.history
        for ways in (BOUND, UNBOUND):
            things, change, width = ways["add"], ways["change"], ways["record"]
            widths = scenario.amounts("record")
            assert history.totals(things, ROOM) == sums(scenario.amounts("add"))
            assert history.totals(change, ROOM) == sums(scenario.amounts("change"))
            assert history.totals(width, ROOM) == sums(widths, counts=True)
            assert isinstance(width, Histogram)
            assert history.mean(width) * len(widths) == pytest.approx(sum(amount for amount, _ in widths))
            if ways is BOUND:
                assert history.quantile(0.5, width) == pytest.approx(median(widths), rel=0.03, abs=1e-3)
            totals = history.at_each(lambda span, of=things: span.total(of))
            assert totals == [total(scenario.amounts("add", 0, end)) for end in scenario.collections]
            last = scenario.amounts("record", *[0, *scenario.collections][-2:])
            increases = history.increase(width, 10, ROOM)
            assert {room: increase for room, increase in increases.items() if increase} == sums(last, counts=True)
        assert history.totals(HEAT, ROOM) == sums([(heat, room) for room, heat in scenario.heat.items()])


def median(amounts: list[tuple[float, object]]) -> float:
    ascending = sorted(amount for amount, _ in amounts)
    return ascending[(len(ascending) + 1) // 2 - 1] if ascending else 0.0


def total(amounts: list[tuple[float, object]]) -> Any:
    return pytest.approx(math.fsum(amount for amount, _ in amounts), abs=1e-6)


@given(st.dictionaries(st.integers(0, 2**16), st.integers(1, 2**63)))
def test_packed_increases_are_unpacked_unchanged(increases: dict[int, int]) -> None:
    assert unpacked(packed(increases)) == increases
