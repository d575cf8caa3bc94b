"""The earlier API records each measurement once to telemetry, and answers from it."""

import asyncio
import logging
import os
import runpy
import subprocess
import sys
import threading
import time
import weakref

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from otel_ha import Catalog, ConfigError, setup_telemetry
from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    PerformanceMonitor,
    create_performance_monitor,
    get_enhanced_metrics_collector,
    get_performance_monitor,
    get_prometheus_collector,
    set_enhanced_metrics_collector,
    set_performance_monitor,
    set_prometheus_collector,
)
from otel_ha.compat import running as compat_running
from otel_ha.compat.settings import MonitoringSettings
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest, runtime
from tests import earlier
from tests.earlier import SNIPPETS, problems, total, values
from tests.recorded import in_threads
from tests.unit.conftest import config

MQTT = frozenset({("homeassistant_source", "mqtt"), ("homeassistant_domain", "light"), ("homeassistant_outcome", "ok")})
SERVER = ("host_name", "server-01")


@pytest.fixture
def telemetry():
    with earlier.telemetry() as running:
        yield running


@pytest.fixture
def alone(monkeypatch):
    """A process without telemetry, in which set-up listens on a free port and pushes nothing."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
    monkeypatch.setenv("OTEL_HA_SYSTEM_METRICS", "false")
    with earlier.untouched():
        yield monkeypatch


def problem_counts(of):
    return values(of, runtime.RECORDING_PROBLEMS)


def run(snippet: str) -> dict:
    return runpy.run_path(str(SNIPPETS / f"{snippet}.py"))


class TestTheSnippets:
    def test_an_event_and_a_processing_time_are_recorded_once(self, telemetry):
        summary = run("performance_monitor")["summary"]
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {MQTT: 1}
        assert values(telemetry, ingest.EVENT_DURATION) == {frozenset({("homeassistant_outcome", "ok")}): 1}
        assert summary["current_metrics"]["business"]["total_events_processed"] == 1
        assert summary["current_metrics"]["performance"]["average_processing_time_ms"] == pytest.approx(150.5)
        assert problems(telemetry) == 0

    def test_a_processed_event_is_one_event_in_each_way(self, telemetry):
        text = run("enhanced_collector")["text"]
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {MQTT: 1}
        assert values(telemetry, ingest.EVENT_DURATION) == {MQTT: 1}
        assert values(telemetry, ingest.RECEIVED) == {frozenset({("homeassistant_source", "mqtt")}): 1}
        assert get_performance_monitor().event_counts["total"] == 1
        assert "homeassistant_event_process_duration_seconds_count" in text
        assert problems(telemetry) == 0

    def test_readings_of_a_machine_are_shown_as_given(self, telemetry):
        run("prometheus_collector")
        assert values(telemetry, ha_ingestor.CPU) == {frozenset({SERVER}): 25.5}
        assert values(telemetry, ha_ingestor.MEMORY) == {frozenset({SERVER}): 60.0}
        assert values(telemetry, ha_ingestor.MEMORY_USED) == {frozenset({SERVER}): 2048 * 1024 * 1024}
        root = frozenset({SERVER, ("system_filesystem_mountpoint", "/")})
        assert values(telemetry, ha_ingestor.FILESYSTEM) == {root: 45.0}
        assert values(telemetry, ha_ingestor.DISK_IO) == {
            frozenset({SERVER, ("disk_io_direction", "read")}): 100 * 1024 * 1024,
            frozenset({SERVER, ("disk_io_direction", "write")}): 50 * 1024 * 1024,
        }
        default = ("network_interface_name", "default")
        assert values(telemetry, ha_ingestor.NETWORK_IO) == {
            frozenset({SERVER, default, ("network_io_direction", "transmit")}): 200 * 1024 * 1024,
            frozenset({SERVER, default, ("network_io_direction", "receive")}): 150 * 1024 * 1024,
        }
        assert problems(telemetry) == 0

    @pytest.mark.parametrize("snippet", ["performance_monitor", "enhanced_collector", "prometheus_collector"])
    def test_they_run_without_setup_telemetry(self, alone, snippet):
        alone.setenv("OTEL_HA_SYSTEM_METRICS", "true")
        run(snippet)
        assert "homeassistant_" in running_telemetry().prometheus_text()


class TestSettingUp:
    def test_running_telemetry_is_used(self, telemetry):
        get_performance_monitor()
        assert running_telemetry() is telemetry

    def test_the_first_caller_sets_it_up_once(self, alone):
        gets = [get_performance_monitor, get_prometheus_collector, get_enhanced_metrics_collector]
        found = {}
        in_threads(12, lambda i: found.setdefault(i, (gets[i % 3](), running_telemetry())))
        assert len({id(it) for it, _ in found.values()}) == 3
        assert {id(running) for _, running in found.values()} == {id(running_telemetry())}

    def test_a_service_may_still_set_it_up_with_its_own_settings(self, alone, caplog):
        caplog.set_level(logging.INFO)
        monitor = get_performance_monitor()
        get_prometheus_collector().update_queue_depth(5, "before")
        with setup_telemetry("ha-ingestor", config=config()) as telemetry:
            assert running_telemetry() is telemetry
            monitor.record_event_processed("mqtt")
            get_prometheus_collector().update_queue_depth(3, "after")
            assert monitor.event_counts["total"] == 1
            assert values(telemetry, ingest.QUEUE_SIZE) == {frozenset({("homeassistant_queue", "after")}): 3}
        assert "the first one gives way" in caplog.text

    def test_settings_that_are_the_same_leave_it_as_it_is(self, alone):
        get_performance_monitor()
        first = running_telemetry()
        assert setup_telemetry() is first
        with pytest.raises(ConfigError, match="with other settings: service_name"):
            setup_telemetry("another")  # it exists by now

    def test_equal_telemetry_that_a_service_set_up_in_between_is_not_replaced(self, alone):
        with setup_telemetry() as telemetry:
            assert compat_running._set_up(MonitoringSettings.of({})) is telemetry
            with pytest.raises(ConfigError, match="with other settings: service_name"):
                setup_telemetry("another")

    def test_telemetry_that_a_service_set_up_itself_is_not_replaced(self, telemetry):
        get_performance_monitor()
        with pytest.raises(ConfigError, match="with other settings: service_name"):
            setup_telemetry("another", config=telemetry.config)

    def test_the_earlier_variables_count(self, alone):
        alone.setenv("MONITORING_INTERVAL", "7")
        alone.setenv("ENABLE_BUSINESS_METRICS", "false")
        assert get_performance_monitor().monitoring_interval == 7.0
        assert running_telemetry().config.export_interval == 7.0
        assert "business" not in running_telemetry().config.groups

    def test_a_wrong_setting_is_an_error_that_names_it(self, alone):
        alone.setenv("MONITORING_INTERVAL", "often")
        with pytest.raises(ConfigError, match="MONITORING_INTERVAL is 'often'; allowed: seconds"):
            get_performance_monitor()
        assert running_telemetry() is None

    def test_using_the_earlier_api_does_not_restart_telemetry_that_was_shut_down(self, alone):
        get_performance_monitor()
        running_telemetry().shutdown()
        get_prometheus_collector().update_queue_depth(1)
        assert running_telemetry() is None

    async def test_start_restarts_telemetry_that_was_shut_down(self, alone):
        collector = get_enhanced_metrics_collector()
        running_telemetry().shutdown()
        await collector.start()
        assert running_telemetry() is not None

    def test_settings_that_come_too_late_are_reported(self, telemetry, caplog):
        create_performance_monitor({"monitoring_interval": 5.0, "something": "else"})
        assert [record.message for record in caplog.records if record.name == "otel_ha.compat"] == [
            "telemetry runs already, with settings of its own; not applied: export_interval=5.0, history_interval=5.0"
        ]

    def test_disabled_it_records_nothing_and_still_answers(self, alone):
        alone.setenv("MONITORING_ENABLED", "false")
        monitor, collector = get_performance_monitor(), get_enhanced_metrics_collector()
        run("performance_monitor")
        run("enhanced_collector")
        run("prometheus_collector")
        assert monitor.event_counts == {"total": 0, "mqtt": 0, "websocket": 0}
        assert monitor.error_counts == {"total": 0, "processing": 0, "connection": 0}
        assert monitor.calculate_business_metrics().total_events_processed == 0
        assert monitor.calculate_performance_metrics().average_processing_time == 0
        assert monitor.business_metrics_history == []
        assert collector.export_prometheus_metrics() == ""
        assert collector.get_health_status()["telemetry"]["status"] == "disabled"
        assert collector.get_comprehensive_metrics()["prometheus_metrics"]["metrics_count"] == 0
        assert asyncio.run(monitor.collect_system_metrics()).cpu_percent == 0

    def test_a_catalog_without_ours_leaves_figures_at_nothing(self):
        with earlier.untouched(), setup_telemetry("test", config=config(), catalog=Catalog()):
            monitor = get_performance_monitor()
            monitor.record_error("processing")
            monitor.record_event_processed("mqtt", "light")
            assert monitor.error_counts["total"] == 0
            assert monitor.event_counts["mqtt"] == 1

    @pytest.mark.parametrize(
        ("get", "put", "cls"),
        [
            (get_performance_monitor, set_performance_monitor, PerformanceMonitor),
            (get_prometheus_collector, set_prometheus_collector, HAIngestorCollector),
            (get_enhanced_metrics_collector, set_enhanced_metrics_collector, EnhancedMetricsCollector),
        ],
    )
    def test_the_one_instance_can_be_another(self, telemetry, get, put, cls):
        first, other = get(), cls()
        assert get() is first
        put(other)
        assert get() is other


class TestEvents:
    def test_counts_are_by_source_domain_and_together(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_event_processed("mqtt", "light", "light.living_room")
        monitor.record_event_processed("websocket", "switch", "switch.kitchen")
        assert monitor.event_counts == {"total": 2, "mqtt": 1, "websocket": 1, "light": 1, "switch": 1}

    def test_counts_are_by_entity_if_entity_metrics_are_on(self):
        with earlier.telemetry(entity_metrics=True) as running:
            monitor = PerformanceMonitor()
            monitor.record_event_processed("mqtt", "light", "light.hall")
            EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", "light", "light.hall")
            EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", "light")
            assert monitor.event_counts["light.hall"] == 2
            assert monitor.calculate_business_metrics().events_by_entity == {"light.hall": 2}
            measured = frozenset({("homeassistant_entity_id", "light.hall"), ("homeassistant_domain", "light")})
            assert values(running, ingest.ENTITY_EVENTS)[measured] == 1
            assert values(running, ha_ingestor.COUNTED_ENTITY_EVENTS) == {measured: 2}

    def test_an_event_that_is_observed_and_counted_is_one(self, telemetry):
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

    def test_processing_times_alone_count_in_the_total(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_processing_time(10)
        monitor.record_processing_time(20)
        monitor.record_event_processed("mqtt")
        assert monitor.event_counts == {"total": 2, "mqtt": 1, "websocket": 0}

    def test_an_event_without_a_source_is_of_an_unknown_one_in_both_ways(self, telemetry):
        HAIngestorCollector().observe_event_processing(0.1, "")
        PerformanceMonitor().record_event_processed("")
        assert PerformanceMonitor().calculate_business_metrics().events_by_source == {"unknown": 2}
        HAIngestorCollector().increment_events_processed()
        HAIngestorCollector().observe_event_processing(0.1)
        assert PerformanceMonitor().event_counts["total"] == 3

    def test_a_failure_is_an_event_with_an_error_and_an_error(self, telemetry):
        EnhancedMetricsCollector().record_event_processing(0.2, "mqtt", "light", success=False)
        assert values(telemetry, ingest.EVENT_DURATION) == {
            MQTT - {("homeassistant_outcome", "ok")} | {("homeassistant_outcome", "error")}: 1
        }
        assert PerformanceMonitor().error_counts == {"total": 1, "processing": 1, "connection": 0}
        assert PerformanceMonitor().calculate_performance_metrics().error_rate == 1

    def test_an_error_is_counted_by_its_kind(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_error("connection")
        HAIngestorCollector().increment_errors("timeout", "db", "critical")
        EnhancedMetricsCollector().record_error("timeout", "db", "fatal")
        assert monitor.error_counts == {"total": 3, "processing": 0, "connection": 1, "timeout": 2}
        critical = {("error_type", "timeout"), ("homeassistant_component", "db")}
        severity = ("homeassistant_error_severity", "critical")
        assert values(telemetry, ingest.ERRORS)[frozenset(critical | {severity})] == 2

    def test_errors_that_were_only_recorded_show_in_the_error_rate(self, telemetry):
        monitor = PerformanceMonitor()
        for _ in range(4):
            monitor.record_processing_time(10)
        monitor.record_error("processing")
        assert monitor.calculate_performance_metrics().error_rate == 0.25

    def test_received_is_processed_and_discarded_and_in_flight(self, telemetry):
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
    def test_the_last_thousand_are_kept(self, telemetry):
        monitor = PerformanceMonitor()
        for i in range(1100):
            monitor.record_processing_time(float(i))
        assert monitor.processing_times == [float(i) for i in range(100, 1100)]

    def test_they_come_from_every_call_of_the_monitor(self, telemetry):
        EnhancedMetricsCollector().record_event_processing(0.25)
        HAIngestorCollector().observe_event_processing(0.5)
        assert get_performance_monitor().processing_times == [250.0]

    def test_their_figures_are_in_milliseconds(self, telemetry):
        monitor = PerformanceMonitor()
        for milliseconds in (10.0, 20.0, 30.0, 40.0, 50.0):
            monitor.record_processing_time(milliseconds)
        performance = monitor.calculate_performance_metrics()
        assert performance.average_processing_time == pytest.approx(30)
        assert performance.p95_processing_time == pytest.approx(50, rel=0.03)

    def test_a_reset_forgets_them_and_leaves_the_counts(self, telemetry, caplog):
        caplog.set_level(logging.INFO)
        collector = EnhancedMetricsCollector()
        collector.record_event_processing(0.25, "mqtt")
        collector.reset_metrics()
        assert get_performance_monitor().processing_times == []
        assert total(telemetry, ha_ingestor.COUNTED_EVENTS) == 1
        assert "reset_metrics()" in caplog.text


class TestWhatIsPushed:
    def test_a_total_is_the_last_one_given_and_not_added(self, telemetry):
        collector = HAIngestorCollector()
        for read in (100, 300):
            collector.update_system_metrics("one", 1, 1, 1, 1, read, 2 * read, read, read)
        found = {dict(labels)["disk_io_direction"]: n for labels, n in values(telemetry, ha_ingestor.DISK_IO).items()}
        assert found == {"read": 300, "write": 600}

    def test_a_queues_depth_is_the_last_one_given(self, telemetry):
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

    def test_connections_pushed_by_many_threads_end_at_the_last(self, telemetry):
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
    def test_an_unknown_state_leaves_a_circuit_breaker_as_it_was(self, telemetry, state, caplog):
        collector = HAIngestorCollector()
        collector.update_circuit_breaker_state(2, "db")
        collector.update_circuit_breaker_state(state, "db")
        collector.update_circuit_breaker_state(state, "db")
        assert total(telemetry, ingest.CIRCUIT_BREAKER) == 1
        assert max(values(telemetry, ingest.CIRCUIT_BREAKER), key=values(telemetry, ingest.CIRCUIT_BREAKER).get) >= {
            ("homeassistant_circuit_breaker_state", "open")
        }
        assert problems(telemetry) == 2
        assert caplog.text.count("homeassistant.circuit_breaker.state: a state is one of") == 1

    def test_rates_are_shown_as_given_and_preferred_in_figures(self, telemetry):
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

    def test_a_ratio_that_nobody_pushes_is_derived(self, telemetry):
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

    def test_series_that_are_pushed_stay_within_those_declared(self, telemetry):
        for i in range(40):
            HAIngestorCollector().update_queue_depth(i, f"queue-{i}")
        found = values(telemetry, ingest.QUEUE_SIZE)
        assert sum(found.values()) == sum(range(16))
        assert problems(telemetry) == 24

    def test_kinds_of_connections_stay_within_the_series_declared(self, telemetry):
        collector = HAIngestorCollector()
        for i in range(40):
            collector.update_active_connections(i, f"client-{i}")
        collector.update_active_connections(100, "client-0")
        assert total(telemetry, ingest.CONNECTIONS) == 100 + sum(range(1, 16))
        reported = {dict(labels)["otel_ha_problem_reason"]: n for labels, n in problem_counts(telemetry).items()}
        assert reported == {"series_exceeded": 24}

    @pytest.mark.timeout(20)
    def test_a_push_that_comes_in_the_middle_of_another_neither_waits_nor_is_lost(self, telemetry):
        collector = HAIngestorCollector()

        class Interrupted(float):
            def __sub__(self, other: float) -> float:  # as a signal handler would
                collector.update_active_connections(5, "mqtt")
                return float(self) - other

        collector.update_active_connections(2, "mqtt")
        collector.update_active_connections(Interrupted(9), "mqtt")
        assert total(telemetry, ingest.CONNECTIONS) == 5
        collector.update_active_connections(1, "mqtt")
        assert total(telemetry, ingest.CONNECTIONS) == 1


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

    def test_it_is_warned_of_once(self, telemetry, caplog):
        for _ in range(3):
            PerformanceMonitor().record_processing_time(-1)
        (record,) = caplog.records
        assert record.message == (
            "homeassistant.event.process.duration: a duration is a number from 0, not -1; it is left out "
            "(later ones are counted, not logged)"
        )
        assert problems(telemetry) == 3

    @pytest.mark.parametrize("wrong", [1.5, -0.1])
    def test_a_ratio_is_from_0_to_1(self, telemetry, wrong):
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

    @pytest.mark.parametrize("wrong", ["yes", None, 1, []])
    def test_a_success_that_is_not_a_bool_is_neither(self, telemetry, wrong):
        EnhancedMetricsCollector().record_event_processing(0.1, "mqtt", success=wrong)
        (labels,) = values(telemetry, ingest.EVENT_DURATION)
        assert ("homeassistant_outcome", "_OTHER") in labels
        assert PerformanceMonitor().error_counts["total"] == 0

    def test_an_unknown_severity_is_other(self, telemetry):
        HAIngestorCollector().increment_errors("timeout", "db", "dire")
        (labels,) = values(telemetry, ingest.ERRORS)
        assert ("homeassistant_error_severity", "_OTHER") in labels
        assert problems(telemetry) == 1


class TestOperations:
    async def test_a_block_is_an_event_of_the_monitoring(self, telemetry):
        monitor = PerformanceMonitor()
        async with monitor.monitor_operation("refresh", {"some": "label"}):
            assert total(telemetry, ingest.IN_FLIGHT) == 1
        assert len(monitor.processing_times) == 1
        assert monitor.event_counts == {"total": 1, "mqtt": 0, "websocket": 0, "internal": 1, "monitoring": 1}

    async def test_an_exception_passes_and_is_an_error(self, telemetry):
        monitor = PerformanceMonitor()
        with pytest.raises(LookupError, match="gone"):
            async with monitor.monitor_operation("refresh"):
                raise LookupError("gone")
        assert monitor.error_counts["processing"] == 1
        assert len(monitor.processing_times) == 1
        (labels,) = values(telemetry, ingest.EVENT_DURATION)
        assert {("homeassistant_outcome", "error"), ("error_type", "LookupError")} <= labels

    async def test_a_cancellation_passes_and_is_not_an_error(self, telemetry):
        monitor = PerformanceMonitor()

        async def work() -> None:
            async with monitor.monitor_operation("refresh"):
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert monitor.error_counts["total"] == 0
        (labels,) = values(telemetry, ingest.EVENT_DURATION)
        assert ("homeassistant_outcome", "cancelled") in labels


class TestMonitoring:
    async def test_it_runs_as_a_task_until_it_is_stopped(self, telemetry):
        monitor = PerformanceMonitor()
        tasks = [asyncio.create_task(monitor.start_monitoring()) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        monitor.stop_monitoring()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert running_telemetry() is telemetry

    async def test_it_is_stopped_from_another_thread(self, telemetry):
        monitor = PerformanceMonitor()
        task = asyncio.create_task(monitor.start_monitoring())
        await asyncio.sleep(0)
        threading.Thread(target=monitor.stop_monitoring).start()
        await asyncio.wait_for(task, 5)

    async def test_it_can_be_cancelled(self, telemetry):
        task = asyncio.create_task(PerformanceMonitor().start_monitoring())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_it_starts_no_task_and_no_thread_that_copies(self, telemetry):
        before = (len(asyncio.all_tasks()), threading.active_count())
        collector = EnhancedMetricsCollector()
        await collector.start()
        assert (len(asyncio.all_tasks()), threading.active_count()) == before
        await collector.stop()

    async def test_collections_show_in_the_histories(self, telemetry):
        monitor = PerformanceMonitor()
        monitor.record_event_processed("mqtt")
        await EnhancedMetricsCollector().sync_metrics()
        assert monitor.business_metrics_history[-1].events_by_source == {"mqtt": 1}
        assert monitor.business_metrics_history[-1].total_events_processed == 1
        assert len(monitor.system_metrics_history) == len(monitor.performance_metrics_history) == 1


class TestSystemMetrics:
    async def test_the_event_loop_keeps_running_while_they_are_read(self, telemetry):
        asked, answered = threading.Event(), threading.Event()

        def slow() -> float | None:
            asked.set()
            return 1.0 if answered.wait(10) else None  # None: the loop could not answer

        ingest.QUEUE_SIZE.observe(slow, queue="slow")
        task = asyncio.create_task(PerformanceMonitor().collect_system_metrics())
        assert await asyncio.to_thread(asked.wait, 10)
        assert not task.done()
        answered.set()
        await task
        assert telemetry.history.totals(ingest.QUEUE_SIZE) == {"": 1.0}

    async def test_their_cpu_figure_is_the_systems_own(self, telemetry):
        monitor = PerformanceMonitor()
        await monitor.collect_system_metrics()
        before = psutil.cpu_times()
        burn_until(time.perf_counter() + 1.0)
        after = psutil.cpu_times()
        found = (await monitor.collect_system_metrics()).cpu_percent
        idle = after.idle + after.iowait - before.idle - before.iowait
        busy = 100 * (1 - idle / (sum(after[:8]) - sum(before[:8])))
        assert found == pytest.approx(busy, abs=10)
        assert found > 25 / psutil.cpu_count()

    async def test_the_rest_is_as_the_system_has_it(self, telemetry):
        found = await PerformanceMonitor().collect_system_metrics()
        memory = psutil.virtual_memory()
        assert found.memory_percent == pytest.approx(memory.percent, abs=5)
        assert found.memory_used_mb + found.memory_available_mb == pytest.approx(memory.total / 2**20, rel=0.1)
        assert 0 < found.disk_usage_percent < 100
        assert found.timestamp == pytest.approx(time.time(), abs=5)


def burn_until(end: float) -> None:
    while time.perf_counter() < end:
        sum(range(1000))


class TestAnswers:
    def test_the_monitors_summary_has_the_earlier_keys(self, telemetry):
        summary = PerformanceMonitor().get_metrics_summary()
        assert set(summary) == {"system_info", "current_metrics", "history_counts"}
        assert set(summary["current_metrics"]) == {"system", "performance", "business"}
        assert set(summary["history_counts"]) == {"system_metrics", "performance_metrics", "business_metrics"}
        earlier_info = {"platform", "python_version", "architecture", "processor", "hostname", "cpu_count"}
        assert earlier_info | {"memory_total_gb", "disk_total_gb"} <= set(summary["system_info"])

    def test_the_options_can_be_read(self, telemetry):
        options = {
            "monitoring_interval": 5.0,
            "enable_system_metrics": True,
            "enable_performance_metrics": False,
            "enable_business_metrics": True,
        }
        monitor = PerformanceMonitor(options)
        assert monitor.config == options
        assert {name: getattr(monitor, name) for name in options} == options
        given = {"enable_integration": False, "sync_interval": 5.0, "enable_auto_sync": False}
        collector = EnhancedMetricsCollector(given)
        assert {name: getattr(collector, name) for name in given} == given

    def test_the_collectors_summary_has_every_metric(self, telemetry):
        collector = HAIngestorCollector()
        collector.update_queue_depth(3)
        summary = collector.get_metrics_summary()
        assert set(summary) == {"registry", "metrics_count", "metrics"}
        queue = summary["metrics"]["homeassistant_queue_size"]
        assert queue["type"] == "gauge"
        assert [sample["value"] for sample in queue["samples"]] == [3.0]
        assert summary["metrics_count"] == len(summary["metrics"]) > 1

    def test_a_registry_that_is_given_has_every_metric_once(self, telemetry):
        registry = CollectorRegistry()
        assert HAIngestorCollector(registry).registry is registry
        HAIngestorCollector(registry).update_queue_depth(3)
        assert generate_latest(registry).decode().count("\nhomeassistant_queue_size{") == 1

    def test_a_separate_registry_has_them_too(self, telemetry):
        collector = HAIngestorCollector()
        collector.update_queue_depth(3)
        assert b"homeassistant_queue_size{" in generate_latest(collector.registry)

    def test_the_export_is_what_a_scrape_returns(self, telemetry):
        HAIngestorCollector().update_queue_depth(3)
        assert "homeassistant_queue_size{" in HAIngestorCollector().export_metrics()
        assert "homeassistant_queue_size{" in EnhancedMetricsCollector().export_prometheus_metrics()

    def test_without_a_scrape_the_export_is_empty(self):
        with earlier.telemetry(metrics_exporters=()):
            assert HAIngestorCollector().export_metrics() == ""

    def test_everything_together_has_the_earlier_keys(self, telemetry):
        found = EnhancedMetricsCollector().get_comprehensive_metrics()
        assert set(found) == {
            "timestamp",
            "registry_metrics",
            "prometheus_metrics",
            "performance_metrics",
            "integration_status",
        }
        assert found["registry_metrics"]["service"] == "test"
        assert set(found["integration_status"]) == {"enabled", "auto_sync", "running", "last_sync"}

    def test_all_metrics_say_how_long_it_is_up(self, telemetry):
        found = EnhancedMetricsCollector().get_all_metrics()
        assert found["ha_ingestor_up"] == 1
        assert found["ha_ingestor_uptime_seconds"] >= 0
        assert found["timestamp"] == pytest.approx(time.time(), abs=5)

    async def test_between_start_and_stop_health_is_that_of_telemetry(self, telemetry):
        collector = EnhancedMetricsCollector()
        assert collector.get_health_status()["status"] == "stopped"
        await collector.start()
        healthy = collector.get_health_status()
        assert healthy["status"] == "healthy"
        assert set(healthy) == {"status", "components", "integration", "metrics_count", "telemetry"}
        assert set(healthy["components"].values()) == {"active"}
        assert healthy["metrics_count"]["prometheus"] > 0
        await collector.stop()
        assert collector.get_health_status()["status"] == "stopped"

    async def test_health_says_that_telemetry_is_gone(self, alone):
        collector = get_enhanced_metrics_collector()
        await collector.start()
        running_telemetry().shutdown()
        assert collector.get_health_status()["status"] == "failed"
        assert collector.get_all_metrics()["ha_ingestor_up"] == 0


def test_importing_it_sets_nothing_up():
    assert running_telemetry() is None


def test_the_vocabulary_is_part_of_every_telemetry():
    with setup_telemetry("test", config=config(), catalog=Catalog()) as running:
        assert set(running._all) == {*runtime.CATALOG, *ha_ingestor.CATALOG}


FORKED = """
import os, re
from otel_ha.compat import get_prometheus_collector

