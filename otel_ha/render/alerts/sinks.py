"""Alerts on the way from a queue to the store."""

from __future__ import annotations

from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import SLOW, WINDOW, grown
from otel_ha.render.promql import EVERYTHING, once, quantile, total
from otel_ha.vocabulary import ingest

__all__ = ["SINKS", "SINK_FAILS"]

_SYSTEM: Final = ingest.DB_SYSTEM.prometheus_label
_SINK: Final = ingest.SINK.prometheus_label
_QUEUE: Final = ingest.QUEUE.prometheus_label
_COMPONENT: Final = ingest.COMPONENT.prometheus_label
_OUTCOME: Final = ingest.OUTCOME.prometheus_label


def _writes(outcome: str) -> str:
    done = WINDOW.increase(ingest.WRITE_DURATION, f'{_OUTCOME}="{outcome}"', part="_count")
    return total(done, ingest.DB_SYSTEM)


SINK_FAILS: Final = once(f"{_writes('error')} >= <failed_writes> unless ({_writes('ok')} > 0)", ingest.DB_SYSTEM)

SINKS: Final = (
    Alert(
        name="SinkFails",
        severity="page",
        cause="writing",
        expr=SINK_FAILS,
        summary="{{ $labels.job }} cannot write to {{ $labels.db_system_name }}",
        description="All {{ $value | humanize }} writes to {{ $labels.db_system_name }} within <window> failed. "
        "Points wait in a queue; once it is full, events are lost.",
        needs=(ingest.WRITE_DURATION,),
    ),
    Alert(
        name="SinkSlow",
        severity="ticket",
        cause="writing",
        expr=once(
            quantile(0.95, WINDOW.rate(ingest.WRITE_DURATION, part="_bucket"), ingest.DB_SYSTEM), ingest.DB_SYSTEM
        )
        + " > <write_time>",
        hold="10m",
        summary="Writes to {{ $labels.db_system_name }} take {{ $value | humanizeDuration }}",
        description="5 % of the operations of {{ $labels.job }} on {{ $labels.db_system_name }} take "
        "{{ $value | humanizeDuration }} or more; the limit is <write_time>.",
        needs=(ingest.WRITE_DURATION,),
    ),
    Alert(
        name="RetriesHigh",
        severity="ticket",
        cause="writing",
        expr=once(total(SLOW.increase(ingest.RETRIES), ingest.COMPONENT), ingest.COMPONENT) + " > <retries>",
        summary="{{ $labels.job }} retries {{ $labels.homeassistant_component }} often",
        description="Operations of {{ $labels.homeassistant_component }} were retried {{ $value | humanize }} times "
        "within <slow_window>.",
        needs=(ingest.RETRIES,),
    ),
    Alert(
        name="QueueFilling",
        severity="ticket",
        cause="writing",
        expr=f"max by (job, {_QUEUE}) ({EVERYTHING.series(ingest.QUEUE_SIZE)}"
        f" / ({EVERYTHING.series(ingest.QUEUE_CAPACITY)} > 0)) > <queue_share>",
        summary="The queue {{ $labels.homeassistant_queue }} of {{ $labels.job }} is filling up",
        description="The queue {{ $labels.homeassistant_queue }} is {{ $value | humanizePercentage }} full. Once it "
        "is full, events wait outside or are lost.",
        needs=(ingest.QUEUE_SIZE, ingest.QUEUE_CAPACITY),
    ),
    Alert(
        name="PointsLost",
        severity="ticket",
        cause="points_lost",
        expr=once(
            total(grown(EVERYTHING.series(ingest.POINTS_WRITTEN, f'{_OUTCOME}="error"')), ingest.SINK), ingest.SINK
        )
        + " > <points_lost>",
        hold="0s",
        summary="{{ $labels.job }} has lost points on the way to {{ $labels.homeassistant_sink }}",
        description="{{ $labels.homeassistant_sink }} rejected or lost {{ $value | humanize }} points within "
        "<window>. They are not in the store.",
        needs=(ingest.POINTS_WRITTEN,),
    ),
    Alert(
        name="CircuitBreakerOpen",
        severity="ticket",
        cause="circuit_breaker",
        expr=f"max by (job, {_COMPONENT}) ("
        + EVERYTHING.series(ingest.CIRCUIT_BREAKER, f'{ingest.CIRCUIT_STATE.prometheus_label}="open"')
        + ") > 0",
        hold="1m",
        summary="The circuit breaker of {{ $labels.homeassistant_component }} is open",
        description="{{ $labels.job }} does not try {{ $labels.homeassistant_component }} at present, because it has "
        "failed too often.",
        needs=(ingest.CIRCUIT_BREAKER,),
    ),
)
