"""System metrics as the earlier API returns them."""

import asyncio
import threading
import time

import psutil
import pytest

from otel_ha.compat import PerformanceMonitor
from otel_ha.vocabulary import ingest


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

    async def test_their_cpu_percentage_agrees_with_the_system(self, telemetry):
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

    async def test_their_memory_and_disk_usage_agree_with_the_system(self, telemetry):
        found = await PerformanceMonitor().collect_system_metrics()
        memory = psutil.virtual_memory()
        assert found.memory_percent == pytest.approx(memory.percent, abs=5)
        assert found.memory_used_mb + found.memory_available_mb == pytest.approx(memory.total / 2**20, rel=0.1)
        assert 0 < found.disk_usage_percent < 100
        assert found.timestamp == pytest.approx(time.time(), abs=5)


def burn_until(end: float) -> None:
    while time.perf_counter() < end:
        sum(range(1000))
