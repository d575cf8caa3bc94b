"""PerformanceMonitor: processing times, events and errors in; system, performance and business metrics out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from time import perf_counter
from typing import Any

import psutil

from otel_ha.compat import events, figures
from otel_ha.compat.running import Instance, ensure
from otel_ha.compat.words import entity_name
from otel_ha.history import BusinessMetrics, PerformanceMetrics, SystemMetrics
from otel_ha.measure.decorator import measured
from otel_ha.serve.summary import system_info
from otel_ha.vocabulary import ingest

_MOST_TIMES = 1_000


class PerformanceMonitor:
    """The earlier performance monitor; what it is told goes to telemetry, and what it answers comes from there.

    `config` may hold monitoring_interval (seconds), enable_system_metrics, enable_performance_metrics and
    enable_business_metrics. Raises ConfigError for a wrong value.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = config or {}
        settings = ensure(self.config)
        self.monitoring_interval = settings.monitoring_interval
        self.enable_system_metrics = settings.enable_system_metrics
        self.enable_performance_metrics = settings.enable_performance_metrics
        self.enable_business_metrics = settings.enable_business_metrics
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)
        self._cpu = CpuUse()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def processing_times(self) -> list[float]:
        """The last 1,000 processing times, in milliseconds, newest last; a copy."""
        return list(self._times)

    def keep_time(self, milliseconds: float) -> None:
        """Keep a processing time that is recorded already."""
        self._times.append(milliseconds)

    def forget_times(self) -> None:
        """Forget the processing times."""
        self._times.clear()

    @property
    def event_counts(self) -> dict[str, int]:
        """Events processed: "total", each source, domain and, where entity metrics are on, entity; a copy."""
        return figures.event_counts(figures.collected())

    @property
    def error_counts(self) -> dict[str, int]:
        """Errors: "total", "processing", "connection" and every other kind; a copy."""
        return figures.error_counts(figures.collected())

    @property
    def system_metrics_history(self) -> list[SystemMetrics]:
        """How the host fared at the last collections, at most 100, newest last."""
        return [each.system for each in figures.intervals(figures.history())]

    @property
    def performance_metrics_history(self) -> list[PerformanceMetrics]:
        """How the work fared between the last collections, at most 100, newest last."""
        return [each.performance for each in figures.intervals(figures.history())]

    @property
    def business_metrics_history(self) -> list[BusinessMetrics]:
        """What had become of the events at the last collections, at most 100, newest last."""
        return list(figures.business_history(figures.history()))

    @cached_property
    def system_info(self) -> Mapping[str, Any]:
        """The machine: what telemetry's summary says of it, and disk_total_gb."""
        return {**system_info(), "disk_total_gb": round(psutil.disk_usage("/").total / 1024**3, 2)}

    def record_processing_time(self, processing_time_ms: float) -> None:
        """Record an event that took so many milliseconds."""
        if events.timed(processing_time_ms):
            self._times.append(processing_time_ms)

    def record_event_processed(self, source: str, domain: str = "", entity_id: str = "") -> None:
        """Count an event that was processed."""
        events.counted(source, domain, entity_id)

    def record_error(self, error_type: str) -> None:
        """Count an error."""
        events.failed(error_type)

    async def collect_system_metrics(self) -> SystemMetrics:
        """Return how the host fares now; its CPUs since the call before, or since this was made."""
        return await asyncio.to_thread(self._collect)

    def _collect(self) -> SystemMetrics:
        if (kept := figures.collected()) is None:
            return SystemMetrics()
        return replace(figures.system(kept), cpu_percent=self._cpu.percent())

    def calculate_performance_metrics(self) -> PerformanceMetrics:
        """Return how the work fares, over all that the history keeps."""
        return figures.performance(figures.collected())

    def calculate_business_metrics(self) -> BusinessMetrics:
        """Return what became of the events, since telemetry began."""
        return figures.business(figures.collected())

    async def start_monitoring(self) -> None:
        """Make sure that telemetry runs, and wait for stop_monitoring(): as before it is a task's whole work."""
        ensure(self.config, again=True)
        waiting = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(waiting)
        try:
            await waiting[1].wait()
        finally:
            self._waiting.discard(waiting)

    def stop_monitoring(self) -> None:
        """Let start_monitoring() return. Telemetry goes on: it ends with the process, or by its own shutdown()."""
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(event.set)

    def get_metrics_summary(self) -> dict[str, Any]:
        """Return system_info, current_metrics (system, performance, business) and history_counts."""
        history = figures.collected()
        system, performance, business = figures.system(history), figures.performance(history), figures.business(history)
        kept = len(figures.intervals(history))
        return {
            "system_info": dict(self.system_info),
            "current_metrics": {
                "system": {
                    "cpu_percent": system.cpu_percent,
                    "memory_percent": system.memory_percent,
                    "memory_used_mb": system.memory_used_mb,
                    "disk_usage_percent": system.disk_usage_percent,
                    "timestamp": system.timestamp,
                },
                "performance": {
                    "event_processing_rate": performance.event_processing_rate,
                    "average_processing_time_ms": performance.average_processing_time,
                    "p95_processing_time_ms": performance.p95_processing_time,
                    "p99_processing_time_ms": performance.p99_processing_time,
                    "error_rate": performance.error_rate,
                    "timestamp": performance.timestamp,
                },
                "business": {
                    "total_events_processed": business.total_events_processed,
                    "data_points_written": business.data_points_written,
                    "deduplication_rate": business.deduplication_rate,
                    "filter_efficiency": business.filter_efficiency,
                    "transformation_success_rate": business.transformation_success_rate,
                    "timestamp": business.timestamp,
                },
            },
            "history_counts": {
                "system_metrics": kept,
                "performance_metrics": kept,
                "business_metrics": kept,
            },
        }

    @asynccontextmanager
    async def monitor_operation(self, operation_name: str, labels: dict[str, str] | None = None) -> AsyncIterator[None]:
        """Measure the block as an event of the source internal and the domain monitoring; exceptions pass through.

        An exception that leaves it is counted as an error "processing" as well. `labels` are taken and not used.
        """
        del labels
        name = entity_name(ingest.ENTITY_EVENTS, operation_name)
        started = perf_counter()
        try:
            with measured(ingest.EVENT, source="internal", domain="monitoring", entity=name):
                yield
        except Exception:
            events.failed("processing")
            raise
        else:
            events.counted("internal", "monitoring", name or "")
        finally:
            self._times.append((perf_counter() - started) * 1e3)


class CpuUse:
    """How busy the machine's CPUs are, from one question to the next."""

    def __init__(self) -> None:
        self._then = psutil.cpu_times()

    def percent(self) -> float:
        """Return the share of time, in %, that was neither idle nor waiting for a disk since the question before."""
        then, self._then = self._then, psutil.cpu_times()
        passed = _total(self._then) - _total(then)
        idle = _idle(self._then) - _idle(then)
        return min(max(100 * (1 - idle / passed), 0.0), 100.0) if passed > 0 else 0.0


def _idle(times: Any) -> float:
    return float(times.idle + getattr(times, "iowait", 0.0))


def _total(times: Any) -> float:
    # The time of guests is in that of user and nice already (proc(5)).
    return float(sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def create_performance_monitor(config: dict[str, Any] | None = None) -> PerformanceMonitor:
    """Return a new monitor."""
    return PerformanceMonitor(config)


_the_monitor = Instance(create_performance_monitor)


def get_performance_monitor() -> PerformanceMonitor:
    """Return the process's monitor; sets telemetry up from the environment where that has not been done."""
    return _the_monitor.get()


def set_performance_monitor(monitor: PerformanceMonitor) -> None:
    """Make `monitor` the process's monitor."""
    _the_monitor.set(monitor)
