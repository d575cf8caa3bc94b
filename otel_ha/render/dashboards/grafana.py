"""Dashboards for Grafana 11 and later: its classic JSON, made by Grafana's own SDK.

Importing this module needs grafana-foundation-sdk; `files` imports it when Grafana's format is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from otel_ha.render.dashboards.grafana_panels import INTERVAL, SOURCE, grafana_panel
from otel_ha.render.dashboards.panels import Annotation, Dashboard
from otel_ha.render.dashboards.sdk import JSONEncoder, build, dashboard
from otel_ha.render.promql import Selection

__all__ = ["grafana_dashboards"]

_TAG: Final = "otel-ha"
_LABELS: Final = {"job": "Service", "instance": "Instance", "via": "Way in", "collector": "Collector"}


def grafana_dashboards(dashboards: Iterable[Dashboard]) -> dict[str, str]:
    """Return one file for each dashboard."""
    return {f"{each.uid}.json": _text(_dashboard(each)) for each in dashboards}


def _selection(shown: Dashboard) -> Selection:
    """Return the series that the reader of a dashboard has chosen, with a window that suits the range of time."""
    return Selection("$__rate_interval", tuple(f'{label}=~"${name}"' for label, name in shown.choices))


def _text(data: Any) -> str:
    return json.dumps(data, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _dashboard(shown: Dashboard) -> dashboard.Dashboard:
    selection = _selection(shown)
    built = (
        build.Dashboard(f"otel-ha: {shown.title}")
        .uid(shown.uid)
        .description(shown.description)
        .tags([_TAG])
        .editable()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables(_variables(shown))
        .annotations([_annotation(each, selection) for each in shown.annotations])
        .link(_links())
    )
    number = 0
    for row in shown.rows:
        if len(shown.rows) > 1:
            number += 1
            built.with_row(build.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            built.with_panel(grafana_panel(panel, selection).id(number))
    return _visible(built.build())


def _visible(built: dashboard.Dashboard) -> dashboard.Dashboard:
    """Return the dashboard with its links and annotations above the panels: the SDK puts them into a menu."""
    for shown in (*(built.links or ()), *(built.annotations.list_val or ())):
        shown.placement = None
    return built


def _variables(shown: Dashboard) -> list[Any]:
    """Return the choices of the reader: a data source, one service, and any of its instances and ways in."""
    chosen: list[str] = []
    variables: list[Any] = [build.DatasourceVariable("datasource").label("Data source").type("prometheus")]
    for label, name in shown.choices:
        matchers = ", ".join((f'__name__=~"{shown.series}"', *chosen))
        query = f"label_values({{{matchers}}}, {label})"
        variable = (
            build.QueryVariable(name)
            .label(_LABELS[name])
            .datasource(SOURCE)
            .query({"query": query, "refId": name})
            .definition(query)
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        )
        if label == "job":
            chosen.append(f'job=~"${name}"')
        else:
            # ".*" also takes series without the label: a push has no `via`.
            variable.multi(multi=True).include_all(include_all=True).all_value(".*")
            variable.current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        variables.append(variable)
    return variables


def _annotation(annotation: Annotation, selection: Selection) -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name(annotation.name)
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(annotation.color)
        .expr(annotation.query.expr(selection))
        .step(INTERVAL)
        .title_format(annotation.query.legend)
    )


def _links() -> build.DashboardLink:
    return (
        build.DashboardLink("otel-ha")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
