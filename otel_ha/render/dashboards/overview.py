"""The overview: one screen that answers "is it well?"."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from otel_ha.render.accounts import unaccounted
from otel_ha.render.dashboards.limits import limit
from otel_ha.render.dashboards.panels import Annotation, Dashboard, Drawing, Panel, Query, Row, above, below
from otel_ha.render.dashboards.queries import highest, quantiles, rate
from otel_ha.render.dashboards.shared import (
    CONNECTIONS_UP,
    ERROR_COLORS,
    ERROR_SHARE,
    POINTS_BY_SINK,
    QUEUE_USE,
    QUIET,
    SILENCE,
    UNTIMED,
)
from otel_ha.render.promql import EVERYTHING, Selection, once, total
from otel_ha.vocabulary.ingest import (
    CONNECTION,
    CONNECTIONS,
    DISCARDED,
    EVENT_DURATION,
    IN_FLIGHT,
    LAG_TO_WRITE,
    MESSAGE_AGE,
    OUTCOME,
    REASON,
    RECEIVED,
    SINK,
    SOURCE,
)
from otel_ha.vocabulary.runtime import PROCESS_UPTIME

_WATCHDOG: Final = 'alertname="Watchdog"'


def _alerts(selection: Selection) -> str:
    """Return the serious alerts that fire; an alert keeps the job, but neither an instance nor a way in."""
    jobs = tuple(matcher for matcher in selection.matchers if matcher.startswith("job="))
    return replace(selection, matchers=jobs).named("ALERTS", 'alertstate="firing"', 'severity!="info"')


def _none(_: Selection) -> str:
    """Return 0 where rules are loaded, as the dead man's switch shows: without them, no alert means nothing."""
    return f"0 * count({EVERYTHING.named('ALERTS', _WATCHDOG)})"


def _firing(selection: Selection) -> str:
    """Return how many alerts fire, of all jobs, because those of the monitoring are not the service's."""
    return f"count({_alerts(EVERYTHING)}) or {_none(selection)}"


FIRING: Final = Query(
    lambda selection: f"sum by (job, alertname, severity) ({_alerts(selection)})",
    "{{alertname}} · {{severity}}",
)
RESTARTS: Final = Annotation(
    "Restarts",
    Query(
        lambda s: f"min by (job) (min_over_time({s.series(PROCESS_UPTIME)}[{s.window}])) < 60",
        "{{job}} started",
        (PROCESS_UPTIME,),
    ),
    "blue",
)
ALERTS: Final = Annotation("Alerts", FIRING, "red")


def _number(title: str, description: str, unit: str, query: Query, **more: object) -> Panel:
    settings = {"drawing": Drawing.NUMBER, "width": 3, "height": 4, "repeats": True, **more}
    return Panel(title=title, description=description, unit=unit, queries=(query,), **settings)  # type: ignore[arg-type]


NUMBERS: Final = (
    _number(
        "Unaccounted events",
        "Events received minus those processed, discarded and in flight. 0 means that the accounts add up.",
        "{event}",
        Query(
            lambda selection: once(f"abs({unaccounted(selection)})", SOURCE),
            "{{homeassistant_source}}",
            (RECEIVED, EVENT_DURATION, DISCARDED, IN_FLIGHT),
        ),
        colors=above(limit("accounts_difference") + 0.5),
        repeats=False,
        empty="Empty if the service does not count events in flight.",
    ),
    _number("Events", "Events received per second.", "{event}/s", rate(RECEIVED)),
    _number(
        "Error share",
        "Share of processed events that failed.",
        "1",
        ERROR_SHARE,
        colors=ERROR_COLORS,
        repeats=False,
        empty=QUIET,
    ),
    _number(
        "Processing, P95",
        "95 % of events are processed within this time; red above the objective.",
        "s",
        *quantiles(EVENT_DURATION, shares=(0.95,)),
        objective=EVENT_DURATION,
        empty=QUIET,
    ),
    _number(
        "Lag, P95",
        "95 % of states are stored within this time, counted from the state's own timestamp; red above the objective.",
        "s",
        *quantiles(LAG_TO_WRITE, shares=(0.95,)),
        objective=LAG_TO_WRITE,
        empty=UNTIMED,
    ),
    _number(
        "Connections",
        "Connections of the kind that has the fewest. 0 means that a source or a sink cannot be reached.",
        "{connection}",
        Query(
            lambda s: f"min by (job) ({once(total(s.series(CONNECTIONS), CONNECTION), CONNECTION)})",
            "{{job}}",
            (CONNECTIONS,),
        ),
        colors=below(1),
    ),
    _number("Silence", "Time since the last event of the most silent source.", "s", highest(MESSAGE_AGE),
            colors=above(limit("silence"))),
    _number(
        "Firing alerts",
        "Alerts of severity page or ticket that fire now, those of the monitoring itself included.",
        "{alert}",
        Query(_firing, "firing"),
        colors=above(1),
        empty="Empty if no alert rules are loaded.",
    ),
)  # fmt: skip

_graph: Final = partial(Panel, width=6, height=7)

GRAPHS: Final = (
    _graph(
        title="Processing time, P95",
        description="95 % of events are processed within this time. The line is the bound of the objective.",
        unit="s",
        empty=QUIET,
        queries=quantiles(EVENT_DURATION, SOURCE, shares=(0.95,)),
        objective=EVENT_DURATION,
    ),
    _graph(
        title="Lag until stored, P95",
        description="95 % of states are stored within this time, counted from the state's own timestamp. "
        "The line is the bound of the objective.",
        unit="s",
        queries=quantiles(LAG_TO_WRITE, SOURCE, SINK, shares=(0.95,)),
        objective=LAG_TO_WRITE,
        empty=UNTIMED,
    ),
    replace(QUEUE_USE, width=6, height=7),
    _graph(
        title="Alerts",
        description="Alerts of severity page or ticket that fire, those of the monitoring itself included.",
        unit="{alert}",
        queries=(FIRING,),
        # A line at 0 differs from an empty graph: somebody looks for alerts.
        lines=(FIRING, Query(_none, "none")),
        drawing=Drawing.ALERTS,
        empty="Empty or 0 while no alert fires.",
    ),
    replace(CONNECTIONS_UP, width=4, height=7),
    replace(SILENCE, width=4, height=7),
    _graph(
        title="Events by source and outcome",
        description="Events processed per second, by outcome, and events discarded, by reason.",
        unit="{event}/s",
        queries=(
            rate(EVENT_DURATION, SOURCE, OUTCOME, part="_count"),
            rate(DISCARDED, SOURCE, REASON),
        ),
        drawing=Drawing.STACK,
        width=8,
    ),
    replace(POINTS_BY_SINK, width=8, height=7),
)  # fmt: skip

OVERVIEW: Final = Dashboard(
    uid="otel-ha-overview",
    title="Overview",
    description="Is it well? Accounts, errors, times, queues, connections and alerts of one service.",
    place=1,
    needs=(RECEIVED,),
    rows=(Row("Is it well?", (*NUMBERS, *GRAPHS)),),
)
