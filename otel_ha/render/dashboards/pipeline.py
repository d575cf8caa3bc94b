"""The pipeline: events by source, domain and reason, times and their objectives, transformation."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.limits import limit
from otel_ha.render.dashboards.panels import Dashboard, Drawing, Panel, Row
from otel_ha.render.dashboards.queries import buckets, level, quantiles, rate, share, value
from otel_ha.render.dashboards.shared import ERROR_COLORS, ERROR_SHARE, FAILED, QUIET
from otel_ha.vocabulary.ingest import (
    COMPONENT,
    DATA_RECEIVED,
    DATA_TYPE,
    DISCARDED,
    DOMAIN,
    ERROR_TYPE,
    ERRORS,
    EVENT_DURATION,
    EVENT_STATE,
    IN_FLIGHT,
    OUTCOME,
    REASON,
    RECEIVED,
    RESYNCHRONIZED,
    SEVERITY,
    SOURCE,
    TRANSFORM_DURATION,
    TRANSFORMER,
)

EVENTS: Final = Row(
    "Events",
    (
        Panel(
            title="Received by source",
            description="Events received per second.",
            unit="{event}/s",
            queries=(rate(RECEIVED, SOURCE),),
        ),
        Panel(
            title="Processed by domain",
            description="Events processed per second, of the ten busiest domains.",
            unit="{event}/s",
            queries=(rate(EVENT_DURATION, DOMAIN, part="_count", top=10),),
        ),
        Panel(
            title="Discarded by reason",
            description="Events discarded per second.",
            unit="{event}/s",
            queries=(rate(DISCARDED, SOURCE, REASON),),
            drawing=Drawing.STACK,
        ),
        Panel(
            title="Discarded share",
            description="Share of received events that were duplicates, did not pass the filter, or were invalid.",
            unit="1",
            empty=QUIET,
            queries=tuple(
                share(DISCARDED, value(REASON, reason), of=RECEIVED, legend=reason)
                for reason in ("duplicate", "filtered", "invalid")
            ),
        ),
        Panel(
            title="In flight",
            description="Events that wait or are being processed.",
            unit="{event}",
            queries=(level(IN_FLIGHT, SOURCE, EVENT_STATE),),
        ),
        Panel(
            title="Bytes received",
            description="Bytes received from each source per second.",
            unit="By/s",
            queries=(rate(DATA_RECEIVED, SOURCE, DATA_TYPE),),
        ),
    ),
)

ERRORS_ROW: Final = Row(
    "Errors",
    (
        Panel(
            title="Error share of events",
            description="Share of processed events that failed.",
            unit="1",
            empty=QUIET,
            queries=(ERROR_SHARE,),
            colors=ERROR_COLORS,
            limit=limit("error_share_ticket"),
        ),
        Panel(
            title="Failed events by error",
            description="Events whose processing failed, per second.",
            unit="{event}/s",
            queries=(rate(EVENT_DURATION, SOURCE, ERROR_TYPE, where=(FAILED,), part="_count"),),
            empty="Empty until an event fails.",
        ),
        Panel(
            title="Errors by component",
            description="Errors per second, by component, type and severity.",
            unit="{error}/s",
            queries=(rate(ERRORS, COMPONENT, ERROR_TYPE, SEVERITY),),
            empty="Empty until there is an error.",
        ),
        Panel(
            title="Resynchronized",
            description="Events per second that a resynchronization after a reconnect has found.",
            unit="{event}/s",
            queries=(rate(RESYNCHRONIZED, SOURCE),),
            empty="Empty until a source has reconnected.",
        ),
    ),
)

TIMES: Final = Row(
    "Processing time",
    (
        Panel(
            title="Quantiles",
            description="Half, 95 % and 99 % of events are processed within this time. The line is the bound of the "
            "objective.",
            unit="s",
            empty=QUIET,
            queries=quantiles(EVENT_DURATION),
            objective=EVENT_DURATION,
        ),
        Panel(
            title="Distribution",
            description="Events per second by processing time: the darker, the more.",
            unit="s",
            queries=(buckets(EVENT_DURATION),),
            lines=quantiles(EVENT_DURATION, SOURCE),
            drawing=Drawing.HEATMAP,
        ),
        Panel(
            title="P95 by domain",
            description="95 % of a domain's events are processed within this time; the ten slowest domains.",
            unit="s",
            empty=QUIET,
            queries=quantiles(EVENT_DURATION, DOMAIN, shares=(0.95,), top=10),
        ),
    ),
)

TRANSFORMATION: Final = Row(
    "Transformation",
    (
        Panel(
            title="Transformed events",
            description="Events transformed into points, per second, by outcome.",
            unit="{event}/s",
            queries=(rate(TRANSFORM_DURATION, TRANSFORMER, OUTCOME, part="_count"),),
        ),
        Panel(
            title="Success share",
            description="Share of transformations that succeeded.",
            unit="1",
            empty=QUIET,
            queries=(share(TRANSFORM_DURATION, value(OUTCOME, "ok"), TRANSFORMER, part="_count"),),
            top=1,
        ),
        Panel(
            title="Transformation time",
            description="Half, 95 % and 99 % of transformations end within this time.",
            unit="s",
            empty=QUIET,
            queries=quantiles(TRANSFORM_DURATION, TRANSFORMER),
        ),
    ),
)

PIPELINE: Final = Dashboard(
    uid="otel-ha-pipeline",
    title="Pipeline",
    description="The way of events through one service: received, filtered, transformed, processed.",
    place=2,
    needs=(RECEIVED,),
    rows=(EVENTS, TIMES, ERRORS_ROW, TRANSFORMATION),
)
