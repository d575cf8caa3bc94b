"""Recording for the three earlier objects.

An event arrives in two ways. A call with a duration records a complete event: received, processed, its duration. A
call that only counts adds to a separate counter. Services make both calls for one event, so the two are never added
up: readers take the larger number for each source and domain (see otel_ha.compat.answers).
"""

from __future__ import annotations

from otel_ha.compat.words import SEVERITIES, WRITTEN, amount, entity_name, text, word
from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.ports import AttributeValue
from otel_ha.vocabulary import ha_ingestor, ingest


def timed(milliseconds: object) -> float | None:
    """Record an event of which only the duration is known; return the duration, or None if it was not valid."""
    took = amount(ingest.EVENT_DURATION, "a duration", milliseconds)
    if took is not None:
        ingest.EVENT.record(took / 1e3)
    return took


def measured(
    seconds: object, source: object, domain: object, entity: object, outcome: AttributeValue = "ok"
) -> float | None:
    """Record an event with its duration; return the duration, or None if it was not valid."""
    took = amount(ingest.EVENT_DURATION, "a duration", seconds)
    if took is not None:
        ingest.EVENT.record(
            took,
            outcome,  # type: ignore[arg-type]  # the attribute rejects and reports a wrong outcome
            source=_source(ingest.RECEIVED, source),
            domain=text(ingest.EVENT_DURATION, "domain", domain),
            entity=entity_name(ingest.ENTITY_EVENTS, entity),
        )
    return took


def counted(
    source: object, domain: object, entity: object, outcome: AttributeValue | None = "ok", number: float = 1
) -> None:
    """Count events."""
    events, entities = ha_ingestor.COUNTED_EVENTS, ha_ingestor.COUNTED_ENTITY_EVENTS
    of_source, of = _source(events, source), text(events, "domain", domain)
    ingest.EVENT.expect_unreceived(source=of_source)  # the service may discard others of these by otel_ha's own API
    events.add(number, source=of_source, domain=of, outcome=outcome)
    if (name := entity_name(entities, entity)) is not None:
        entities.add(number, entity=name, domain=of)


def _source(on: Synchronous, source: object) -> str:
    return text(on, "source", source) or "unknown"


def points_written(count: object, measurement: object, status: object) -> None:
    """Count points that were written or failed, by status."""
    written = ingest.POINTS_WRITTEN
    if (points := amount(written, "a count", count)) is not None:
        name = text(written, "measurement", measurement)
        written.add(points, measurement=name, outcome=word(status, WRITTEN))


def received(bytes_count: object, source: object, data_type: object) -> None:
    """Count bytes received."""
    data = ingest.DATA_RECEIVED
    if (size := amount(data, "a count of bytes", bytes_count)) is not None:
        data.add(size, source=text(data, "source", source), type=text(data, "type", data_type))


def failed(error_type: object, component: object = "", severity: object = "unknown", number: float = 1) -> None:
    """Count errors."""
    errors = ingest.ERRORS
    errors.add(
        number,
        error_type=text(errors, "error_type", error_type),
        component=text(errors, "component", component),
        severity=word(severity, SEVERITIES),
    )


def retried(component: object, operation: object, number: float = 1) -> None:
    """Count retries."""
    retries = ingest.RETRIES
    retries.add(
        number, component=text(retries, "component", component), operation=text(retries, "operation", operation)
    )
