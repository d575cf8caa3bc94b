"""PerformanceMonitor: records processing times, events and errors; returns system, performance and business metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import fmean
from time import perf_counter
from typing import Any

import psutil

from otel_ha.compat import answers, events
from otel_ha.compat.counts import Counts
from otel_ha.compat.metrics_collector import get_metrics_collector
from otel_ha.compat.running import Instance, ensure, is_running
from otel_ha.compat.words import entity_name
from otel_ha.declare.plain import plain_text
from otel_ha.history import BusinessMetrics, History, PerformanceMetrics, SystemMetrics
from otel_ha.measure.decorator import measured
from otel_ha.serve.summary.summary import FACTS, GB, system_info
from otel_ha.vocabulary import ingest

_MOST_TIMES = 1_000
_SUMMARY = {
    "system": ("cpu_percent", "memory_percent", "memory_used_mb", "disk_usage_percent", "timestamp"),
    "performance": (
        "event_processing_rate",
        "average_processing_time_ms",
        "p95_processing_time_ms",
        "p99_processing_time_ms",
        "error_rate",
        "timestamp",
    ),
    "business": (
        "total_events_processed",
        "data_points_written",
        "deduplication_rate",
        "filter_efficiency",
        "transformation_success_rate",
        "timestamp",
    ),
}
"""The keys of the summary by metrics; "_ms" is not a part of the field's name."""


