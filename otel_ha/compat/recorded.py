"""Records the reports of the earlier MetricsCollector as figures of the ingest vocabulary.

Each call adds to them at once. Whether the service reports the same thing by otel-ha's own API as well cannot be known:
the two reports have the same attributes, and a collection may fall between them. Only events that are counted by source
are compared (see otel_ha.compat.events), and queues, which the service then observes itself.
"""

from __future__ import annotations

from otel_ha.compat import events, pushed
from otel_ha.compat.words import SEVERITIES, amount, outcome_of, text, word
from otel_ha.declare.outcome import Discarded
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
    ingest.EVENT.record(0.0, Discarded("duplicate"))


def processing_time(seconds: object) -> None:
    """Record an event of which only the duration is known."""
    if (took := amount(ingest.EVENT_DURATION, "a duration", seconds)) is not None:
        ingest.EVENT.record(took)


def queue_size(size: object) -> None:
    """Set the size of the pipeline's queue."""
    pushed.pipeline_queue_size(size)


def connection(client: str, status: object) -> None:
    """Set whether a client is connected."""
    if (number := amount(ingest.CONNECTIONS, "a connection's state", status, 1)) is not None:
        pushed.active_connections(number, client)


def connection_error(client: str) -> None:
    """Count an error of a connection."""
    ha_ingestor.CONNECTION_ERRORS.add(1, kind=client)


def reconnect(client: str) -> None:
    """Count an attempt to connect again."""
    ingest.RECONNECTS.add(1, kind=client)


def write(points: object, success: object, seconds: object) -> None:
    """Count the points of a write, and record its duration."""
    outcome = outcome_of(success)
    if (count := amount(ingest.POINTS_WRITTEN, "a count", points)) is not None:
        ingest.POINTS_WRITTEN.add(count, sink=_INFLUXDB, outcome=outcome)
    if (took := amount(ingest.WRITE_DURATION, "a duration", seconds)) is not None:
        ingest.WRITE.record(took, outcome, system=_INFLUXDB, operation="write")  # type: ignore[arg-type]  # the attribute rejects and reports a wrong outcome


def batch(points: object) -> None:
    """Record the size of a batch."""
    if (size := amount(ingest.BATCH_SIZE, "a size", points)) is not None:
        ingest.BATCH_SIZE.record(size, sink=_INFLUXDB)


def retry(component: object, operation: object) -> None:
    """Count a retry."""
    events.retried(component, operation)


def breaker(state: object, component: object) -> None:
    """Set the state of a circuit breaker."""
    pushed.circuit_breaker(state, component)


def error(category: object, severity: object) -> None:
    """Count an error."""
    ingest.ERRORS.add(1, error_type=text(ingest.ERRORS, "error_type", category), severity=word(severity, SEVERITIES))
