"""The earlier API sets telemetry up when it is first used, or uses the telemetry that is running."""

import asyncio
import logging

import pytest

from otel_ha import Catalog, ConfigError, setup_telemetry
from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    MetricsCollector,
    PerformanceMonitor,
    create_performance_monitor,
    get_enhanced_metrics_collector,
    get_metrics_collector,
    get_performance_monitor,
    get_prometheus_collector,
    set_enhanced_metrics_collector,
    set_metrics_collector,
    set_performance_monitor,
    set_prometheus_collector,
)
from otel_ha.compat import running as compat_running
from otel_ha.compat.settings import MonitoringSettings
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest, runtime
from tests import earlier
from tests.earlier import values
from tests.recorded import in_threads
from tests.unit.compat.conftest import run
from tests.unit.conftest import config


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

    def test_set_up_with_equal_settings_returns_the_running_telemetry(self, alone):
        get_performance_monitor()
        first = running_telemetry()
        assert setup_telemetry() is first
        with pytest.raises(ConfigError, match="with other settings: service_name"):
            setup_telemetry("another")  # it exists by now

    def test_equal_telemetry_that_a_service_set_up_in_between_is_not_replaced(self, alone):
        with setup_telemetry() as telemetry:
            assert compat_running.set_up(MonitoringSettings.of({})) is telemetry
            with pytest.raises(ConfigError, match="with other settings: service_name"):
                setup_telemetry("another")

    def test_telemetry_that_a_service_set_up_itself_is_not_replaced(self, telemetry):
        get_performance_monitor()
        with pytest.raises(ConfigError, match="with other settings: service_name"):
            setup_telemetry("another", config=telemetry.config)

    def test_the_earlier_variables_apply(self, alone):
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
            (
                "telemetry already runs with other settings; ignored: export_interval=5.0, history_interval=5.0; "
                "pass them to setup_telemetry()"
            )
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

    def test_instruments_missing_from_the_catalog_count_as_zero(self):
        with earlier.untouched(), setup_telemetry("test", config=config(), catalog=Catalog()):
            monitor = get_performance_monitor()
            monitor.record_error("processing")
            monitor.record_event_processed("mqtt", "light")
            assert monitor.error_counts["total"] == 1
            assert monitor.calculate_performance_metrics().error_rate == 0
            assert monitor.calculate_business_metrics().events_by_source == {"mqtt": 1}

    @pytest.mark.parametrize(
        ("get", "put", "cls"),
        [
            (get_performance_monitor, set_performance_monitor, PerformanceMonitor),
            (get_prometheus_collector, set_prometheus_collector, HAIngestorCollector),
            (get_enhanced_metrics_collector, set_enhanced_metrics_collector, EnhancedMetricsCollector),
            (get_metrics_collector, set_metrics_collector, MetricsCollector),
        ],
    )
    def test_the_instance_can_be_replaced(self, telemetry, get, put, cls):
        first, other = get(), cls()
        assert get() is first
        put(other)
        assert get() is other


def test_importing_the_package_sets_nothing_up():
    assert running_telemetry() is None


def test_the_vocabulary_is_part_of_every_telemetry():
    with setup_telemetry("test", config=config(system_metrics=True, entity_metrics=True), catalog=Catalog()):
        assert all(instrument.recorder is not None for instrument in (*runtime.CATALOG, *ha_ingestor.CATALOG))
        assert all(instrument.recorder is None for instrument in ingest.CATALOG)
