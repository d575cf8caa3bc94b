"""The files of dashboards, by the program that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_ha.errors import TelemetryError
from otel_ha.render.catalogs import NamedCatalog
from otel_ha.render.dashboards.choice import chosen
from otel_ha.render.dashboards.vmui import vmui_dashboards

__all__ = ["FORMATS", "dashboard_files"]

FORMATS: Final = ("grafana", "vmui")


def dashboard_files(catalogs: Sequence[NamedCatalog], format: str) -> dict[str, str]:  # noqa: A002
    """Return one JSON file for each dashboard, in one of FORMATS.

    Raises CatalogError if two catalogs declare different metrics with one name, and TelemetryError without Grafana's
    SDK, which the extra `dashboards` installs.
    """
    dashboards = chosen(catalogs)
    if format == "vmui":
        return vmui_dashboards(dashboards)
    try:
        from otel_ha.render.dashboards.grafana import grafana_dashboards  # noqa: PLC0415 - needs Grafana's SDK
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("grafana_foundation_sdk"):
            raise
        raise TelemetryError(
            "dashboards for Grafana need grafana-foundation-sdk; install otel-ha[dashboards]"
        ) from error
    return grafana_dashboards(dashboards)
