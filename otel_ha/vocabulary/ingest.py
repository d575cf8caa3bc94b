"""The ingest vocabulary: metrics of a service that writes Home Assistant's events to a database.

An event is received, then discarded for a reason or processed with an outcome. Nothing else can happen to it, so at
every collection, for each source,

    received = processed + discarded + in flight (queued or active)

where processed is the count of the event processing duration. Rates, success ratios, de-duplication rate and filter
efficiency are not declared: they are derived from these.
"""

from __future__ import annotations

from dataclasses import replace

from otel_ha.declare.catalog import Catalog, Objective
from otel_ha.declare.instruments import (
    SUB_SECOND,
    Attribute,
    Counter,
    Histogram,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from otel_ha.declare.operation import Operation

SOURCE = Attribute("homeassistant.source", "The source of events, for example mqtt or websocket.", budget=16)
DOMAIN = Attribute("homeassistant.domain", "The entity's domain, for example light or sensor.", budget=64)
ENTITY = Attribute("homeassistant.entity_id", "The entity's ID, for example light.kitchen.", keyword="entity")
OUTCOME = Attribute(
    "homeassistant.outcome", "The outcome of the work: ok, error or cancelled.", values=("ok", "error", "cancelled")
)
ERROR_TYPE = Attribute(
    "error.type", "The type of error, such as an exception's name or a status code.", keyword="error_type", budget=32
)
REASON = Attribute(
    "homeassistant.discard.reason",
    "Why an event was discarded: filtered, duplicate, invalid, overflow, expired, retained, unsupported, shutdown, …",
    budget=16,
)
EVENT_STATE = Attribute(
    "homeassistant.event.state", "Whether the event is queued or being processed.", values=("queued", "active")
)
DATA_TYPE = Attribute("homeassistant.data.type", "The type of data, for example state or line_protocol.", budget=16)
SINK = Attribute("homeassistant.sink", "The destination of points, for example influxdb or file.", budget=16)
MEASUREMENT = Attribute("homeassistant.measurement", "The measurement (table) of the points.", budget=64)
TRANSFORMER = Attribute("homeassistant.transformer", "The transformer, for example line_protocol.", budget=16)
QUEUE = Attribute("homeassistant.queue", "The name of the queue.", budget=16)
CONNECTION = Attribute(
    "homeassistant.connection.kind", "The kind of connection, for example mqtt or websocket.", budget=16
)
CLOSE_REASON = Attribute("homeassistant.connection.close.reason", "Why the connection ended, if known.", budget=16)
COMPONENT = Attribute("homeassistant.component", "The component of the service.", budget=32)
OPERATION = Attribute("homeassistant.operation", "The operation of the component.", budget=32)
SEVERITY = Attribute(
    "homeassistant.error.severity",
    "The severity of the error: warning, error or critical.",
    values=("warning", "error", "critical"),
)
CIRCUIT_STATE = Attribute(
    "homeassistant.circuit_breaker.state", "The state of the circuit breaker.", values=("closed", "half_open", "open")
)
DB_SYSTEM = Attribute("db.system.name", "The database product, for example influxdb.", keyword="system", budget=16)
DB_OPERATION = Attribute(
    "db.operation.name", "The database operation, for example write.", keyword="operation", budget=16
)
SERVER_ADDRESS = Attribute("server.address", "The host of the database.", keyword="server_address", budget=16)

# Filtering or transforming an event takes tens of microseconds, waiting for a database up to seconds.
PROCESSING = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5, 5.5)
LAG = (0.005, 0.025, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5, 10.5, 30.5, 60.5, 300.5)
BATCH = (1.5, 5.5, 10.5, 50.5, 100.5, 500.5, 1000.5, 5000.5)

HOURS_OF_SILENCE = 1
"""Hours without an event after which a source is silent: in the notes of /healthz, and by default in the alert."""

