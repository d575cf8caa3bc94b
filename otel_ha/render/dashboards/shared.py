"""Panels, queries and words that stand on more than one dashboard."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.limits import limit
from otel_ha.render.dashboards.panels import Panel, above
from otel_ha.render.dashboards.queries import highest, level, rate, ratios, share, value
from otel_ha.vocabulary.ingest import (
    CONNECTION,
    CONNECTIONS,
    EVENT_DURATION,
    MESSAGE_AGE,
    OUTCOME,
    POINTS_WRITTEN,
    QUEUE,
    QUEUE_CAPACITY,
    QUEUE_SIZE,
    SINK,
    SOURCE,
)

__all__ = [
    "CONNECTIONS_UP", "ERROR_COLORS", "ERROR_SHARE", "FAILED", "POINTS_BY_SINK", "QUEUE_USE", "QUIET", "SILENCE",
    "UNTIMED",
]  # fmt: skip

QUIET: Final = "Empty while there are no events."
UNTIMED: Final = "Empty if no source states when its events happened."
FAILED: Final = value(OUTCOME, "error")
ERROR_COLORS: Final = above(limit("error_share_ticket"), limit("error_share_page"))
ERROR_SHARE: Final = share(EVENT_DURATION, FAILED, part="_count")

QUEUE_USE: Final = Panel(
    title="Queue use",
    description="Items in each queue, as a share of its capacity. A full queue discards new events.",
    unit="1",
    queries=(
        ratios(
            lambda selection: selection.series(QUEUE_SIZE),
            lambda selection: selection.series(QUEUE_CAPACITY),
            QUEUE,
            reads=(QUEUE_SIZE, QUEUE_CAPACITY),
        ),
    ),
    limit=limit("queue_share"),
    top=1,
)
CONNECTIONS_UP: Final = Panel(
    title="Connections",
    description="Connections that are up. 0 means that the source or the sink cannot be reached.",
    unit="{connection}",
    queries=(level(CONNECTIONS, CONNECTION),),
)
SILENCE: Final = Panel(
    title="Silence",
    description="Time since the last event of each source. A connection can be up but silent.",
    unit="s",
    queries=(highest(MESSAGE_AGE, SOURCE),),
)
POINTS_BY_SINK: Final = Panel(
    title="Points written by sink",
    description="Points handed to each sink per second: ok if it acknowledged them, error if it rejected or lost them.",
    unit="{point}/s",
    queries=(rate(POINTS_WRITTEN, SINK, OUTCOME),),
)
