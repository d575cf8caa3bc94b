"""EnhancedMetricsCollector: the earlier facade of the other two objects; telemetry leaves it nothing to sync."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from otel_ha.compat import answers, events, pushed
from otel_ha.compat.metrics_collector import get_metrics_collector
from otel_ha.compat.performance_monitor import get_performance_monitor
from otel_ha.compat.prometheus_collector import get_prometheus_collector
from otel_ha.compat.running import Instance, ensure
from otel_ha.compat.words import has_failed, outcome_of
from otel_ha.telemetry import running_telemetry

_logger = logging.getLogger("otel_ha.compat")


class EnhancedMetricsCollector:
    """The earlier enhanced collector: it records to telemetry and answers from it.

    `config` may hold enable_integration, sync_interval (seconds) and enable_auto_sync, which can be read back but have
    no effect, and the earlier settings (see otel_ha.compat.settings). Raises ConfigError for a wrong setting.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.logger = _logger
        self.config = config or {}
        settings = ensure(self.config)
        self.enable_integration = self.config.get("enable_integration", True)
        self.sync_interval = self.config.get("sync_interval", settings.metrics_sync_interval)
        self.enable_auto_sync = self.config.get("enable_auto_sync", True)
        self.registry = get_metrics_collector()
        self.performance_monitor = get_performance_monitor()
        self.prometheus_collector = get_prometheus_collector()
        self._running = False
        self._start_time = time.time()

    async def start(self) -> None:
        """Make sure that telemetry is running."""
        ensure(self.config, again=True)
        self._running = True

    async def stop(self) -> None:
        """Report "stopped" in get_health_status(). Telemetry keeps running until its own shutdown() or process exit."""
        self._running = False

    async def sync_metrics(self) -> None:
        """Collect now, in a thread, so that the next answers are up to date."""
        await asyncio.to_thread(answers.collected)

    def record_event_processing(
        self,
        duration_seconds: float,
        source: str = "unknown",
        domain: str = "unknown",
        entity_id: str = "unknown",
        success: bool = True,  # noqa: FBT001, FBT002 - the earlier signature
    ) -> None:
        """Record an event with its duration in seconds and its outcome; a failure also counts as error "processing"."""
        outcome = outcome_of(success)
        took = events.measured(duration_seconds, source, domain, entity_id, outcome)
        if took is None:
            return
        self.performance_monitor.keep_time(took * 1e3)
        self.performance_monitor.note_event(source, domain, entity_id)
        self.registry.note_event(source, success)
        events.counted(source, domain, entity_id, outcome)
        if has_failed(success):
            events.failed("processing")
            self.performance_monitor.note_error("processing")

    def record_error(self, error_type: str, component: str = "unknown", severity: str = "unknown") -> None:
        """Count an error."""
        events.failed(error_type, component, severity)
        self.performance_monitor.note_error(error_type)
        self.registry.note_error(error_type, severity)

    def record_circuit_breaker_state(self, state: str, component: str = "unknown") -> None:
        """Set the state of a circuit breaker: closed, half_open or open."""
        pushed.circuit_breaker(state, component)
        self.registry.note_breaker(component, state)

    def record_retry_attempt(self, component: str = "unknown", operation: str = "unknown") -> None:
        """Count a retry."""
        events.retried(component, operation)
        self.registry.note_retry(component, operation)

    def get_comprehensive_metrics(self) -> dict[str, Any]:
        """Return timestamp, registry_metrics, prometheus_metrics, performance_metrics and integration_status.

        registry_metrics is telemetry's summary with that of the registry.
        """
        telemetry = running_telemetry()
        return {
            "timestamp": time.time(),
            "registry_metrics": {
                **(telemetry.summary() if telemetry is not None else {}),
                **self.registry.get_metrics_summary(),
            },
            "prometheus_metrics": self.prometheus_collector.get_metrics_summary(),
            "performance_metrics": self.performance_monitor.get_metrics_summary(),
            "integration_status": {
                "enabled": self.enable_integration,
                "auto_sync": self.enable_auto_sync,
                "running": self._running,
                "last_sync": answers.last_collection(),
            },
        }

    def export_prometheus_metrics(self) -> str:
        """Return the text that a scrape returns, then the earlier names; empty if telemetry does not run."""
        return self.prometheus_collector.export_metrics()

    def get_all_metrics(self) -> dict[str, Any]:
        """Return ha_ingestor_up, the uptime and start time in seconds, timestamp, and the collector's summary."""
        now = time.time()
        return {
            "ha_ingestor_up": int(running_telemetry() is not None),
            "ha_ingestor_uptime_seconds": now - self._start_time,
            "ha_ingestor_start_time_seconds": self._start_time,
            **self.prometheus_collector.get_metrics_summary(),
            "timestamp": now,
        }

    def get_health_status(self) -> dict[str, Any]:
        """Return status, components, integration and metrics_count as before, and telemetry's health.

        The status is stopped before start() and after stop(), healthy while telemetry is ok, else telemetry's own.
        """
        telemetry = running_telemetry()
        health = dict(telemetry.health()) if telemetry is not None else {"status": "failed"}
        now = "healthy" if health["status"] == "ok" else health["status"]
        parts = ("registry", "prometheus_collector", "performance_monitor")
        metrics = len(list(self.prometheus_collector.collect()))
        registered = len(self.registry.registry.get_metric_names())
        return {
            "status": now if self._running else "stopped",
            "components": dict.fromkeys(parts, "inactive" if telemetry is None else "active"),
            "integration": {
                "enabled": self.enable_integration,
                "auto_sync": self.enable_auto_sync,
                "last_sync": answers.last_collection(),
            },
            "metrics_count": {"registry": registered, "prometheus": metrics},
            "telemetry": health,
        }

    def reset_metrics(self) -> None:
        """Clear the processing times. Counters continue: Prometheus would take a reset for a restart."""
        self.performance_monitor.forget_times()
        _logger.info("reset_metrics(): processing times cleared; counters continue, because other readers rely on them")


def create_enhanced_metrics_collector(config: dict[str, Any] | None = None) -> EnhancedMetricsCollector:
    """Return a new collector."""
    return EnhancedMetricsCollector(config)


_the_collector = Instance(create_enhanced_metrics_collector)


def get_enhanced_metrics_collector() -> EnhancedMetricsCollector:
    """Return the collector of this process; sets telemetry up from the environment unless that has been done."""
    return _the_collector.get()


def set_enhanced_metrics_collector(collector: EnhancedMetricsCollector) -> None:
    """Replace the collector of this process."""
    _the_collector.set(collector)
