"""Alerts on the sources of events and the connections to them."""

from __future__ import annotations

from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import SLOW
from otel_ha.render.promql import EVERYTHING, once, total, total_per_instance
from otel_ha.vocabulary import ingest

__all__ = ["SOURCES"]

_SOURCE: Final = ingest.SOURCE.prometheus_label
_KIND: Final = ingest.CONNECTION.prometheus_label
# Each instance by itself: another one that is well says nothing about this one.
_CONNECTIONS: Final = total_per_instance(EVERYTHING.series(ingest.CONNECTIONS), ingest.CONNECTION)
# The kind of a connection is the name of its source.
_CONNECTED: Final = f'label_replace({_CONNECTIONS} > 0, "{_SOURCE}", "$1", "{_KIND}", "(.*)")'
_AGE: Final = f"min by (job, instance, via, {_SOURCE}) ({EVERYTHING.series(ingest.MESSAGE_AGE)})"

SOURCES: Final = (
    Alert(
        name="SourceSilent",
        severity="ticket",
        cause="silence",
        expr=once(f"{_AGE} > <silence> and on (job, instance, via, {_SOURCE}) {_CONNECTED}", ingest.SOURCE),
        summary="No events from {{ $labels.homeassistant_source }} for {{ $labels.job }}, although it is connected",
        description="{{ $labels.job }} is connected to {{ $labels.homeassistant_source }}, but the last event is "
        "{{ $value | humanizeDuration }} old; the limit is <silence>.",
        needs=(ingest.MESSAGE_AGE, ingest.CONNECTIONS),
    ),
    Alert(
        name="ConnectionDown",
        severity="page",
        cause="connection",
        expr=once(f"{_CONNECTIONS} <= 0", ingest.CONNECTION),
        summary="{{ $labels.job }} has no connection to {{ $labels.homeassistant_connection_kind }}",
        description="{{ $labels.job }} is not connected to {{ $labels.homeassistant_connection_kind }}. If it is a "
        "source, no events arrive from there.",
        needs=(ingest.CONNECTIONS,),
    ),
    Alert(
        name="ReconnectStorm",
        severity="ticket",
        cause="connection",
        # Ends of connections, not attempts: attempts without success are ConnectionDown.
        expr=f"{once(total(SLOW.increase(ingest.CONNECTIONS_CLOSED), ingest.CONNECTION), ingest.CONNECTION)}"
        " > <disconnects>",
        hold="0s",
        summary="The connection of {{ $labels.job }} to {{ $labels.homeassistant_connection_kind }} does not last",
        description="Ends of the connection to {{ $labels.homeassistant_connection_kind }}: "
        '{{ printf "%.0f" $value }} within <slow_window>. Events between two connections may be lost.',
        needs=(ingest.CONNECTIONS_CLOSED,),
    ),
)
