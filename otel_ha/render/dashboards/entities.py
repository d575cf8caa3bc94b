"""Entities: those with the most events, for services that count events by entity."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.panels import Dashboard, Panel, Query, Row
from otel_ha.render.dashboards.queries import rate
from otel_ha.render.promql import Selection, once, total
from otel_ha.vocabulary.ingest import DOMAIN, ENTITY, ENTITY_EVENTS

_OFF: Final = "Empty unless entity metrics are on (OTEL_HA_ENTITY_METRICS=true)."


def _active(selection: Selection) -> str:
    return f"count by (job) ({once(total(selection.increase(ENTITY_EVENTS), ENTITY), ENTITY)} > 0)"


ENTITIES: Final = Dashboard(
    uid="otel-ha-entities",
    title="Entities",
    description="The entities with the most events, if entity metrics are on.",
    place=6,
    rows=(
        Row(
            "Entities",
            (
                Panel(
                    title="Busiest entities",
                    description="Events processed per second, of the ten busiest entities.",
                    unit="{event}/s",
                    queries=(rate(ENTITY_EVENTS, ENTITY, top=10),),
                    empty=_OFF,
                    width=24,
                    height=10,
                ),
                Panel(
                    title="Events by domain",
                    description="Events processed per second, by domain.",
                    unit="{event}/s",
                    queries=(rate(ENTITY_EVENTS, DOMAIN),),
                    empty=_OFF,
                    width=12,
                ),
                Panel(
                    title="Active entities",
                    description="Number of entities with events.",
                    unit="{entity}",
                    queries=(Query(_active, "{{job}}", (ENTITY_EVENTS,)),),
                    empty=_OFF,
                    width=12,
                ),
            ),
        ),
    ),
)
