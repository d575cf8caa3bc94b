"""The dashboards of catalogs: the panels whose instruments are declared, and generic ones for all other instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from otel_ha.declare.catalog import Catalog, Objective
from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.render.catalogs import NamedCatalog, united
from otel_ha.render.dashboards.collector import COLLECTOR
from otel_ha.render.dashboards.entities import ENTITIES
from otel_ha.render.dashboards.generic import generic_dashboard, objectives_row
from otel_ha.render.dashboards.overview import ALERTS, OVERVIEW, RESTARTS
from otel_ha.render.dashboards.panels import Dashboard, Panel, Row, above
from otel_ha.render.dashboards.pipeline import PIPELINE
from otel_ha.render.dashboards.sinks import SINKS_AND_QUEUES
from otel_ha.render.dashboards.system import SYSTEM
from otel_ha.vocabulary.runtime import PROCESS_UPTIME

__all__ = ["DASHBOARDS", "chosen"]

DASHBOARDS: Final = (OVERVIEW, PIPELINE, SINKS_AND_QUEUES, SYSTEM, COLLECTOR, ENTITIES)


def chosen(catalogs: Sequence[NamedCatalog]) -> list[Dashboard]:
    """Return the dashboards of these catalogs. Raises CatalogError if two declare different metrics with one name."""
    catalog = united(catalogs)
    curated = [dashboard for each in DASHBOARDS if (dashboard := _possible(each, catalog)).rows]
    drawn = {instrument for dashboard in curated for instrument in dashboard.reads}
    others: list[Dashboard] = []
    for named in catalogs:
        rest = tuple(instrument for instrument in named.catalog if instrument not in drawn)
        drawn.update(rest)
        if rest:
            # Also the uids of ours that this catalog leaves out: their files may be in the same folder.
            others.append(generic_dashboard(named, rest, {each.uid for each in (*DASHBOARDS, *others)}))
    return [_complete(dashboard, catalog) for dashboard in _with_objectives([*curated, *others], catalog.objectives)]


def _possible(dashboard: Dashboard, catalog: Catalog) -> Dashboard:
    """Return the dashboard with the panels whose instruments are all in the catalog."""

    def has(instruments: Sequence[Instrument] | frozenset[Instrument]) -> bool:
        return all(instrument in catalog for instrument in instruments)

    if not has(dashboard.needs):
        return replace(dashboard, rows=())
    rows = (Row(row.title, tuple(panel for panel in row.panels if has(panel.reads))) for row in dashboard.rows)
    return replace(dashboard, rows=tuple(row for row in rows if row.panels))


def _with_objectives(dashboards: Sequence[Dashboard], objectives: Sequence[Objective]) -> list[Dashboard]:
    """Add a row of objectives to the first dashboard that draws their histogram, except the overview."""
    left = list(objectives)
    complete = []
    for dashboard in dashboards:
        own = [each for each in left if each.histogram in dashboard.reads and dashboard.uid != OVERVIEW.uid]
        left = [each for each in left if each not in own]
        rows = (objectives_row(own), *dashboard.rows) if own else dashboard.rows
        complete.append(replace(dashboard, rows=rows))
    return complete


def _complete(dashboard: Dashboard, catalog: Catalog) -> Dashboard:
    """Return the dashboard with the limits of the catalog's objectives, its annotations, and its series."""
    bounds = {each.histogram: each.bound for each in reversed(catalog.objectives)}

    def limited(panel: Panel) -> Panel:
        bound = bounds.get(panel.objective) if panel.objective else None
        return panel if bound is None else replace(panel, limit=bound, colors=above(bound))

    annotations = (ALERTS, RESTARTS) if PROCESS_UPTIME in catalog and not dashboard.series else (ALERTS,)
    names = (
        each.prometheus_name + "_count" * isinstance(each, Histogram) for each in catalog if each in dashboard.reads
    )
    return replace(
        dashboard,
        rows=tuple(Row(row.title, tuple(map(limited, row.panels))) for row in dashboard.rows),
        series=dashboard.series or "|".join(names),
        annotations=annotations,
    )