RECEIVED = Counter(
    "homeassistant.event.received",
    unit="{event}",
    description="Events received, whether processed or discarded later.",
    attributes=(SOURCE,),
)
RESYNCHRONIZED = Counter(
    "homeassistant.event.resynchronized",
    unit="{event}",
    description="Received events that a resynchronization after a reconnect has found.",
    attributes=(SOURCE,),
)
DISCARDED = Counter(
    "homeassistant.event.discarded",
    unit="{event}",
    description="Events discarded instead of processed, by reason: a filter, a duplicate, a full queue, …",
    attributes=(SOURCE, REASON),
)
IN_FLIGHT = UpDownCounter(
    "homeassistant.event.in_flight",
    unit="{event}",
    description="Events received but not yet processed or discarded: queued, or being processed.",
    attributes=(SOURCE, EVENT_STATE),
)
EVENT_DURATION = Histogram(
    "homeassistant.event.process.duration",
    unit="s",
    description="Time to process one event; its count is the number of events processed.",
    attributes=(SOURCE, DOMAIN, OUTCOME, ERROR_TYPE),
    buckets=PROCESSING,
    group="performance",
    count_group="business",
    series=500,
)
ENTITY_EVENTS = Counter(
    "homeassistant.entity.events",
    unit="{event}",
    description="Events processed, by entity. Off by default; an entity without events expires.",
    attributes=(ENTITY, DOMAIN),
    group="entity",
    series=5000,
    expires=True,
)
LAG_TO_WRITE = Histogram(
    "homeassistant.event.lag",
    unit="s",
    description="Time from a state's own timestamp until the sink acknowledges its point.",
    attributes=(SOURCE, SINK),
    buckets=LAG,
    group="performance",
    series=64,
)
DATA_RECEIVED = Counter(
    "homeassistant.data.received",
    unit="By",
    description="Bytes received from a source.",
    attributes=(SOURCE, DATA_TYPE),
)
DATA_SENT = Counter(
    "homeassistant.data.sent",
    unit="By",
    description="Bytes sent to a sink.",
    attributes=(SINK, DATA_TYPE),
)
TRANSFORM_DURATION = Histogram(
    "homeassistant.transform.duration",
    unit="s",
    description="Time to transform one event into points.",
    attributes=(TRANSFORMER, OUTCOME, ERROR_TYPE),
    buckets=PROCESSING,
    group="performance",
    series=64,
)
POINTS_WRITTEN = Counter(
    "homeassistant.point.written",
    unit="{point}",
    description="Points handed to a sink: ok if it acknowledged them, error if it rejected or lost them.",
    attributes=(SINK, MEASUREMENT, OUTCOME, ERROR_TYPE),
)
WRITE_DURATION = Histogram(
    "db.client.operation.duration",
    unit="s",
    description="Time for one operation of a database client, such as writing a batch.",
    attributes=(DB_SYSTEM, DB_OPERATION, SERVER_ADDRESS, OUTCOME, ERROR_TYPE),
    buckets=SUB_SECOND,
    group="performance",
    series=64,
)
BATCH_SIZE = Histogram(
    "homeassistant.batch.size",
    unit="{point}",
    description="Points per batch handed to a sink.",
    attributes=(SINK,),
    buckets=BATCH,
    group="performance",
    series=16,
)
QUEUE_SIZE = ObservableUpDownCounter(
    "homeassistant.queue.size",
    unit="{item}",
    description="Items waiting in a queue.",
    attributes=(QUEUE,),
    group="performance",
    series=16,
)
QUEUE_CAPACITY = ObservableUpDownCounter(
    "homeassistant.queue.capacity",
    unit="{item}",
    description="Items that a queue can hold.",
    attributes=(QUEUE,),
    group="performance",
    series=16,
)
QUEUE_AGE = ObservableGauge(
    "homeassistant.queue.oldest_item.age",
    unit="s",
    description="Time that the oldest item has waited in a queue; 0 if the queue is empty.",
    attributes=(QUEUE,),
    group="performance",
    series=16,
)
CONNECTIONS = UpDownCounter(
    "homeassistant.connection.active",
    unit="{connection}",
    description="Connections that are up; 0 while there is none.",
    attributes=(CONNECTION,),
    group="operations",
    series=16,
)
CONNECTIONS_CLOSED = Counter(
    "homeassistant.connection.closed",
    unit="{connection}",
    description="Connections that ended, by reason.",
    attributes=(CONNECTION, CLOSE_REASON),
    group="operations",
    series=128,
)
RECONNECTS = Counter(
    "homeassistant.connection.reconnects",
    unit="{attempt}",
    description="Attempts to reconnect after a connection ended or failed.",
    attributes=(CONNECTION,),
    group="operations",
    series=16,
)
MESSAGE_AGE = ObservableGauge(
    "homeassistant.message.age",
    unit="s",
    description="Time since the last event from a source, or since the start; a connection can be up but silent.",
    attributes=(SOURCE,),
    group="operations",
    series=16,
)
BROKER_DROPPED = Counter(
    "homeassistant.broker.message.dropped",
    unit="{message}",
    description="Messages to any of its clients that the broker of a source reports as dropped, since we listen to it.",
    attributes=(SOURCE,),
    group="operations",
    series=16,
)
ERRORS = Counter(
    "homeassistant.errors",
    unit="{error}",
    description="Errors, by component, type and severity.",
    attributes=(COMPONENT, ERROR_TYPE, SEVERITY),
    group="operations",
    series=500,
)
CIRCUIT_BREAKER = ObservableUpDownCounter(
    "homeassistant.circuit_breaker.state",
    unit="{breaker}",
    description="1 for the current state of a circuit breaker, 0 for the other states.",
    attributes=(COMPONENT, CIRCUIT_STATE),
    group="operations",
    series=96,
)
"""Observe ``state_set(CIRCUIT_STATE, …)`` with it."""

RETRIES = Counter(
    "homeassistant.retry.attempts",
    unit="{attempt}",
    description="Retries of failed operations.",
    attributes=(COMPONENT, OPERATION),
    group="operations",
    series=128,
)

EVENT = Operation(
    duration=EVENT_DURATION,
    in_flight=IN_FLIGHT,
    received=RECEIVED,
    discarded=DISCARDED,
    occurrences=ENTITY_EVENTS,
)
"""An event that is received when its processing starts; for one in a queue, call `receive()` or `discard()`."""

QUEUED_EVENT = replace(EVENT, queued=True)
"""An event from a queue: `EVENT.receive()` counted it when it was queued."""

TRANSFORM = Operation(duration=TRANSFORM_DURATION)
WRITE = Operation(duration=WRITE_DURATION)

CATALOG = Catalog(
    RECEIVED,
    RESYNCHRONIZED,
    DISCARDED,
    IN_FLIGHT,
    EVENT_DURATION,
    ENTITY_EVENTS,
    LAG_TO_WRITE,
    DATA_RECEIVED,
    DATA_SENT,
    TRANSFORM_DURATION,
    POINTS_WRITTEN,
    WRITE_DURATION,
    BATCH_SIZE,
    QUEUE_SIZE,
    QUEUE_CAPACITY,
    QUEUE_AGE,
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    RECONNECTS,
    MESSAGE_AGE,
    BROKER_DROPPED,
    ERRORS,
    CIRCUIT_BREAKER,
    RETRIES,
    objectives=(
        Objective(EVENT_DURATION, bound=0.25, target=0.99, description="99 % of events are processed in 250 ms."),
        Objective(LAG_TO_WRITE, bound=5.5, target=0.99, description="99 % of states are stored within 5.5 s."),
    ),
)
