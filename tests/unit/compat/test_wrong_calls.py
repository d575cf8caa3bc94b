"""Wrong arguments of the earlier API are counted, and never raise."""

from decimal import Decimal

import pytest

from otel_ha.compat import EnhancedMetricsCollector, HAIngestorCollector, PerformanceMonitor
from otel_ha.vocabulary import ha_ingestor, ingest
from tests.earlier import problems, total, values
from tests.hostile import VALUES


class TestWrongCalls:
    @pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", None, True, [], 10**400])
    def test_a_number_that_is_not_one_is_ignored_and_counted(self, telemetry, wrong):
        monitor, collector, enhanced = PerformanceMonitor(), HAIngestorCollector(), EnhancedMetricsCollector()
        monitor.record_processing_time(wrong)
        collector.observe_event_processing(wrong)
        enhanced.record_event_processing(wrong)
        collector.update_event_processing_rate(wrong)
        collector.update_queue_depth(wrong)
        collector.update_active_connections(wrong)
        collector.increment_data_points_written(wrong)
        collector.increment_data_volume(wrong)
        collector.update_deduplication_rate(wrong)
        collector.update_filter_efficiency(wrong)
        collector.update_transformation_success_rate(wrong)
        collector.update_system_metrics("one", *[wrong] * 8)
        assert problems(telemetry) == 19
        assert {total(telemetry, each) for each in (*ingest.CATALOG, *ha_ingestor.CATALOG)} == {0}
        assert monitor.processing_times == []

    def test_a_problem_is_logged_once(self, telemetry, caplog):
        for _ in range(3):
            PerformanceMonitor().record_processing_time(-1)
        (record,) = caplog.records
        assert record.message == (
            "homeassistant.event.process.duration: cannot use -1 as a duration; allowed: a number from 0; ignored "
            "(later ones are counted, not logged)"
        )
        assert problems(telemetry) == 3

    @pytest.mark.parametrize("wrong", [1.5, -0.1])
    def test_a_ratio_outside_0_to_1_is_ignored_and_counted(self, telemetry, wrong):
        HAIngestorCollector().update_deduplication_rate(wrong)
        assert values(telemetry, ha_ingestor.DEDUPLICATION) == {}
        assert problems(telemetry) == 1

    @pytest.mark.parametrize("wrong", [None, 5, [], {}, b"mqtt"])
    def test_an_event_from_a_source_that_is_not_text_is_counted_as_other(self, telemetry, wrong):
        PerformanceMonitor().record_event_processed(wrong)
        of = frozenset({("homeassistant_source", "_OTHER"), ("homeassistant_outcome", "ok")})
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {of: 1}
        assert problems(telemetry) == 1

    @pytest.mark.parametrize("wrong", ["splendid", "", None, 1, True, []])
    def test_an_unknown_status_is_neither_a_success_nor_an_error(self, telemetry, wrong):
        HAIngestorCollector().increment_events_processed("mqtt", status=wrong)
        HAIngestorCollector().increment_data_points_written(2, "state", wrong)
        (labels,) = values(telemetry, ha_ingestor.COUNTED_EVENTS)
        assert ("homeassistant_outcome", "_OTHER") in labels
        assert problems(telemetry) == 2

    def test_a_status_stated_as_unknown_is_the_same_as_none(self, telemetry):
        HAIngestorCollector().increment_events_processed("mqtt", status="unknown")
        of = frozenset({("homeassistant_source", "mqtt"), ("homeassistant_domain", "unknown")})
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {of: 1}
        assert problems(telemetry) == 0

    @pytest.mark.parametrize("wrong", ["yes", None, 2, 0.5, []])
    def test_a_success_that_is_neither_a_bool_nor_0_or_1_is_neither(self, telemetry, wrong):
        EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", success=wrong)
        (labels,) = values(telemetry, ingest.EVENT_DURATION)
        assert ("homeassistant_outcome", "_OTHER") in labels
        assert PerformanceMonitor().error_counts["total"] == 0

    def test_an_unknown_severity_is_recorded_as_other(self, telemetry):
        HAIngestorCollector().increment_errors("timeout", "db", "dire")
        (labels,) = values(telemetry, ingest.ERRORS)
        assert ("homeassistant_error_severity", "_OTHER") in labels
        assert problems(telemetry) == 1

    @pytest.mark.parametrize("index", range(len(VALUES)))
    def test_no_value_raises_wherever_it_is_given(self, telemetry, index):
        wrong = VALUES[index]()
        monitor, collector, enhanced = PerformanceMonitor(), HAIngestorCollector(), EnhancedMetricsCollector()
        monitor.record_processing_time(wrong)
        monitor.record_event_processed(wrong, wrong, wrong)
        monitor.record_error(wrong)
        collector.update_system_metrics(wrong, *[wrong] * 8, mountpoint=wrong, interface=wrong)
        collector.observe_event_processing(wrong, wrong, wrong, wrong)
        collector.update_event_processing_rate(wrong, wrong)
        collector.update_queue_depth(wrong, wrong)
        collector.update_active_connections(wrong, wrong)
        collector.increment_events_processed(wrong, wrong, wrong, wrong)
        collector.increment_data_points_written(wrong, wrong, wrong)
        collector.increment_data_volume(wrong, wrong, wrong)
        collector.update_deduplication_rate(wrong, wrong)
        collector.increment_errors(wrong, wrong, wrong)
        collector.update_circuit_breaker_state(wrong, wrong)
        collector.increment_retry_attempts(wrong, wrong)
        enhanced.record_event_processing(wrong, wrong, wrong, wrong, wrong)
        enhanced.record_event_processing(0.1, wrong, wrong, wrong, wrong)
        enhanced.record_circuit_breaker_state(wrong, wrong)
        assert total(telemetry, ingest.RECEIVED) == total(telemetry, ingest.EVENT_DURATION) >= 1
        assert total(telemetry, ingest.IN_FLIGHT) == 0
        assert {type(time) for time in monitor.processing_times} <= {int, float}

    def test_a_decimal_is_a_number(self, telemetry):
        EnhancedMetricsCollector().record_event_processing(Decimal("0.25"), "mqtt")
        assert total(telemetry, ingest.EVENT_DURATION) == 1
        assert problems(telemetry) == 0
