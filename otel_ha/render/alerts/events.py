"""Alerts on events: their accounts, their errors, their delay, their waste."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otel_ha.render.accounts import unaccounted
from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import WINDOW, grown
from otel_ha.render.alerts.sinks import SINK_FAILS
from otel_ha.render.promql import EVERYTHING, once, quantile, total, total_per_instance
from otel_ha.vocabulary import ingest

__all__ = ["EVENTS"]

_SOURCE: Final = ingest.SOURCE.prometheus_label
_REASON: Final = ingest.REASON.prometheus_label

_PROCESSED: Final = WINDOW.increase(ingest.EVENT_DURATION, part="_count")
_received: Final = total(WINDOW.increase(ingest.RECEIVED))
_processed: Final = total(_PROCESSED)
_failed: Final = total(
    WINDOW.increase(ingest.EVENT_DURATION, f'{ingest.OUTCOME.prometheus_label}="error"', part="_count")
)
_invalid: Final = total(WINDOW.increase(ingest.DISCARDED, f'{_REASON}="invalid"'))
_duplicate: Final = total(WINDOW.increase(ingest.DISCARDED, f'{_REASON}="duplicate"'))
_ERROR_SHARE: Final = once(f"{_failed} / ({_processed} >= <min_events>)")


def _stuck(total: Callable[[str], str]) -> str:
    """Return the events that were accepted while some waited all the time and none was processed, in each total.

    Without those that wait, a restart would count: its retained messages may be as many as those of the start before,
    and then look as if none of them had been discarded.
    """
    received, processed = total(WINDOW.increase(ingest.RECEIVED)), total(_PROCESSED)
    handled = total(WINDOW.increase(ingest.DISCARDED, f'{_REASON}!="overflow"'))
    accepted = f"({received} - ({handled} or 0 * {received}) >= <min_events>)"
    waiting = f"({total(f'min_over_time({EVERYTHING.series(ingest.IN_FLIGHT)}[<window>])')} > 0)"
    return f"{accepted} and {waiting} unless ({processed} > 0)"


def _not_processed() -> str:
    """Return the events of a service of which an instance is stuck, or all together: a restart is a new instance."""
    return f"{once(f'{_stuck(total)} or {_stuck(total_per_instance)}')} unless on (job) {SINK_FAILS}"


def _repeated() -> str:
    """Return the share of duplicates. Each further source of the same home repeats all events once, which is right."""
    share = f"{_duplicate} / ({_received} >= <min_events>)"
    sources = f"count by (job, via) ({total(WINDOW.increase(ingest.RECEIVED), ingest.SOURCE)} > 0)"
    return once(f"{share} > 1 - (1 - <duplicate_share>) / {sources}")


EVENTS: Final = (
    Alert(
        name="AccountsDiffer",
        severity="ticket",
        cause="accounts",
        # Totals, not rates: a restarted service that pushes has new series, which add up by themselves.
        expr=f"{once(f'abs({unaccounted(EVERYTHING)})', ingest.SOURCE)} > <accounts_difference>",
        summary="The accounts of {{ $labels.job }} do not add up for {{ $labels.homeassistant_source }}",
        description="Events received from {{ $labels.homeassistant_source }} and events processed, discarded or in "
        "flight differ by {{ $value }}. Events are lost or counted twice inside {{ $labels.job }}.",
        needs=(ingest.RECEIVED, ingest.EVENT_DURATION, ingest.DISCARDED, ingest.IN_FLIGHT),
    ),
    Alert(
        name="EventsNotProcessed",
        severity="page",
        cause="processing",
        expr=_not_processed(),
        summary="{{ $labels.job }} receives events but processes none",
        description='{{ $labels.job }} has accepted {{ printf "%.0f" $value }} events within <window> and has '
        "processed none of them.",
        needs=(ingest.RECEIVED, ingest.EVENT_DURATION, ingest.DISCARDED, ingest.IN_FLIGHT, ingest.WRITE_DURATION),
    ),
    Alert(
        name="ErrorShareCritical",
        severity="page",
        cause="errors",
        expr=f"{_ERROR_SHARE} > <error_share_page>",
        summary="{{ $value | humanizePercentage }} of the events of {{ $labels.job }} fail",
        description="{{ $value | humanizePercentage }} of the events that {{ $labels.job }} processed within <window> "
        "ended with an error; the limit is <error_share_page>.",
        needs=(ingest.EVENT_DURATION,),
    ),
    Alert(
        name="ErrorShareHigh",
        severity="ticket",
        cause="errors",
        expr=f"{_ERROR_SHARE} > <error_share_ticket>",
        hold="10m",
        summary="{{ $value | humanizePercentage }} of the events of {{ $labels.job }} fail",
        description="{{ $value | humanizePercentage }} of the events that {{ $labels.job }} processed within <window> "
        "ended with an error; the limit is <error_share_ticket>.",
        needs=(ingest.EVENT_DURATION,),
    ),
    Alert(
        name="LagHigh",
        severity="ticket",
        cause="writing",
        expr=f"{once(quantile(0.95, WINDOW.rate(ingest.LAG_TO_WRITE, part='_bucket')))} > <lag>",
        hold="10m",
        summary="States of {{ $labels.job }} reach the store late: {{ $value | humanizeDuration }}",
        description="5 % of the states that {{ $labels.job }} stores arrive {{ $value | humanizeDuration }} or more "
        "after their own timestamp; the limit is <lag>.",
        needs=(ingest.LAG_TO_WRITE,),
    ),
    Alert(
        name="EventsOverflow",
        severity="ticket",
        cause="overflow",
        expr=once(total(grown(EVERYTHING.series(ingest.DISCARDED, f'{_REASON}="overflow"')))) + " > <overflow>",
        hold="0s",
        summary="{{ $labels.job }} loses events: a queue is full",
        description="{{ $labels.job }} has discarded events because a queue was full: "
        '{{ printf "%.0f" $value }} within <window>. They are lost.',
        needs=(ingest.DISCARDED,),
    ),
    Alert(
        name="InvalidEvents",
        severity="ticket",
        cause="invalid",
        expr=once(f"{_invalid} / ({_received} >= <min_events>)") + " > <invalid_share>",
        hold="10m",
        summary="{{ $value | humanizePercentage }} of the events of {{ $labels.job }} are invalid",
        description="{{ $labels.job }} cannot read {{ $value | humanizePercentage }} of the events that it received "
        "within <window>; the limit is <invalid_share>.",
        needs=(ingest.RECEIVED, ingest.DISCARDED),
    ),
    Alert(
        name="DuplicateEvents",
        severity="info",
        cause="duplicates",
        expr=_repeated(),
        hold="30m",
        summary="{{ $value | humanizePercentage }} of the events of {{ $labels.job }} are duplicates",
        description="{{ $value | humanizePercentage }} of the events that {{ $labels.job }} received within <window> "
        "repeat one that it had. Several sources of one home are taken into account.",
        needs=(ingest.RECEIVED, ingest.DISCARDED),
    ),
)
