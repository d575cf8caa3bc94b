"""One panel for Grafana: its queries, its drawing, its colors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Any, Final

from otel_ha.render.dashboards.panels import BAD, GOOD, Colors, Drawing, Panel, Query
from otel_ha.render.dashboards.sdk import (
    build,
    common,
    dashboard,
    heatmap,
    heatmap_models,
    prometheus,
    query_models,
    shape,
    stat,
    timeseries,
)
from otel_ha.render.dashboards.units import grafana_unit
from otel_ha.render.promql import Selection

__all__ = ["INTERVAL", "SOURCE", "grafana_panel"]

INTERVAL: Final = "30s"
"""The interval of pushes. Grafana makes the window of rates, $__rate_interval, at least four of these."""

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")


def grafana_panel(panel: Panel, selection: Selection) -> Any:
    """Return the builder of a panel."""
    drawn = _DRAWINGS[panel.drawing](panel)
    drawn.title(panel.title).description(panel.explained).span(panel.width).height(panel.height)
    if panel.drawing is Drawing.ALERTS:
        return drawn  # Grafana's list of alerts asks the rules, not the series
    drawn.datasource(SOURCE)
    for letter, query in zip(ascii_uppercase[: len(panel.queries)], panel.queries, strict=True):
        drawn.with_target(_query(query, selection, letter, panel.drawing))
    return drawn


def _query(query: Query, selection: Selection, letter: str, drawing: Drawing) -> prometheus.Dataquery:
    built = (
        prometheus.Dataquery()
        .ref_id(letter)
        .datasource(SOURCE)
        .expr(query.expr(selection))
        .legend_format(query.legend)
        .interval(INTERVAL)
        .editor_mode(query_models.QueryEditorMode.CODE)
    )
    if drawing is Drawing.NUMBER:
        return built.instant()  # the last value of a range would outlive its service
    built.range()
    if drawing is Drawing.HEATMAP:
        # Of the measurements within its cells, those of traced work are links to their traces.
        return built.format(query_models.PromQueryFormat.HEATMAP).exemplar(exemplar=True)
    return built


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .unit(grafana_unit(panel.unit))
        .line_width(1)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.AUTO)
        .legend(
            shape.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(shape.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .override_by_regexp("/error/", [_fixed(BAD)])
    )
    if panel.from_zero:
        drawn.axis_soft_min(0)
    if panel.top is not None:
        drawn.axis_soft_max(panel.top)
    if colors := _colors(panel):
        drawn.thresholds(_thresholds(colors))
        drawn.thresholds_style(shape.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    return drawn


def _stack(panel: Panel) -> timeseries.Panel:
    return _lines(panel).fill_opacity(40).stacking(shape.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))


def _number(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .unit(grafana_unit(panel.unit))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(shape.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(_thresholds(_colors(panel) or ((float("-inf"), GOOD),)))
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    )


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(calculate=False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(grafana_unit(panel.unit)).axis_placement(common.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("count:/s"))
    )


def _alerts(_: Panel) -> build.Panel:
    """Return Grafana's list of alerts, for which its SDK has no builder."""
    shown = {"firing": True, "pending": False, "error": True, "noData": False, "normal": False, "recovering": True}
    options = {
        "viewMode": "list",
        "groupMode": "default",
        "groupBy": [],
        "maxItems": 20,
        "sortOrder": 1,
        "dashboardAlerts": False,
        "alertName": "",
        "alertInstanceLabelFilter": '{severity!="info"}',
        "stateFilter": shown,
    }
    return build.Panel().type("alertlist").options(options)


def _colors(panel: Panel) -> Colors:
    """Return the panel's own colors, or those of its limit."""
    if panel.colors or panel.limit is None:
        return panel.colors
    worse, better = (BAD, GOOD) if panel.floor else (GOOD, BAD)
    return ((float("-inf"), worse), (panel.limit, better))


def _thresholds(colors: Colors) -> build.ThresholdsConfig:
    # Grafana writes the lowest step, minus infinity, as null.
    steps = [dashboard.Threshold(None if value == float("-inf") else value, color) for value, color in colors]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _fixed(color: str) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})


_DRAWINGS: Final[Mapping[Drawing, Callable[[Panel], Any]]] = {
    Drawing.LINES: _lines,
    Drawing.STACK: _stack,
    Drawing.NUMBER: _number,
    Drawing.HEATMAP: _heatmap,
    Drawing.ALERTS: _alerts,
}
