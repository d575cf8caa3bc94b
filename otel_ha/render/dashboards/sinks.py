"""Sinks and queues: what is written, how long it takes, what waits, and the connections."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.panels import Dashboard, Panel, Row
from otel_ha.render.dashboards.queries import highest, level, quantiles, rate, share, value
from otel_ha.render.dashboards.shared import (
    CONNECTIONS_UP,
    FAILED,
    POINTS_BY_SINK,
    QUEUE_USE,
    QUIET,
    SILENCE,
    UNTIMED,
)
from otel_ha.vocabulary import messaging
from otel_ha.vocabulary.ingest import (
    BATCH_SIZE,
    BROKER_DROPPED,
    CIRCUIT_BREAKER,
    CIRCUIT_STATE,
    CLOSE_REASON,
    COMPONENT,
    CONNECTION,
    CONNECTIONS_CLOSED,
    DATA_SENT,
    DATA_TYPE,
    DB_OPERATION,
    DB_SYSTEM,
    DISCARDED,
    ERROR_TYPE,
    LAG_TO_WRITE,
    MEASUREMENT,
    OPERATION,
    OUTCOME,
    POINTS_WRITTEN,
    QUEUE,
    QUEUE_AGE,
    QUEUE_SIZE,
    REASON,
    RECEIVED,
    RECONNECTS,
    RETRIES,
    SINK,
    SOURCE,
    WRITE_DURATION,
)

_FILE: Final = "Empty if the sink is a file."
_NO_MESSAGES: Final = "Empty if the service sends no messages by an instrumented MQTT client."
_UNBROKEN: Final = "Empty until a connection has ended."

SINKS: Final = Row(
    "Sinks",
    (
        POINTS_BY_SINK,
        Panel(
            title="Lost points",
            description="Share of points that a sink rejected or lost.",
            unit="1",
            empty=QUIET,
            queries=(share(POINTS_WRITTEN, FAILED, SINK),),
        ),
        Panel(
            title="Lost points by error",
            description="Points per second that a sink rejected or lost, by error.",
            unit="{point}/s",
            queries=(rate(POINTS_WRITTEN, SINK, ERROR_TYPE, where=(FAILED,)),),
            empty="Empty until a point is lost.",
        ),
        Panel(
            title="Points by measurement",
            description="Points per second, of the ten measurements with the most.",
            unit="{point}/s",
            queries=(rate(POINTS_WRITTEN, MEASUREMENT, top=10),),
        ),
        Panel(
            title="Lag until stored",
            description="Half, 95 % and 99 % of states are stored within this time, counted from the state's own "
            "timestamp. The line is the bound of the objective.",
            unit="s",
            queries=quantiles(LAG_TO_WRITE, SINK),
            objective=LAG_TO_WRITE,
            empty=UNTIMED,
        ),
        Panel(
            title="Bytes sent",
            description="Bytes sent to each sink per second.",
            unit="By/s",
            queries=(rate(DATA_SENT, SINK, DATA_TYPE),),
        ),
    ),
)

DATABASE: Final = Row(
    "Writes",
    (
        Panel(
            title="Writes by outcome",
            description="Database operations per second.",
            unit="{operation}/s",
            queries=(rate(WRITE_DURATION, DB_SYSTEM, DB_OPERATION, OUTCOME, part="_count"),),
            empty=_FILE,
        ),
        Panel(
            title="Write time",
            description="Half, 95 % and 99 % of database operations end within this time.",
            unit="s",
            queries=quantiles(WRITE_DURATION, DB_SYSTEM),
            empty=_FILE,
        ),
        Panel(
            title="Points per write",
            description="Half, 95 % and 99 % of writes have at most this number of points.",
            unit="{point}",
            empty=QUIET,
            queries=quantiles(BATCH_SIZE, SINK),
        ),
    ),
)

MESSAGES: Final = Row(
    "Messages sent",
    (
        Panel(
            title="Messages sent",
            description="Messages sent to a broker per second, by the error that prevented it.",
            unit="{message}/s",
            queries=(rate(messaging.SENT, messaging.SYSTEM, messaging.OPERATION, ERROR_TYPE),),
            empty=_NO_MESSAGES,
        ),
        Panel(
            title="Time to acknowledge",
            description="Half, 95 % and 99 % of messages are acknowledged by the broker within this time.",
            unit="s",
            queries=quantiles(messaging.OPERATION_DURATION, messaging.SYSTEM),
            empty=_NO_MESSAGES,
        ),
    ),
)

QUEUES: Final = Row(
    "Queues",
    (
        QUEUE_USE,
        Panel(
            title="Queue size",
            description="Items that wait in each queue.",
            unit="{item}",
            queries=(level(QUEUE_SIZE, QUEUE),),
        ),
        Panel(
            title="Oldest item",
            description="Time that the oldest item of each queue has waited.",
            unit="s",
            queries=(highest(QUEUE_AGE, QUEUE),),
        ),
        Panel(
            title="Overflow",
            description="Events discarded per second because a queue was full.",
            unit="{event}/s",
            queries=(rate(DISCARDED, SOURCE, REASON, where=(value(REASON, "overflow"),)),),
            empty="Empty until a queue has been full.",
        ),
    ),
)

CONNECTIONS_ROW: Final = Row(
    "Connections",
    (
        CONNECTIONS_UP,
        SILENCE,
        Panel(
            title="Closed connections",
            description="Connections that ended, per second, by reason.",
            unit="{connection}/s",
            queries=(rate(CONNECTIONS_CLOSED, CONNECTION, CLOSE_REASON),),
            empty=_UNBROKEN,
        ),
        Panel(
            title="Attempts to reconnect",
            description="Attempts per second after a connection ended or failed.",
            unit="{attempt}/s",
            queries=(rate(RECONNECTS, CONNECTION),),
            empty=_UNBROKEN,
        ),
        Panel(
            title="Dropped by the broker",
            description="Messages per second, to any of its clients, that the broker of a source reports as dropped.",
            unit="{message}/s",
            queries=(rate(BROKER_DROPPED, SOURCE),),
            empty="Empty if the broker reports none.",
        ),
    ),
)

RETRIES_ROW: Final = Row(
    "Retries",
    (
        Panel(
            title="Retries",
            description="Retries of failed operations per second.",
            unit="{attempt}/s",
            queries=(rate(RETRIES, COMPONENT, OPERATION),),
            empty="Empty until an operation is tried again.",
        ),
        Panel(
            title="Circuit breakers",
            description="1 for the current state of each circuit breaker.",
            unit="{breaker}",
            queries=(highest(CIRCUIT_BREAKER, COMPONENT, CIRCUIT_STATE),),
            empty="Empty if the service has no circuit breaker.",
        ),
    ),
)

SINKS_AND_QUEUES: Final = Dashboard(
    uid="otel-ha-sinks",
    title="Sinks and queues",
    description="Points written and lost, times of writes, queues, connections and retries of one service.",
    place=3,
    needs=(RECEIVED,),
    rows=(SINKS, DATABASE, MESSAGES, QUEUES, CONNECTIONS_ROW, RETRIES_ROW),
)
