"""Records the reports of the earlier MetricsCollector as figures of the ingest vocabulary."""

from __future__ import annotations

from functools import partial

from otel_ha.compat import events, pushed
from otel_ha.compat.feeding import feed
from otel_ha.compat.words import SEVERITIES, amount, outcome_of, text, word
from otel_ha.declare.outcome import Discarded
from otel_ha.declare.plain import plain_text
from otel_ha.vocabulary import ha_ingestor, ingest

_INFLUXDB = "influxdb"


def event(source: object, success: object) -> None:
    """Count an event by source: besides the measured ones, of which the larger number counts."""
    on = ha_ingestor.SOURCE_EVENTS
    of_source = (text(on, "source", source) or "unknown").lower()
    ingest.EVENT.expect_unreceived(source=of_source)
    on.add(1, source=of_source, outcome=outcome_of(success))


def duplicate() -> None:
    """Count an event that was received and discarded."""
    record = partial(ingest.EVENT.record, 0.0, Discarded("duplicate"))
    feed(ingest.DISCARDED, {ingest.REASON: "duplicate"}, record)


def processing_time(seconds: object) -> None:
    """Record an event of which only the duration is known."""
    if (took := amount(ingest.EVENT_DURATION, "a duration", seconds)) is not None:
        feed(ingest.EVENT_DURATION, {}, partial(ingest.EVENT.record, took))


def queue_size(size: object) -> None:
    """Set the size of the pipeline's queue."""
    pushed.pipeline_queue_size(size)


def connection(client: str, status: object) -> None:
    """Set whether a client is connected."""
    on = ingest.CONNECTIONS
    if (number := amount(on, "a connection's state", status, 1)) is not None:
        feed(on, {ingest.CONNECTION: client}, partial(pushed.active_connections, number, client))


def connection_error(client: str) -> None:
    """Count an error of a connection."""
    ha_ingestor.CONNECTION_ERRORS.add(1, kind=client)


def reconnect(client: str) -> None:
    """Count an attempt to connect again."""
    feed(ingest.RECONNECTS, {ingest.CONNECTION: client}, partial(ingest.RECONNECTS.add, 1, kind=client))


def write(points: object, success: object, seconds: object) -> None:
    """Count the points of a write, and record its duration."""
    outcome = outcome_of(success)
    written = ingest.POINTS_WRITTEN
    if (count := amount(written, "a count", points)) is not None:
        feed(written, {ingest.SINK: _INFLUXDB}, partial(written.add, count, sink=_INFLUXDB, outcome=outcome))
    if (took := amount(ingest.WRITE_DURATION, "a duration", seconds)) is not None:
        record = partial(ingest.WRITE.record, took, outcome, system=_INFLUXDB, operation="write")  # type: ignore[arg-type]  # the attribute rejects and reports a wrong outcome
        feed(ingest.WRITE_DURATION, {ingest.DB_SYSTEM: _INFLUXDB}, record)


def batch(points: object) -> None:
    """Record the size of a batch."""
    on = ingest.BATCH_SIZE
    if (size := amount(on, "a size", points)) is not None:
        feed(on, {ingest.SINK: _INFLUXDB}, partial(on.record, size, sink=_INFLUXDB))


def retry(component: object, operation: object) -> None:
    """Count a retry."""
    on = ingest.RETRIES
    where = {ingest.COMPONENT: text(on, "component", component), ingest.OPERATION: text(on, "operation", operation)}
    feed(on, where, partial(events.retried, component, operation))


def breaker(state: object, component: object) -> None:
    """Set the state of a circuit breaker."""
    pushed.circuit_breaker(state, component)


def error(category: object, severity: object) -> None:
    """Count an error."""
    on = ingest.ERRORS
    kind, known = text(on, "error_type", category), word(severity, SEVERITIES)
    where = {ingest.ERROR_TYPE: kind, ingest.COMPONENT: None, ingest.SEVERITY: plain_text(known)}
    feed(on, where, partial(on.add, 1, error_type=kind, severity=known))
