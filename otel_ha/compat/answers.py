"""Answers of the earlier API, computed from the history: this module counts nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import fmean

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.errors import UndeclaredError
from otel_ha.history import BusinessMetrics, History, Interval, PerformanceMetrics, SystemMetrics
from otel_ha.history.derive import business as business_of
from otel_ha.history.events import Totals, larger, processed, total_of
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest

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


def system(history: History | None) -> SystemMetrics:
    """Return the system metrics as of the newest collection."""
    return system_in_numbers(SystemMetrics() if history is None else history.system())


def performance(history: History | None) -> PerformanceMetrics:
    """Return the performance metrics over the whole history."""
    if history is None:
        return in_numbers(PerformanceMetrics())
    measured, seconds = history.performance(), history.seconds()
    increases = _increases(history)
    events = processed(increases).total
    failed = max(
        total_of(increases, ingest.ERRORS),
        total_of(increases, ha_ingestor.COUNTED_EVENTS, outcome="error"),
        total_of(increases, ha_ingestor.SOURCE_EVENTS, outcome="error"),
    )
    return replace(
        in_numbers(measured),
        event_processing_rate=events / seconds if seconds else 0.0,
        error_rate=max(measured.error_rate, min(failed / events, 1.0) if events else 0.0),
    )


def system_in_numbers(measured: SystemMetrics) -> SystemMetrics:
    """Return system metrics with 0 for a use of the CPU that is not known yet, like in_numbers()."""
    return replace(measured, cpu_percent=measured.cpu_percent or 0.0)


def in_numbers(measured: PerformanceMetrics) -> PerformanceMetrics:
    """Return performance metrics with 0 for a figure that is not known: callers of the earlier API expect numbers."""
    return replace(measured, p95_lag=measured.p95_lag or 0.0, queue_use=measured.queue_use or 0.0)


def rates(history: History | None) -> dict[str, float]:
    """Return the events per second over the whole history, by source."""
    seconds = 0.0 if history is None else history.seconds()
    if history is None or not seconds:
        return {}
    return {source: number / seconds for source, number in processed(_increases(history)).by_source.items()}


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
    by_source, by_domain, total = processed(of)
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


def _entities(of: Totals) -> dict[str, int]:
    found = larger(of, ingest.ENTITY_EVENTS, ha_ingestor.COUNTED_ENTITY_EVENTS, ingest.ENTITY)
    found.pop("", None)
    return found


def _pushed(of: Totals, gauge: Instrument, derived: float) -> float:
    """Return the mean of the values that the caller pushes; without any, the derived value."""
    (by,) = gauge.attributes
    pushed = of(gauge, by).values()
    return fmean(pushed) if pushed else derived
