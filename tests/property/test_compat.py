"""Laws of the earlier API: with any arguments it neither raises nor lies, and an event is counted once."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    MetricsCollector,
    MetricsRegistry,
    PerformanceMonitor,
)
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.vocabulary import ha_ingestor, ingest
from tests import earlier


class Hostile:
    """An object whose every method raises."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __bool__(self) -> bool:
        raise RuntimeError("no")


garbage = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**310),
    st.floats(),
    st.text(max_size=12),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.builds(Hostile),
    st.just(math),
)
RECORDS = ("record_", "update_", "increment_", "observe_", "register_", "set_gauge", "collect_component", "clear_")
CALLS = [
    (cls, name)
    for cls in (PerformanceMonitor, HAIngestorCollector, EnhancedMetricsCollector, MetricsCollector, MetricsRegistry)
    for name in vars(cls)
    if name.startswith(RECORDS)
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # hundreds of problems, each the first of its kind
    yield
    logging.disable(logging.NOTSET)


@st.composite
def calls(draw: st.DrawFn) -> tuple[type, str, list[Any]]:
    cls, name = draw(st.sampled_from(CALLS))
    number = len(inspect.signature(getattr(cls, name)).parameters) - 1
    return cls, name, [draw(garbage) for _ in range(number)]


@settings(max_examples=60)
@given(many=st.lists(calls(), min_size=1, max_size=40))
def test_no_call_raises_and_answers_and_scrape_stay_valid(many):
    with earlier.telemetry(entity_metrics=True, metrics_exporters=("prometheus",)) as running:
        objects = {cls: cls() for cls, _ in CALLS}
        for cls, name, arguments in many:
            getattr(objects[cls], name)(*arguments)
        monitor = objects[PerformanceMonitor]
        performance, business = monitor.calculate_performance_metrics(), monitor.calculate_business_metrics()
        fields = dataclasses.asdict(performance) | dataclasses.asdict(business)
        numbers = [value for value in fields.values() if not isinstance(value, dict)]
        assert all(0 <= value < math.inf for value in numbers)
        ratios = ("error_rate", "deduplication_rate", "filter_efficiency", "transformation_success_rate")
        assert all(fields[name] <= 1 for name in ratios)
        assert all(0 <= milliseconds < math.inf for milliseconds in monitor.processing_times)
        ended = earlier.total(running, ingest.EVENT_DURATION) + earlier.total(running, ingest.DISCARDED)
        assert earlier.total(running, ingest.RECEIVED) == ended
        assert objects[HAIngestorCollector].get_metrics_summary()["metrics_count"] > 0
        list(text_string_to_metric_families(running.prometheus_text()))
        list(text_string_to_metric_families(objects[HAIngestorCollector].export_metrics()))
        list(text_string_to_metric_families(objects[MetricsRegistry].export_prometheus()))
        json.dumps([monitor.get_metrics_summary(), monitor.event_counts, monitor.error_counts])


def test_a_success_that_cannot_be_compared_is_neither_a_success_nor_an_error():
    with earlier.telemetry() as running:
        EnhancedMetricsCollector().record_event_processing(0.1, success=Hostile())
        assert earlier.total(running, ingest.EVENT_DURATION) == 1
        assert earlier.total(running, ingest.ERRORS) == 0


@settings(max_examples=40)
@given(name=garbage, fails=st.booleans())
def test_an_exception_passes_through_an_operation_of_any_name(name, fails):
    async def work() -> None:
        async with PerformanceMonitor().monitor_operation(name):
            if fails:
                raise KeyError("expected")

    with earlier.telemetry(entity_metrics=True), pytest.raises(KeyError) if fails else nullcontext():
        asyncio.run(work())


events = st.tuples(
    st.sampled_from(["mqtt", "websocket", "unknown"]),
    st.sampled_from(["light", "sensor", ""]),
    st.sampled_from(["light.hall", "sensor.door", "unknown"]),
    st.floats(0, 60),
    st.booleans(),
)
ways = st.sampled_from(["one call", "both calls", "counted", "measured"])


@settings(max_examples=60)
@given(
    happened=st.lists(events, max_size=15),
    choices=st.fixed_dictionaries(dict.fromkeys(("mqtt", "websocket", "unknown"), ways)),
)
def test_each_event_is_counted_once_whichever_calls_its_source_uses(happened, choices):
    with earlier.telemetry(system_metrics=False, entity_metrics=True) as running:
        monitor, collector, enhanced = PerformanceMonitor(), HAIngestorCollector(), EnhancedMetricsCollector()
        for source, domain, entity, seconds, success in happened:
            way = choices[source]
            if way == "one call":
                enhanced.record_event_processing(seconds, source, domain, entity, success)
            if way in {"both calls", "measured"}:
                collector.observe_event_processing(seconds, source, domain, entity)
            if way in {"both calls", "counted"}:
                collector.increment_events_processed(source, domain, entity, "success" if success else "error")
        business = monitor.calculate_business_metrics()
        assert business.total_events_processed == len(happened)
        assert business.events_by_source == Counter(source for source, *_ in happened)
        assert business.events_by_domain == Counter(domain for _, domain, *_ in happened if domain)
        entities = Counter(entity for _, _, entity, *_ in happened if entity != "unknown")
        found = business.events_by_entity
        assert all(found[entity] <= entities[entity] for entity in found)
        if len(set(choices.values())) == 1:
            assert found == entities
        received, processed = earlier.total(running, ingest.RECEIVED), earlier.total(running, ingest.EVENT_DURATION)
        assert received == processed
        assert earlier.problems(running) == 0


meeting = st.sampled_from(["a_total", "a", "A", "b", "b_count", "b_bucket", "B_sum", "c:d", "c_d", "_total", "_c"])
taken = st.sampled_from(["homeassistant_errors", "HA_INGESTOR:queue_depth", "HA_ingestor_events_mqtt_total", *BUILT_IN])
names = st.one_of(meeting, meeting, taken, garbage)
labels = st.one_of(
    st.none(), st.dictionaries(st.one_of(st.sampled_from(["le", "job", "a"]), st.text()), garbage), garbage
)


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["counter", "gauge", "histogram"]), names, st.just(1.0) | st.floats(), labels, garbage
        ),
        min_size=10,
        max_size=30,
    )
)
def test_a_registry_takes_anything_and_its_texts_stay_valid(steps):
    verbs = {"counter": "increment_counter", "gauge": "set_gauge", "histogram": "observe_histogram"}
    with earlier.telemetry(system_metrics=False) as running:
        registry = MetricsRegistry()
        for kind, name, value, of, other in steps:
            getattr(registry, f"register_{kind}")(name, other)
            getattr(registry, verbs[kind])(name, value, of)
        for text in (registry.export_prometheus(), running.prometheus_text()):
            assert all(family.name for family in text_string_to_metric_families(text))
            lines = [line.rpartition(" ")[0] for line in text.split("\n") if line and not line.startswith("# HELP")]
            assert len(lines) == len(set(lines))
        families = [family.name for family in text_string_to_metric_families(running.prometheus_text())]
        assert len(families) == len(set(families))
        assert not any(name.startswith("ha_ingestor_") for name in families)
        for metric in registry.get_all_metrics().values():
            if metric.type == "counter":
                assert sum(metric.numbers.values()) == pytest.approx(sum(value.value for value in metric.values))


@settings(max_examples=60)
@given(totals=st.lists(st.integers(0, 2**62), min_size=1, max_size=8))
def test_the_last_total_is_shown(totals):
    with earlier.telemetry(metrics_exporters=("prometheus",)) as running:
        collector = HAIngestorCollector()
        for given_total in totals:
            collector.update_system_metrics("one", 1, 1, 1, 1, given_total, given_total, given_total, given_total)
        for instrument in (ha_ingestor.DISK_IO, ha_ingestor.NETWORK_IO):
            assert set(earlier.values(running, instrument).values()) == {float(totals[-1])}
