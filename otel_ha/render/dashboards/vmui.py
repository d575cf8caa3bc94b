"""Dashboards for vmui, the page of VictoriaMetrics: graphs of lines, without variables, units or thresholds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from otel_ha.render.dashboards.panels import Dashboard, Panel, Query
from otel_ha.render.dashboards.units import plain_unit
from otel_ha.render.promql import EVERYTHING

__all__ = ["vmui_dashboards"]

_NARROWEST: Final = 4  # of 12: three graphs beside each other on a small screen


def vmui_dashboards(dashboards: Iterable[Dashboard]) -> dict[str, str]:
    """Return one file for each dashboard. The page shows them in the order of the files' names."""
    return {f"{each.place}-{each.uid}.json": _text(_dashboard(each)) for each in dashboards}


def _text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    rows = [
        {"title": row.title, "panels": [_panel(panel) for panel in row.panels if not panel.repeats]}
        for row in dashboard.rows
    ]
    return {"title": dashboard.title, "rows": rows}


def _panel(panel: Panel) -> dict[str, Any]:
    unit = plain_unit(panel.unit)
    queries = panel.lines or panel.queries
    limit = [(f"{panel.limit * unit.factor:g}", "limit")] if panel.limit is not None else []
    lines = [*((_scaled(query, unit.factor), _legend(query)) for query in queries), *limit]
    return {
        "title": panel.title,
        "description": panel.explained,
        "unit": unit.text,
        "expr": [expr for expr, _ in lines],
        "alias": [alias for _, alias in lines],
        "showLegend": True,
        "width": max(_NARROWEST, panel.width // 2),
    }


def _scaled(query: Query, factor: float) -> str:
    expr = query.expr(EVERYTHING)
    return expr if factor == 1 else f"{factor:.10g} * ({expr})"


def _legend(query: Query) -> str:
    """Return the legend with the job, because the page cannot choose a service."""
    return query.legend if "{{job}}" in query.legend else f"{query.legend} · {{{{job}}}}"
