"""The earlier settings, and their successors in TelemetryConfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from otel_ha.config.parsing import BOOLEAN, seconds
from otel_ha.config.settings import ARGUMENT, DEFAULT, Settings, setting, settings
from otel_ha.config.telemetry_config import TelemetryConfig

_DAY: Final = 86_400.0


def _old(kind: Any, name: str, **known: Any) -> Any:
    return setting(kind, name, section="ha_ingestor", **known)


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings(Settings):
    """The earlier settings; an argument beats the variable (the name in capitals), and the variable beats the default.

    Raises ConfigError for a wrong value, as TelemetryConfig does.
    """

    prefix: ClassVar[str] = "HA_INGESTOR_"  # no variable has it, so that none is reported as unknown

    # fmt: off
    monitoring_enabled: bool = _old(
        BOOLEAN, "MONITORING_ENABLED", default=True, help="`enabled`",
    )
    monitoring_interval: float = _old(
        seconds(0.1, _DAY), "MONITORING_INTERVAL", default=30.0, help="`export_interval` and `history_interval`",
    )
    enable_system_metrics: bool = _old(
        BOOLEAN, "ENABLE_SYSTEM_METRICS", default=True, help="`system_metrics`",
    )
    enable_performance_metrics: bool = _old(
        BOOLEAN, "ENABLE_PERFORMANCE_METRICS", default=True, help="`performance_metrics`",
    )
    enable_business_metrics: bool = _old(
        BOOLEAN, "ENABLE_BUSINESS_METRICS", default=True, help="`business_metrics`",
    )
    enable_prometheus_integration: bool = _old(
        BOOLEAN, "ENABLE_PROMETHEUS_INTEGRATION", default=True,
        help="`prometheus` in `metrics_exporters`",
    )
    metrics_sync_interval: float = _old(
        seconds(0.1, _DAY), "METRICS_SYNC_INTERVAL", default=10.0, help="none: there is nothing to sync",
    )
    # fmt: on

    @classmethod
    def of(cls, config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> MonitoringSettings:
        """Return the settings of an earlier configuration; other keys are ignored."""
        return cls(environ=environ, **{name: config[name] for name in settings(cls) if name in config})

    def given(self) -> Mapping[str, Any]:
        """Return the settings given as arguments whose value is unchanged today, by today's names."""
        return {now: getattr(self, name) for name in _NOW if self.sources[name] == ARGUMENT for now in _NOW[name]}

    def telemetry_config(self, environ: Mapping[str, str] | None = None) -> TelemetryConfig:
        """Return the equivalent TelemetryConfig. A variable of today's settings beats an earlier variable."""
        today = TelemetryConfig(environ=environ)
        asked = {now: getattr(self, name) for name in _NOW for now in _NOW[name] if self._applies(name, now, today)}
        if not self.enable_prometheus_integration and self._applies(
            "enable_prometheus_integration", "metrics_exporters", today
        ):
            asked["metrics_exporters"] = [each for each in today.metrics_exporters if each != "prometheus"]
        return TelemetryConfig(environ=environ, **asked)

    def _applies(self, name: str, now: str, today: TelemetryConfig) -> bool:
        source = self.sources[name]
        return source == ARGUMENT or (source != DEFAULT and today.sources[now] == DEFAULT)


_NOW: Final[Mapping[str, Sequence[str]]] = {
    "monitoring_enabled": ("enabled",),
    "monitoring_interval": ("export_interval", "history_interval"),
    "enable_system_metrics": ("system_metrics",),
    "enable_performance_metrics": ("performance_metrics",),
    "enable_business_metrics": ("business_metrics",),
}
"""Today's names of the settings whose value is unchanged."""
