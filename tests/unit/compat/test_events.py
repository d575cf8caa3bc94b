"""Events and processing times recorded by the earlier API."""

import logging

import pytest

from otel_ha.compat import EnhancedMetricsCollector, HAIngestorCollector, PerformanceMonitor, get_performance_monitor
from otel_ha.vocabulary import ha_ingestor, ingest
from tests import earlier
from tests.earlier import total, values
from tests.unit.compat.conftest import MQTT


class TestEvents:
    def test_events_are_counted_by_source_by_domain_and_in_total(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_event_processed("mqtt", "light", "light.living_room")
        monitor.record_event_processed("websocket", "switch", "switch.kitchen")
        assert monitor.event_counts == {
            "total": 2,
            "mqtt": 1,
            "websocket": 1,
            "light": 1,
            "switch": 1,
            "light.living_room": 1,
            "switch.kitchen": 1,
        }

    def test_each_monitor_counts_its_own_events_and_errors(self, telemetry):
        one, other = PerformanceMonitor(), PerformanceMonitor()
        one.record_event_processed("mqtt", "light")
        one.record_error("timeout")
        assert (one.event_counts["total"], other.event_counts["total"]) == (1, 0)
        assert (one.error_counts["timeout"], other.error_counts["total"]) == (1, 0)

    def test_the_names_that_a_monitor_counts_are_limited(self, telemetry):
        monitor = PerformanceMonitor()
        for number in range(6_000):
            monitor.record_event_processed("mqtt", "sensor", f"sensor.{number}")
        assert len(monitor.event_counts) == 5_001
        assert monitor.event_counts["total"] == 6_000
        assert monitor.event_counts["_OTHER"] == 6_000 - (5_000 - 4)

    def test_metrics_are_by_entity_if_entity_metrics_are_on(self):
        with earlier.telemetry(entity_metrics=True) as running:
            monitor = PerformanceMonitor()
            monitor.record_event_processed("mqtt", "light", "light.hall")
            EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", "light", "light.hall")
            EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", "light")
            assert monitor.calculate_business_metrics().events_by_entity == {"light.hall": 2}
            measured = frozenset({("homeassistant_entity_id", "light.hall"), ("homeassistant_domain", "light")})
            assert values(running, ingest.ENTITY_EVENTS)[measured] == 1
            assert values(running, ha_ingestor.COUNTED_ENTITY_EVENTS) == {measured: 2}

    def test_an_event_that_is_observed_and_counted_counts_once(self, telemetry):
        collector = HAIngestorCollector()
        for _ in range(3):
            collector.observe_event_processing(0.1, "mqtt", "light", "light.hall")
            collector.increment_events_processed("mqtt", "light", "light.hall")
        business = PerformanceMonitor().calculate_business_metrics()
        assert business.total_events_processed == 3
        assert business.events_by_source == {"mqtt": 3}
        assert business.events_by_domain == {"light": 3}

    def test_the_larger_number_of_each_source_and_domain_counts(self, telemetry):
        collector = HAIngestorCollector()
        for _ in range(3):
            collector.observe_event_processing(0.1, "mqtt", "light")
        collector.increment_events_processed("mqtt", "light")
        for _ in range(2):
            collector.increment_events_processed("mqtt", "sensor", status="error")
        business = PerformanceMonitor().calculate_business_metrics()
        assert business.events_by_domain == {"light": 3, "sensor": 2}
        assert business.total_events_processed == 5

    def test_processing_times_without_a_source_count_in_the_total(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_processing_time(10)
        monitor.record_processing_time(20)
        monitor.record_event_processed("mqtt")
        assert monitor.calculate_business_metrics().total_events_processed == 2
        assert monitor.event_counts == {"total": 1, "mqtt": 1, "websocket": 0}

    def test_an_event_without_a_source_has_the_source_unknown(self, telemetry):
        HAIngestorCollector().observe_event_processing(0.1, "")
        PerformanceMonitor().record_event_processed("")
        assert PerformanceMonitor().calculate_business_metrics().events_by_source == {"unknown": 2}
        HAIngestorCollector().increment_events_processed()
        HAIngestorCollector().observe_event_processing(0.1)
        assert PerformanceMonitor().calculate_business_metrics().total_events_processed == 3

    def test_a_failure_is_an_event_with_outcome_error_and_an_error(self, telemetry):
        EnhancedMetricsCollector().record_event_processing(0.2, "mqtt", "light", success=False)
        assert values(telemetry, ingest.EVENT_DURATION) == {
            MQTT - {("homeassistant_outcome", "ok")} | {("homeassistant_outcome", "error")}: 1
        }
        assert get_performance_monitor().error_counts == {"total": 1, "processing": 1, "connection": 0}
        assert PerformanceMonitor().calculate_performance_metrics().error_rate == 1

    def test_errors_are_counted_by_type(self, telemetry):
        monitor = get_performance_monitor()
        monitor.record_error("connection")
        HAIngestorCollector().increment_errors("timeout", "db", "critical")
        EnhancedMetricsCollector().record_error("timeout", "db", "fatal")
        assert monitor.error_counts == {"total": 2, "processing": 0, "connection": 1, "timeout": 1}
        critical = {("error_type", "timeout"), ("homeassistant_component", "db")}
        severity = ("homeassistant_error_severity", "critical")
        assert values(telemetry, ingest.ERRORS)[frozenset(critical | {severity})] == 2

    def test_errors_recorded_without_an_event_show_in_the_error_rate(self, telemetry):
        monitor = PerformanceMonitor()
        for _ in range(4):
            monitor.record_processing_time(10)
        monitor.record_error("processing")
        assert monitor.calculate_performance_metrics().error_rate == 0.25

    def test_received_equals_processed_plus_discarded_plus_in_flight(self, telemetry):
        PerformanceMonitor().record_processing_time(10)
        EnhancedMetricsCollector().record_event_processing(0.2, "mqtt", success=False)
        assert total(telemetry, ingest.RECEIVED) == total(telemetry, ingest.EVENT_DURATION) == 2
        assert total(telemetry, ingest.IN_FLIGHT) == 0

    def test_points_and_bytes_are_added_up(self, telemetry):
        collector = HAIngestorCollector()
        collector.increment_data_points_written(5, "state")
        collector.increment_data_points_written(3, "state", "failed")
        collector.increment_data_points_written()
        collector.increment_data_volume(1024 * 1024, "mqtt", "state")
        business = PerformanceMonitor().calculate_business_metrics()
        assert (business.data_points_written, business.data_volume_mb) == (6, 1.0)
        assert total(telemetry, ingest.POINTS_WRITTEN) == 9

    def test_retries_of_both_objects_are_counted_together(self, telemetry):
        HAIngestorCollector().increment_retry_attempts("db", "write")
        EnhancedMetricsCollector().record_retry_attempt("db", "write")
        of = frozenset({("homeassistant_component", "db"), ("homeassistant_operation", "write")})
        assert values(telemetry, ingest.RETRIES) == {of: 2}


class TestProcessingTimes:
    def test_the_last_thousand_are_stored(self, telemetry):
        monitor = PerformanceMonitor()
        for i in range(1100):
            monitor.record_processing_time(float(i))
        assert monitor.processing_times == [float(i) for i in range(100, 1100)]

    def test_they_come_from_every_call_of_the_monitor(self, telemetry):
        EnhancedMetricsCollector().record_event_processing(0.25)
        HAIngestorCollector().observe_event_processing(0.5)
        assert get_performance_monitor().processing_times == [250.0]

    def test_their_mean_and_quantiles_are_in_milliseconds(self, telemetry):
        monitor = PerformanceMonitor()
        for milliseconds in (10.0, 20.0, 30.0, 40.0, 50.0):
            monitor.record_processing_time(milliseconds)
        performance = monitor.calculate_performance_metrics()
        assert performance.average_processing_time == 30.0
        assert performance.p95_processing_time == performance.p99_processing_time == 50.0
        assert performance.p50_processing_time == 30.0

    def test_their_mean_and_quantiles_are_exact_over_the_last_thousand(self, telemetry):
        monitor = PerformanceMonitor()
        for milliseconds in range(1, 2_001):
            monitor.record_processing_time(milliseconds)
        performance = monitor.calculate_performance_metrics()
        assert performance.average_processing_time == 1500.5
        assert (performance.p95_processing_time, performance.p99_processing_time) == (1951, 1991)
        summary = monitor.get_metrics_summary()["current_metrics"]["performance"]
        assert (summary["average_processing_time_ms"], summary["p95_processing_time_ms"]) == (1500.5, 1951)

    def test_without_any_their_quantiles_are_those_of_measured_events(self, telemetry):
        HAIngestorCollector().observe_event_processing(0.1, "mqtt")
        assert PerformanceMonitor().calculate_performance_metrics().p95_processing_time == pytest.approx(100, rel=0.03)

    def test_a_reset_forgets_them_and_leaves_the_counts(self, telemetry, caplog):
        caplog.set_level(logging.INFO)
        collector = EnhancedMetricsCollector()
        collector.record_event_processing(0.25, "mqtt")
        collector.reset_metrics()
        assert get_performance_monitor().processing_times == []
        assert total(telemetry, ha_ingestor.COUNTED_EVENTS) == 1
        assert "reset_metrics()" in caplog.text
