"""OpenTelemetry metrics for the services around Home Assistant: one call, one decorator, one catalog.

The names listed here are the public interface. Importing them opens nothing, starts nothing and reads no environment.
Each is imported on first use: a program need not load code that it does not use.

PYTEST_DONT_REWRITE (where `otel-ha run` starts pytest, it would warn that this module is imported already).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_ha.version import __version__

if TYPE_CHECKING:
    from otel_ha.config.telemetry_config import TelemetryConfig
    from otel_ha.declare.bound import BoundOperation
    from otel_ha.declare.catalog import Catalog, Objective
    from otel_ha.declare.handles import BoundCounter, BoundGauge, BoundHistogram
    from otel_ha.declare.instruments import (
        SUB_SECOND,
        Attribute,
        Counter,
        Gauge,
        Histogram,
        ObservableCounter,
        ObservableGauge,
        ObservableUpDownCounter,
        UpDownCounter,
        state_set,
    )
    from otel_ha.declare.measurement import Measurement
    from otel_ha.declare.operation import Operation
    from otel_ha.declare.outcome import Discarded
    from otel_ha.declare.rename import Rename
    from otel_ha.errors import CatalogError, ConfigError, TelemetryError
    from otel_ha.measure.decorator import measured
    from otel_ha.telemetry import Telemetry, setup_telemetry

__all__ = [
    "SUB_SECOND",
    "Attribute",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "BoundOperation",
    "Catalog",
    "CatalogError",
    "ConfigError",
    "Counter",
    "Discarded",
    "Gauge",
    "Histogram",
    "Measurement",
    "Objective",
    "ObservableCounter",
    "ObservableGauge",
    "ObservableUpDownCounter",
    "Operation",
    "Rename",
    "Telemetry",
    "TelemetryConfig",
    "TelemetryError",
    "UpDownCounter",
    "__version__",
    "measured",
    "setup_telemetry",
    "state_set",
]

_HOMES = {
    "TelemetryConfig": "otel_ha.config.telemetry_config",
    "Catalog": "otel_ha.declare.catalog",
    "Objective": "otel_ha.declare.catalog",
    "BoundCounter": "otel_ha.declare.handles",
    "BoundGauge": "otel_ha.declare.handles",
    "BoundHistogram": "otel_ha.declare.handles",
    "Attribute": "otel_ha.declare.instruments",
    "Counter": "otel_ha.declare.instruments",
    "Gauge": "otel_ha.declare.instruments",
    "Histogram": "otel_ha.declare.instruments",
    "ObservableCounter": "otel_ha.declare.instruments",
    "ObservableGauge": "otel_ha.declare.instruments",
    "ObservableUpDownCounter": "otel_ha.declare.instruments",
    "SUB_SECOND": "otel_ha.declare.instruments",
    "UpDownCounter": "otel_ha.declare.instruments",
    "state_set": "otel_ha.declare.instruments",
    "Operation": "otel_ha.declare.operation",
    "Discarded": "otel_ha.declare.outcome",
    "Rename": "otel_ha.declare.rename",
    "BoundOperation": "otel_ha.declare.bound",
    "CatalogError": "otel_ha.errors",
    "ConfigError": "otel_ha.errors",
    "TelemetryError": "otel_ha.errors",
    "measured": "otel_ha.measure.decorator",
    "Measurement": "otel_ha.declare.measurement",
    "Telemetry": "otel_ha.telemetry",
    "setup_telemetry": "otel_ha.telemetry",
}
"""The module of each name."""


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a public name."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    """Return the public names, imported or not, besides those that every module has."""
    return sorted({*__all__, *globals()})
