"""Dashboards for vmui, the page of VictoriaMetrics: graphs of lines, without variables, units or thresholds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.render.dashboards.panels import Dashboard, Drawing, Panel, Query, Row
from otel_ha.render.dashboards.units import PlainUnit, plain_unit
from otel_ha.render.promql import EVERYTHING

__all__ = ["vmui_dashboards"]

_MILLISECOND: Final = 0.001
_NARROWEST: Final = 3  # of 12: four graphs beside each other
_FIRST: Final = {Drawing.ALERTS: 0, Drawing.NUMBER: 1}


def vmui_dashboards(dashboards: Iterable[Dashboard]) -> dict[str, str]:
    """Return one file for each dashboard. The page shows them in the order of the files' names."""
    return {f"{each.place}-{each.uid}.json": _text(_dashboard(each)) for each in dashboards}


def _text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {"title": dashboard.title, "rows": [_row(row) for row in dashboard.rows]}


def _row(row: Row) -> dict[str, Any]:
    """Return the row with alerts and numbers first, as graphs: what a reader looks for must be on the first screen."""
    panels = sorted(row.panels, key=lambda panel: _FIRST.get(panel.drawing, len(_FIRST)))
    return {"title": row.title, "panels": [_panel(panel) for panel in panels if not panel.repeats]}


def _panel(panel: Panel) -> dict[str, Any]:
    short = any(_is_short(instrument) for instrument in panel.reads)
    unit = plain_unit(panel.unit, short=short, large=panel.large)
    queries = panel.lines or panel.queries
    lines = [(_scaled(query.expr(EVERYTHING), unit), _legend(query)) for query in queries]
    if panel.limit is not None:
        lines.append(
            (f"{panel.limit * unit.times / unit.per:g}", "objective" if panel.objective or panel.floor else "limit")
        )
    width = max(_NARROWEST, panel.width // 2)
    return {
        "title": panel.title,
        "description": panel.explained,
        "unit": unit.text,
        "expr": [expr for expr, _ in lines],
        "alias": [alias for _, alias in lines],
        "showLegend": _needs_legend(panel, width) and [alias for _, alias in lines] != ["{{job}}"],
        "width": width,
    }


def _needs_legend(panel: Panel, width: int) -> bool:
    """Whether a legend helps: the page repeats the whole query above it, which fills a narrow panel.

    Without one, the mouse shows the names of the lines. The names of alerts are what their panel is for.
    """
    return panel.drawing is Drawing.ALERTS or width > _NARROWEST


def _is_short(instrument: Instrument) -> bool:
    """Whether it measures times of milliseconds, as its buckets say."""
    return isinstance(instrument, Histogram) and instrument.buckets[0] <= _MILLISECOND


def _scaled(expr: str, unit: PlainUnit) -> str:
    if expr.startswith("topk("):
        # topk() chooses again at every point, which draws many more lines.
        expr = expr.replace("topk(", "topk_avg(", 1)
    if unit.per != 1:
        return f"({expr}) / {unit.per}"
    return expr if unit.times == 1 else f"{unit.times} * ({expr})"


def _legend(query: Query) -> str:
    """Return the legend with the job, because the page cannot choose a service, unless it is a line of no service."""
    of_service = query.reads or "{{" in query.legend
    return f"{query.legend} · {{{{job}}}}" if of_service and "{{job}}" not in query.legend else query.legend