class PerformanceMonitor:
    """The earlier performance monitor: it records to telemetry and answers from it.

    `config` may hold monitoring_interval (seconds), enable_system_metrics, enable_performance_metrics and
    enable_business_metrics. Raises ConfigError for a wrong value.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.logger = logging.getLogger("otel_ha.compat")
        self.config = config or {}
        settings = ensure(self.config)
        self.metrics_collector = get_metrics_collector()
        self.monitoring_interval = settings.monitoring_interval
        self.enable_system_metrics = settings.enable_system_metrics
        self.enable_performance_metrics = settings.enable_performance_metrics
        self.enable_business_metrics = settings.enable_business_metrics
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)
        self._events = Counts("mqtt", "websocket")
        self._errors = Counts("processing", "connection")
        self._cpu = CpuUse()
        self._system_info: Mapping[str, Any] | None = None
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def processing_times(self) -> list[float]:
        """The last 1,000 processing times, in milliseconds, newest last; a copy."""
        return list(self._times)

    def keep_time(self, milliseconds: float) -> None:
        """Store a processing time that has already been recorded."""
        self._times.append(milliseconds)

    def note_event(self, source: object, domain: object = "", entity: object = "") -> None:
        """Count an event that has already been recorded."""
        if is_running():
            self._events.add(
                *(plain_text(each) for each in (source, domain)), entity_name(ingest.ENTITY_EVENTS, entity)
            )

    def note_error(self, error_type: object) -> None:
        """Count an error that has already been recorded."""
        if is_running():
            self._errors.add(plain_text(error_type))

    def forget_times(self) -> None:
        """Clear the processing times."""
        self._times.clear()

    @property
    def event_counts(self) -> dict[str, int]:
        """Events that this monitor counted: "total", each source, domain and entity; a copy."""
        return self._events.copy()

    @property
    def error_counts(self) -> dict[str, int]:
        """Errors that this monitor counted: "total", "processing", "connection" and every other type; a copy."""
        return self._errors.copy()

    @property
    def system_metrics_history(self) -> list[SystemMetrics]:
        """System metrics at the last 100 collections, newest last."""
        return [answers.system_in_numbers(each.system) for each in answers.intervals(answers.running_history())]

    @property
    def performance_metrics_history(self) -> list[PerformanceMetrics]:
        """Performance metrics between the last 100 collections, newest last."""
        return [answers.in_numbers(each.performance) for each in answers.intervals(answers.running_history())]

    @property
    def business_metrics_history(self) -> list[BusinessMetrics]:
        """Business metrics at the last 100 collections, newest last."""
        return list(answers.business_history(answers.running_history()))

    @property
    def system_info(self) -> Mapping[str, Any]:
        """The host as in telemetry's summary, and disk_total_gb."""
        # Not a cached_property: until Python 3.12 that takes a lock, which a forked child could find held.
        if self._system_info is None:
            disk = {"disk_total_gb": lambda: round(psutil.disk_usage("/").total / GB, 2)}
            self._system_info = system_info({**FACTS, **disk})
        return self._system_info

    def record_processing_time(self, processing_time_ms: float) -> None:
        """Record an event with its duration in milliseconds."""
        if (took := events.timed(processing_time_ms)) is not None:
            self._times.append(took)

    def record_event_processed(self, source: str, domain: str = "", entity_id: str = "") -> None:
        """Count an event that was processed."""
        events.counted(source, domain, entity_id)
        self.note_event(source, domain, entity_id)

    def record_error(self, error_type: str) -> None:
        """Count an error."""
        events.failed(error_type)
        self.note_error(error_type)

    async def collect_system_metrics(self) -> SystemMetrics:
        """Return current system metrics; cpu_percent is since the previous call, or since the monitor was created."""
        return await asyncio.to_thread(self._collect)

    def _collect(self) -> SystemMetrics:
        if (history := answers.collected()) is None:
            return answers.system(None)
        return replace(answers.system(history), cpu_percent=self._cpu.percent())

    def calculate_performance_metrics(self) -> PerformanceMetrics:
        """Return performance metrics over the whole history; durations are exact, over the last 1,000 times."""
        return self._performance(answers.collected())

    def _performance(self, history: History | None) -> PerformanceMetrics:
        measured, times = answers.performance(history), sorted(self._times)
        if history is None or not times:
            return measured
        p50, p95, p99 = (times[int(len(times) * share)] for share in (0.5, 0.95, 0.99))
        return replace(
            measured,
            average_processing_time=fmean(times),
            p50_processing_time=p50,
            p95_processing_time=p95,
            p99_processing_time=p99,
        )

    def calculate_business_metrics(self) -> BusinessMetrics:
        """Return business metrics since telemetry started."""
        return answers.business(answers.collected())

    async def start_monitoring(self) -> None:
        """Make sure that telemetry is running, then wait for stop_monitoring(): services run it as a task."""
        ensure(self.config, again=True)
        waiting = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(waiting)
        try:
            await waiting[1].wait()
        finally:
            self._waiting.discard(waiting)

    def stop_monitoring(self) -> None:
        """Let start_monitoring() return. Telemetry keeps running until its own shutdown() or process exit."""
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(event.set)

    def get_metrics_summary(self) -> dict[str, Any]:
        """Return system_info, current_metrics (system, performance, business) and history_counts."""
        history = answers.collected()
        current = {
            "system": answers.system(history),
            "performance": self._performance(history),
            "business": answers.business(history),
        }
        stored = len(answers.intervals(history))
        return {
            "system_info": dict(self.system_info),
            "current_metrics": {
                name: {key: getattr(of, key.removesuffix("_ms")) for key in _SUMMARY[name]}
                for name, of in current.items()
            },
            "history_counts": dict.fromkeys((f"{name}_metrics" for name in current), stored),
        }

    @asynccontextmanager
    async def monitor_operation(self, operation_name: str, labels: dict[str, str] | None = None) -> AsyncIterator[None]:
        """Measure the block as an event with source "internal" and domain "monitoring"; exceptions pass through.

        An exception also counts as error "processing". `labels` are ignored.
        """
        del labels
        name = entity_name(ingest.ENTITY_EVENTS, operation_name)
        started = perf_counter()
        try:
            with measured(ingest.EVENT, source="internal", domain="monitoring", entity=name):
                yield
        except Exception:
            self.record_error("processing")
            raise
        else:
            self.record_event_processed("internal", "monitoring", name or "")
        finally:
            self._times.append((perf_counter() - started) * 1e3)


class CpuUse:
    """CPU utilization of the host between two calls."""

    def __init__(self) -> None:
        self._then = psutil.cpu_times()

    def percent(self) -> float:
        """Return the share of CPU time, in %, that was neither idle nor waiting for a disk since the previous call."""
        then, self._then = self._then, psutil.cpu_times()
        passed = _total(self._then) - _total(then)
        idle = _idle(self._then) - _idle(then)
        return min(max(100 * (1 - idle / passed), 0.0), 100.0) if passed > 0 else 0.0


def _idle(times: Any) -> float:
    return float(times.idle + getattr(times, "iowait", 0.0))


def _total(times: Any) -> float:
    # user and nice already include the time of guests (proc(5)).
    return float(sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def create_performance_monitor(config: dict[str, Any] | None = None) -> PerformanceMonitor:
    """Return a new monitor."""
    return PerformanceMonitor(config)


_the_monitor = Instance(create_performance_monitor)


def get_performance_monitor() -> PerformanceMonitor:
    """Return the monitor of this process; sets telemetry up from the environment unless that has been done."""
    return _the_monitor.get()


def set_performance_monitor(monitor: PerformanceMonitor) -> None:
    """Replace the monitor of this process."""
    _the_monitor.set(monitor)
