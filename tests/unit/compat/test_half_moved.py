"""A service that has moved in part: events counted by the earlier API, discards by otel-ha's own."""

import pytest

from otel_ha import measured
from otel_ha.compat import HAIngestorCollector, PerformanceMonitor, get_metrics_collector
from otel_ha.vocabulary import ingest
from tests.unit.compat.conftest import problem_counts


def count_by_the_monitor() -> None:
    PerformanceMonitor().record_event_processed("mqtt", "light", "light.hall")


def count_by_the_prometheus_collector() -> None:
    HAIngestorCollector().increment_events_processed("mqtt", "light")


def count_by_the_metrics_collector() -> None:
    get_metrics_collector().record_event_processed("mqtt")


def discard(reason: str) -> None:
    ingest.EVENT.receive(source="mqtt")
    ingest.EVENT.discard(reason, source="mqtt")


COUNTS = [count_by_the_monitor, count_by_the_prometheus_collector, count_by_the_metrics_collector]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("reason", "figure"), [("duplicate", "deduplication_rate"), ("filtered", "filter_efficiency")])
def test_shares_take_both_ways_of_counting_into_account(telemetry, count, reason, figure):
    for _ in range(8):
        count()
    for _ in range(2):
        discard(reason)
    assert getattr(PerformanceMonitor().calculate_business_metrics(), figure) == 0.2
    assert telemetry.summary()["current"]["business"][figure] == 0.2
    assert telemetry.summary()["roll_ups"]["1h"][-1]["business"][figure] == 0.2
    text = HAIngestorCollector().export_metrics()
    labels = '{source="mqtt"}' if reason == "duplicate" else ""
    assert f"\nha_ingestor_{figure}{labels} 0.2\n" in text


@pytest.mark.parametrize("count", COUNTS)
def test_an_event_that_is_counted_and_measured_is_received_once(telemetry, count):
    for _ in range(8):
        count()
        ingest.EVENT.record(0.1, source="mqtt", domain="light")
    for _ in range(2):
        discard("duplicate")
    assert telemetry.summary()["current"]["business"]["deduplication_rate"] == 0.2


@pytest.mark.parametrize("count", COUNTS)
def test_discards_of_a_source_whose_events_the_earlier_api_counts_are_received_and_no_problem(telemetry, count):
    for _ in range(8):
        count()
    for _ in range(2):
        ingest.EVENT.discard("duplicate", source="mqtt")
    assert telemetry.summary()["current"]["business"]["deduplication_rate"] == 0.2
    assert sum(telemetry.history.totals(ingest.IN_FLIGHT).values()) == 0
    assert problem_counts(telemetry) == {}


def test_discards_of_a_source_that_nobody_counts_are_a_problem(telemetry):
    count_by_the_monitor()
    ingest.EVENT.discard("duplicate", source="websocket")
    telemetry.history.collect()
    assert sum(problem_counts(telemetry).values()) == 1


def test_a_service_that_has_moved_has_the_share_of_received_events(telemetry):
    for number in range(10):
        ingest.EVENT.receive(source="mqtt")
        if number < 3:
            ingest.EVENT.discard("duplicate", source="mqtt")
    assert telemetry.summary()["current"]["business"]["deduplication_rate"] == 0.3


def test_duplicates_without_a_source_are_a_share_of_all_events(telemetry):
    collector = get_metrics_collector()
    for _ in range(8):
        collector.record_event_processed("mqtt")
    for _ in range(2):
        collector.record_event_deduplicated()
    assert PerformanceMonitor().calculate_business_metrics().deduplication_rate == 0.2
    assert rows_of("deduplication_rate") == ["ha_ingestor_deduplication_rate 0.2"]


def test_duplicates_without_a_source_are_a_share_of_measured_events_too(telemetry):
    for _ in range(8):
        with measured(ingest.EVENT, source="mqtt"):
            pass
    for _ in range(2):
        get_metrics_collector().record_event_deduplicated()
    assert rows_of("deduplication_rate") == ["ha_ingestor_deduplication_rate 0.2"]


def test_a_source_that_is_then_counted_in_another_way_keeps_its_total(telemetry):
    collector = get_metrics_collector()
    for number in range(100):
        collector.record_event_processed("mqtt", success=number > 9)
    PerformanceMonitor().record_event_processed("mqtt", "light")
    name = "ha_ingestor_events_processed_total"
    assert sorted(rows_of("events_processed_total")) == [
        f'{name}{{source="mqtt",status="error"}} 10.0',
        f'{name}{{source="mqtt",status="success"}} 90.0',
    ]


def rows_of(name: str) -> list[str]:
    text = HAIngestorCollector().export_metrics()
    return [line for line in text.splitlines() if line.startswith(f"ha_ingestor_{name}")]
