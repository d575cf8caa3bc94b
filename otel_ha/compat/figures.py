"""The earlier API's figures, as views of what telemetry holds: nothing is counted here.

Events come in two ways, measured and counted, and a service may use both for one event (see otel_ha.compat.events). So
of each source and domain the larger number counts: it is right where both say the same, and where one of them is all
there is; a sum would count twice. Durations without a source are those of record_processing_time(), whose event is
counted by another call; they show in the total where they are more than everything that has a source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import fmean

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.errors import TelemetryError
from otel_ha.history import BusinessMetrics, History, Interval, PerformanceMetrics, SystemMetrics
from otel_ha.history.derive import business as business_of
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest

Totals = Callable[..., dict[str, float]]
"""What an instrument holds or gained, by the values of an attribute; as History.totals."""

MOST = 100
"""Collections whose figures the earlier histories hold."""


def history() -> History | None:
    """Return the history of the telemetry that runs; None where there is none."""
    telemetry = running_telemetry()
    return telemetry.history if telemetry is not None else None


def collected() -> History | None:
    """Return the history with a collection of this moment; takes some milliseconds."""
    if (kept := history()) is not None:
        kept.collect()
    return kept


def last_collection() -> float | None:
    """Return when the newest collection was taken, in seconds since the epoch."""
    return None if (kept := history()) is None else kept.timestamps[-1]


def intervals(kept: History | None) -> Sequence[Interval]:
    """Return the figures of the last collections, newest last."""
    return [] if kept is None else kept.intervals()[-MOST:]


def business_history(kept: History | None) -> Sequence[BusinessMetrics]:
    """Return what had become of the events at the last collections, newest last; not by entity."""
    if kept is None:
        return []
    return kept.at_each(lambda span: _with_counted(business_of(span, entities=False), span.of, {}))[-MOST:]


def event_counts(kept: History | None) -> dict[str, int]:
    """Return the events processed: "total", each source, domain and entity."""
    counts = {"total": 0, "mqtt": 0, "websocket": 0}
    if kept is None:
        return counts
    by_source, by_domain, total = _events(_totals(kept))
    return {**counts, **_entities(_totals(kept)), **by_domain, **by_source, "total": total}


def error_counts(kept: History | None) -> dict[str, int]:
    """Return the errors: "total", and each kind of error."""
    counts = {"total": 0, "processing": 0, "connection": 0}
    if kept is None:
        return counts
    by_type = _totals(kept)(ingest.ERRORS, ingest.ERROR_TYPE)
    whole = {name: round(number) for name, number in by_type.items() if name}
    return {**counts, **whole, "total": round(sum(by_type.values()))}


def system(kept: History | None) -> SystemMetrics:
    """Return how the host fares."""
    return SystemMetrics() if kept is None else kept.system()


def performance(kept: History | None) -> PerformanceMetrics:
    """Return how the work fares, over all that is kept."""
    if kept is None:
        return PerformanceMetrics()
    figures, seconds = kept.performance(), kept.seconds()
    gained = _increases(kept)
    _, _, events = _events(gained)
    failed = max(_sum(gained, ingest.ERRORS), _sum(gained, ha_ingestor.COUNTED_EVENTS, outcome="error"))
    return replace(
        figures,
        event_processing_rate=events / seconds if seconds else 0.0,
        error_rate=max(figures.error_rate, min(failed / events, 1.0) if events else 0.0),
    )


def business(kept: History | None) -> BusinessMetrics:
    """Return what became of the events, since telemetry began."""
    if kept is None:
        return BusinessMetrics()
    totals = _totals(kept)
    return _with_counted(kept.business(), totals, _entities(totals))


def _totals(kept: History) -> Totals:
    """Return History.totals, which has nothing of an instrument that the service's own catalog leaves out."""
    return _of_what_is_kept(kept.totals)


def _increases(kept: History) -> Totals:
    """Return History.increase over all that is kept, likewise."""
    return _of_what_is_kept(lambda instrument, by, **where: kept.increase(instrument, None, by, **where))


def _of_what_is_kept(read: Totals) -> Totals:
    def totals(instrument: Instrument, by: Attribute | None = None, **where: str) -> dict[str, float]:
        with suppress(TelemetryError):
            return read(instrument, by, **where)
        return {}

    return totals


def _with_counted(figures: BusinessMetrics, of: Totals, by_entity: dict[str, int]) -> BusinessMetrics:
    by_source, by_domain, total = _events(of)
    return replace(
        figures,
        total_events_processed=total,
        events_by_source=by_source,
        events_by_domain=by_domain,
        events_by_entity=by_entity,
        deduplication_rate=_pushed(of, ha_ingestor.DEDUPLICATION, figures.deduplication_rate),
        filter_efficiency=_pushed(of, ha_ingestor.FILTER_EFFICIENCY, figures.filter_efficiency),
        transformation_success_rate=_pushed(of, ha_ingestor.TRANSFORM_SUCCESS, figures.transformation_success_rate),
    )


def _events(of: Totals) -> tuple[dict[str, int], dict[str, int], int]:
    """Return the events by source, by domain, and all of them."""
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
    """Return the mean of what the caller pushes, or what is derived where it pushes nothing."""
    (by,) = gauge.attributes
    pushed = of(gauge, by).values()
    return fmean(pushed) if pushed else derived
