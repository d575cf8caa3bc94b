"""The summaries, exports and health of the earlier API."""

import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    PerformanceMonitor,
    get_enhanced_metrics_collector,
)
from otel_ha.telemetry import running_telemetry
from tests import earlier


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
