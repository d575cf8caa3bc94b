"""Figures that a service pushes by the earlier API: totals, depths, connections, states, rates."""

import pytest

from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    PerformanceMonitor,
    get_prometheus_collector,
    pushed,
)
from otel_ha.vocabulary import ha_ingestor, ingest
from tests import earlier
from tests.earlier import problems, total, values
from tests.recorded import in_threads
from tests.unit.compat.conftest import problem_counts


class TestPushedReadings:
    def test_the_last_total_is_shown_and_totals_are_not_added_up(self, telemetry):
        collector = HAIngestorCollector()
        for read in (100, 300):
            collector.update_system_metrics("one", 1, 1, 1, 1, read, 2 * read, read, read)
        found = {dict(labels)["disk_io_direction"]: n for labels, n in values(telemetry, ha_ingestor.DISK_IO).items()}
        assert found == {"read": 300, "write": 600}

    def test_the_last_depth_of_each_queue_is_shown(self, telemetry):
        HAIngestorCollector().update_queue_depth(9)
        HAIngestorCollector().update_queue_depth(4)
        HAIngestorCollector().update_queue_depth(3, "other")
        assert PerformanceMonitor().calculate_performance_metrics().queue_depth == 7

    def test_connections_are_the_last_number_given(self, telemetry):
        collector = HAIngestorCollector()
        for number in (3, 1, 2):
            collector.update_active_connections(number, "mqtt")
        collector.update_active_connections(1, "websocket")
        assert PerformanceMonitor().calculate_performance_metrics().active_connections == 3

    def test_connections_pushed_by_many_threads_end_at_the_last_number(self, telemetry):
        collector = HAIngestorCollector()
        in_threads(8, lambda _: [collector.update_active_connections(n, "mqtt") for n in range(50)])
        collector.update_active_connections(5, "mqtt")
        assert total(telemetry, ingest.CONNECTIONS) == 5

    @pytest.mark.parametrize(
        ("state", "now"),
        [
            (0, "closed"),
            (1, "half_open"),
            (2, "open"),
            ("closed", "closed"),
            ("Half-Open", "half_open"),
            ("open", "open"),
        ],
    )
    def test_a_circuit_breaker_is_in_one_state(self, telemetry, state, now):
        HAIngestorCollector().update_circuit_breaker_state(2 if now == "closed" else 0, "db")
        EnhancedMetricsCollector().record_circuit_breaker_state(state, "db")
        found = {
            dict(k)["homeassistant_circuit_breaker_state"]: n
            for k, n in values(telemetry, ingest.CIRCUIT_BREAKER).items()
        }
        assert found == {each: float(each == now) for each in ("closed", "half_open", "open")}

    @pytest.mark.parametrize("state", [3, -1, True, None, "ajar", [], 0.5])
    def test_an_unknown_state_leaves_a_circuit_breaker_unchanged(self, telemetry, state, caplog):
        collector = HAIngestorCollector()
        collector.update_circuit_breaker_state(2, "db")
        collector.update_circuit_breaker_state(state, "db")
        collector.update_circuit_breaker_state(state, "db")
        assert total(telemetry, ingest.CIRCUIT_BREAKER) == 1
        assert max(values(telemetry, ingest.CIRCUIT_BREAKER), key=values(telemetry, ingest.CIRCUIT_BREAKER).get) >= {
            ("homeassistant_circuit_breaker_state", "open")
        }
        assert problems(telemetry) == 2
        assert caplog.text.count("homeassistant.circuit_breaker.state: state is") == 1
        assert "allowed: 0, 1, 2, closed, half_open, open, half-open; unchanged" in caplog.text

    def test_pushed_ratios_are_shown_and_preferred_to_derived_ones(self, telemetry):
        collector = HAIngestorCollector()
        collector.update_event_processing_rate(12.5, "mqtt")
        collector.update_deduplication_rate(0.25, "mqtt")
        collector.update_deduplication_rate(0.75, "websocket")
        collector.update_filter_efficiency(0.5, "domain")
        collector.update_transformation_success_rate(1, "points")
        business = PerformanceMonitor().calculate_business_metrics()
        assert business.deduplication_rate == 0.5
        assert business.filter_efficiency == 0.5
        assert business.transformation_success_rate == 1.0
        assert total(telemetry, ha_ingestor.EVENT_RATE) == 12.5

    def test_a_ratio_that_is_not_pushed_is_derived(self, telemetry):
        ingest.EVENT.receive(source="mqtt")
        ingest.EVENT.discard("duplicate", source="mqtt")
        PerformanceMonitor().record_processing_time(1)
        assert PerformanceMonitor().calculate_business_metrics().deduplication_rate == 0.5

    def test_figures_pushed_to_an_earlier_telemetry_are_not_shown_by_the_next(self):
        for depth in (5, 7):
            with earlier.telemetry() as running:
                get_prometheus_collector().update_queue_depth(depth, f"queue-{depth}")
                get_prometheus_collector().update_active_connections(depth, "mqtt")
                assert values(running, ingest.QUEUE_SIZE) == {
                    frozenset({("homeassistant_queue", f"queue-{depth}")}): depth
                }
                assert total(running, ingest.CONNECTIONS) == depth

    def test_pushed_series_are_limited_to_the_declared_number(self, telemetry):
        for i in range(40):
            HAIngestorCollector().update_queue_depth(i, f"queue-{i}")
        found = values(telemetry, ingest.QUEUE_SIZE)
        assert sum(found.values()) == sum(range(16))
        assert problems(telemetry) == 24

    def test_kinds_of_connections_are_limited_to_the_declared_series(self, telemetry):
        collector = HAIngestorCollector()
        for i in range(40):
            collector.update_active_connections(i, f"client-{i}")
        collector.update_active_connections(100, "client-0")
        assert total(telemetry, ingest.CONNECTIONS) == 100 + sum(range(1, 16))
        reported = {dict(labels)["otel_ha_problem_reason"]: n for labels, n in problem_counts(telemetry).items()}
        assert reported == {"series_exceeded": 24}

    @pytest.mark.timeout(20)
    def test_a_push_that_interrupts_another_neither_blocks_nor_is_lost(self, telemetry):
        collector = HAIngestorCollector()

        class Interrupted(float):
            def __sub__(self, other: float) -> float:  # as a signal handler would
                collector.update_active_connections(5, "mqtt")
                return float(self) - other

        collector.update_active_connections(2, "mqtt")
        pushed._connections.put("mqtt", Interrupted(9))
        assert total(telemetry, ingest.CONNECTIONS) == 5
        collector.update_active_connections(1, "mqtt")
        assert total(telemetry, ingest.CONNECTIONS) == 1
