"""Alerts on the way from a queue to the store."""

from __future__ import annotations

from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import SLOW, WINDOW, grown
from otel_ha.render.promql import EVERYTHING, once, quantile, total
from otel_ha.vocabulary import ingest

__all__ = ["SINKS", "SINK_FAILS"]

_SINK: Final = ingest.SINK.prometheus_label
_QUEUE: Final = ingest.QUEUE.prometheus_label
_COMPONENT: Final = ingest.COMPONENT.prometheus_label
_OUTCOME: Final = ingest.OUTCOME.prometheus_label


# Each operation on each server by itself: a ping may work while every write fails.
_OPERATION: Final = (ingest.DB_SYSTEM, ingest.SERVER_ADDRESS, ingest.DB_OPERATION)
_NAMED: Final = (
    "{{ $labels.db_system_name }}{{ with $labels.server_address }} at {{ . }}{{ end }}"
    "{{ with $labels.db_operation_name }}, {{ . }}{{ end }}"
)


def _operations(outcome: str) -> str:
    done = WINDOW.increase(ingest.WRITE_DURATION, f'{_OUTCOME}="{outcome}"', part="_count")
    return total(done, *_OPERATION)


SINK_FAILS: Final = once(f"{_operations('error')} >= <failed_writes> unless ({_operations('ok')} > 0)", *_OPERATION)

SINKS: Final = (
    Alert(
        name="SinkFails",
        severity="page",
        cause="writing",
        expr=SINK_FAILS,
        summary=f"All operations of {{{{ $labels.job }}}} fail: {_NAMED}",
        description=f'All {{{{ printf "%.0f" $value }}}} operations within <window> failed: {_NAMED}. '
        "Points wait in a queue; once it is full, events are lost.",
        needs=(ingest.WRITE_DURATION,),
    ),
    Alert(
        name="SinkSlow",
        severity="ticket",
        cause="writing",
        expr=once(quantile(0.95, WINDOW.rate(ingest.WRITE_DURATION, part="_bucket"), *_OPERATION), *_OPERATION)
        + " > <write_time>",
        hold="10m",
        summary=f"Operations of {{{{ $labels.job }}}} take {{{{ $value | humanizeDuration }}}}: {_NAMED}",
        description=f"5 % of the operations of {{{{ $labels.job }}}} ({_NAMED}) "
        "take {{ $value | humanizeDuration }} or more; the limit is <write_time>.",
        needs=(ingest.WRITE_DURATION,),
    ),
    Alert(
        name="RetriesHigh",
        severity="ticket",
        cause="writing",
        expr=once(total(SLOW.increase(ingest.RETRIES), ingest.COMPONENT), ingest.COMPONENT) + " > <retries>",
        summary="{{ $labels.job }} retries {{ $labels.homeassistant_component }} often",
        description="Retries of {{ $labels.homeassistant_component }} in {{ $labels.job }}: "
        '{{ printf "%.0f" $value }} within <slow_window>.',
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
        description="Points that {{ $labels.homeassistant_sink }} rejected or that were lost on the way: "
        '{{ printf "%.0f" $value }} within <window>. They are not in the store.',
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
        summary="The circuit breaker of {{ $labels.homeassistant_component }} in {{ $labels.job }} is open",
        description="{{ $labels.job }} does not try {{ $labels.homeassistant_component }} at present, because it has "
        "failed too often.",
        needs=(ingest.CIRCUIT_BREAKER,),
    ),
)
