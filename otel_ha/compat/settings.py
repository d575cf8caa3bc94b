"""The earlier settings, and their successors in TelemetryConfig."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from otel_ha.config.parsing import BOOLEAN, seconds
from otel_ha.config.settings import ARGUMENT, DEFAULT, Settings, environment, setting, settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError

_logger = logging.getLogger("otel_ha.compat")

_ENV_FILE: Final = ".env"
_DAY: Final = 86_400.0


def _old(kind: Any, name: str, **known: Any) -> Any:
    return setting(kind, name, section="ha_ingestor", **known)


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings(Settings):
    """The earlier settings; an argument beats the variable, and the variable beats the default.

    As in the earlier system, a variable may be written in any case, and one in the file .env of the working directory
    counts unless the environment has it. Raises ConfigError for a wrong value, as TelemetryConfig does.
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
        return cls(
            environ=earlier_variables(environ), **{name: config[name] for name in settings(cls) if name in config}
        )

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


def earlier_variables(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of the earlier settings that are set, by their names in capitals.

    `environ` is the environment (the process's own if None). The file .env counts only with the process's own.
    """
    known = {name for one in settings(MonitoringSettings).values() for name in one.variables}
    below = _of_file() if environ is None else {}
    process = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for variables in (below, process):
        # Names in capitals last: of two spellings in one place, they win.
        for name in sorted(variables, reverse=True):
            if name.upper() in known and variables[name].strip():
                found[name.upper()] = variables[name]
    return found


def _of_file() -> Mapping[str, str]:
    if not Path(_ENV_FILE).is_file():
        return {}
    try:
        return environment({}, _ENV_FILE)
    except (ConfigError, OSError) as error:  # the working directory may be gone meanwhile
        _logger.warning("the earlier settings in %s are not used: %s", _ENV_FILE, error)
        return {}


_NOW: Final[Mapping[str, Sequence[str]]] = {
    "monitoring_enabled": ("enabled",),
    "monitoring_interval": ("export_interval", "history_interval"),
    "enable_system_metrics": ("system_metrics",),
    "enable_performance_metrics": ("performance_metrics",),
    "enable_business_metrics": ("business_metrics",),
}
"""Today's names of the settings whose value is unchanged."""