collector = get_prometheus_collector()

def push(depth, connections, state):
    collector.update_queue_depth(depth)
    collector.update_active_connections(connections, "mqtt")
    collector.update_circuit_breaker_state(state, "db")

def show(who):
    text = collector.export_metrics()
    names = ("queue_size", "connection_active", "circuit_breaker_state")
    found = [re.findall(name + r"[{].* (.*)", text) for name in names]
    print(who, *(n for numbers in found for n in numbers), flush=True)

push(5, 3, 2)
if (child := os.fork()) == 0:
    push(2, 1, 0)
    show("child")
    os._exit(0)
os.waitpid(child, 0)
show("parent")
"""


def test_a_forked_child_and_its_parent_each_show_their_own_figures():
    quiet = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    command = [sys.executable, "-W", "error", "-c", FORKED]
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 2.0 1.0 1.0 0.0 0.0", "parent 5.0 3.0 0.0 0.0 1.0"], done.stderr


FORKED_WHILE_SET_UP = """
import logging, os, signal, threading
from otel_ha.compat import get_performance_monitor
from otel_ha.telemetry import running_telemetry

held, go_on = threading.Event(), threading.Event()

class Slow(logging.Handler):
    def emit(self, record):
        if threading.current_thread() is not threading.main_thread():
            held.set()
            go_on.wait()

logging.getLogger("otel_ha").addHandler(Slow())
other = threading.Thread(target=get_performance_monitor)
other.start()
held.wait()
if (child := os.fork()) == 0:
    signal.alarm(20)
    get_performance_monitor().record_event_processed("mqtt")
    print("child", get_performance_monitor().event_counts["total"], flush=True)
    os._exit(0)
print("ended with", os.waitpid(child, 0)[1])
go_on.set()
other.join()
"""


def test_a_child_forked_while_another_thread_sets_up_sets_up_for_itself():
    slow = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0", "OTEL_HA_NONSENSE": "1"}
    command = [sys.executable, "-c", FORKED_WHILE_SET_UP]
    done = subprocess.run(command, env={**os.environ, **slow}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 1", "ended with 0"], done.stderr


def test_an_instance_without_references_is_not_kept_for_a_fork():
    it = compat_running.Instance(object)
    gone = weakref.ref(it._lock)
    del it
    assert gone() is None
