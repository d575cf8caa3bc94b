"""Blocks measured by the earlier API, and its monitoring task."""

import asyncio
import threading

import pytest

from otel_ha.compat import EnhancedMetricsCollector, PerformanceMonitor
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ingest
from tests.earlier import total, values


class TestOperations:
    async def test_a_block_is_an_event_of_the_domain_monitoring(self, telemetry):
        monitor = PerformanceMonitor()
        async with monitor.monitor_operation("refresh", {"some": "label"}):
            assert total(telemetry, ingest.IN_FLIGHT) == 1
        assert len(monitor.processing_times) == 1
        assert monitor.event_counts == {
            "total": 1,
            "mqtt": 0,
            "websocket": 0,
            "internal": 1,
            "monitoring": 1,
            "refresh": 1,
        }

    async def test_an_exception_passes_through_and_counts_as_an_error(self, telemetry):
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

    async def test_start_creates_neither_a_task_nor_a_thread(self, telemetry):
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
