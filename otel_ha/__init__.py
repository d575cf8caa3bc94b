"""OpenTelemetry metrics for the services around Home Assistant: one call, one decorator, one catalog.

The names listed here are the public interface. Importing them opens nothing, starts nothing and reads no environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ha.config.telemetry_config import TelemetryConfig
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
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import Discarded
from otel_ha.declare.rename import Rename
from otel_ha.declare.resolved import BoundOperation
from otel_ha.errors import CatalogError, ConfigError, TelemetryError
from otel_ha.measure.decorator import measured
from otel_ha.measure.measurement import Measurement
from otel_ha.version import __version__

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import names that need the SDK on first use: modules that only declare and measure do not pay for it."""
    if name in {"Telemetry", "setup_telemetry"}:
        from otel_ha import telemetry  # noqa: PLC0415

        return getattr(telemetry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
