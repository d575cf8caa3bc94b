"""Answers of the earlier API, computed from the history: this module counts nothing itself.

Events arrive measured or counted, and a service may use both calls for one event (see otel_ha.compat.events). So for
each source and domain the larger number wins: it is right if both agree, and if one of them is missing; a sum would
count twice. Durations without a source come from record_processing_time(), whose event another call counts; they show
in the total if they outnumber all events that have a source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import fmean

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.errors import UndeclaredError
from otel_ha.history import BusinessMetrics, History, Interval, PerformanceMetrics, SystemMetrics
from otel_ha.history.derive import business as business_of
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest

Totals = Callable[..., dict[str, float]]
"""A function that returns values or increases of an instrument by the values of an attribute, like History.totals."""

MOST = 100
"""The length of the earlier histories, in collections."""


def running_history() -> History | None:
    """Return the history of the running telemetry, or None."""
    telemetry = running_telemetry()
    return telemetry.history if telemetry is not None else None


def collected() -> History | None:
    """Return the history after a collection; takes some milliseconds."""
    if (history := running_history()) is not None:
        history.collect()
    return history


def last_collection() -> float | None:
    """Return the time of the newest collection, in seconds since the epoch."""
    return None if (history := running_history()) is None else history.timestamps[-1]


def intervals(history: History | None) -> Sequence[Interval]:
    """Return the last intervals, newest last."""
    return [] if history is None else history.intervals()[-MOST:]


def business_history(history: History | None) -> Sequence[BusinessMetrics]:
    """Return the business metrics at the last collections, newest last; without events by entity."""
    if history is None:
        return []
    return history.at_each(lambda span: _with_counted(business_of(span, entities=False), span.of, {}))[-MOST:]


def event_counts(history: History | None) -> dict[str, int]:
    """Return the events processed: "total", each source, domain and entity."""
    counts = {"total": 0, "mqtt": 0, "websocket": 0}
    if history is None:
        return counts
    by_source, by_domain, total = _events(_totals(history))
    return {**counts, **_entities(_totals(history)), **by_domain, **by_source, "total": total}


def error_counts(history: History | None) -> dict[str, int]:
    """Return the errors: "total", and each type of error."""
    counts = {"total": 0, "processing": 0, "connection": 0}
    if history is None:
        return counts
    by_type = _totals(history)(ingest.ERRORS, ingest.ERROR_TYPE)
    whole = {name: round(number) for name, number in by_type.items() if name}
    return {**counts, **whole, "total": round(sum(by_type.values()))}


def system(history: History | None) -> SystemMetrics:
    """Return the system metrics as of the newest collection."""
    return SystemMetrics() if history is None else history.system()


def performance(history: History | None) -> PerformanceMetrics:
    """Return the performance metrics over the whole history."""
    if history is None:
        return PerformanceMetrics()
    measured, seconds = history.performance(), history.seconds()
    increases = _increases(history)
    _, _, events = _events(increases)
    failed = max(_sum(increases, ingest.ERRORS), _sum(increases, ha_ingestor.COUNTED_EVENTS, outcome="error"))
    return replace(
        measured,
        event_processing_rate=events / seconds if seconds else 0.0,
        error_rate=max(measured.error_rate, min(failed / events, 1.0) if events else 0.0),
    )


def business(history: History | None) -> BusinessMetrics:
    """Return the business metrics since telemetry started."""
    if history is None:
        return BusinessMetrics()
    totals = _totals(history)
    return _with_counted(history.business(), totals, _entities(totals))


def _totals(history: History) -> Totals:
    return _empty_if_undeclared(history.totals)


def _increases(history: History) -> Totals:
    return _empty_if_undeclared(lambda instrument, by, **where: history.increase(instrument, None, by, **where))


def _empty_if_undeclared(read: Totals) -> Totals:
    """Return nothing for instruments that the service's own catalog lacks."""

    def totals(instrument: Instrument, by: Attribute | None = None, **where: str) -> dict[str, float]:
        with suppress(UndeclaredError):
            return read(instrument, by, **where)
        return {}

    return totals


def _with_counted(measured: BusinessMetrics, of: Totals, by_entity: dict[str, int]) -> BusinessMetrics:
    by_source, by_domain, total = _events(of)
    return replace(
        measured,
        total_events_processed=total,
        events_by_source=by_source,
        events_by_domain=by_domain,
        events_by_entity=by_entity,
        deduplication_rate=_pushed(of, ha_ingestor.DEDUPLICATION, measured.deduplication_rate),
        filter_efficiency=_pushed(of, ha_ingestor.FILTER_EFFICIENCY, measured.filter_efficiency),
        transformation_success_rate=_pushed(of, ha_ingestor.TRANSFORM_SUCCESS, measured.transformation_success_rate),
    )


def _events(of: Totals) -> tuple[dict[str, int], dict[str, int], int]:
    """Return the events by source, by domain, and in total."""
    measured, counted = ingest.EVENT_DURATION, ha_ingestor.COUNTED_EVENTS
    by_source: dict[str, int] = {}
    by_domain: dict[str, int] = {}
    for source in filter(None, of(measured, ingest.SOURCE) | of(counted, ingest.SOURCE)):
        of_source = _larger(of, measured, counted, ingest.DOMAIN, source=source)
        by_source[source] = sum(of_source.values())
        for domain, number in of_source.items():
            by_domain[domain] = by_domain.get(domain, 0) + number
    by_domain.pop("", None)
    return by_source, by_domain, max(sum(by_source.values()), round(_sum(of, measured)))


def _entities(of: Totals) -> dict[str, int]:
    found = _larger(of, ingest.ENTITY_EVENTS, ha_ingestor.COUNTED_ENTITY_EVENTS, ingest.ENTITY)
    found.pop("", None)
    return found


def _larger(of: Totals, measured: Instrument, counted: Instrument, by: Attribute, **where: str) -> dict[str, int]:
    one, other = of(measured, by, **where), of(counted, by, **where)
    return {name: round(max(one.get(name, 0), other.get(name, 0))) for name in one | other}


def _sum(of: Totals, instrument: Instrument, **where: str) -> float:
    return sum(of(instrument, **where).values())


def _pushed(of: Totals, gauge: Instrument, derived: float) -> float:
    """Return the mean of the values that the caller pushes; without any, the derived value."""
    (by,) = gauge.attributes
    pushed = of(gauge, by).values()
    return fmean(pushed) if pushed else derived
