"""Events that are measured, or counted by the earlier API (otel_ha.compat), or both: each one once.

Events arrive measured or counted, and a service may use both calls for one event (see otel_ha.compat.events). So for
each source and domain the larger number wins: it is right if both agree, and if one of them is missing; a sum would
count twice. Durations without a source come from record_processing_time(), whose event another call counts; they show
in the total if they outnumber all events that have a source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.vocabulary import ha_ingestor, ingest

Totals = Callable[..., dict[str, float]]
"""A function that returns values or increases of an instrument by the values of an attribute, like History.totals."""


class Processed(NamedTuple):
    """The events processed."""

    by_source: dict[str, int]
    by_domain: dict[str, int]
    total: int


def processed(of: Totals) -> Processed:
    """Return the events processed by source, by domain, and in total."""
    measured, counted = ingest.EVENT_DURATION, ha_ingestor.COUNTED_EVENTS
    by_source: dict[str, int] = {}
    by_domain: dict[str, int] = {}
    for source in filter(None, of(measured, ingest.SOURCE) | of(counted, ingest.SOURCE)):
        of_source = larger(of, measured, counted, ingest.DOMAIN, source=source)
        by_source[source] = sum(of_source.values())
        for domain, number in of_source.items():
            by_domain[domain] = by_domain.get(domain, 0) + number
    by_domain.pop("", None)
    for source, count in of(ha_ingestor.SOURCE_EVENTS, ingest.SOURCE).items():
        by_source[source] = max(by_source.get(source, 0), round(count))
    return Processed(by_source, by_domain, max(sum(by_source.values()), round(total_of(of, measured))))


def received(of: Totals) -> float:
    """Return the events received: those that telemetry received, and those that were only counted as processed."""
    known = max(total_of(of, ingest.RECEIVED), total_of(of, ingest.DISCARDED))
    if not (of(ha_ingestor.COUNTED_EVENTS) or of(ha_ingestor.SOURCE_EVENTS)):
        return known
    return known + processed(of).total - round(total_of(of, ingest.EVENT_DURATION))


def larger(of: Totals, measured: Instrument, counted: Instrument, by: Attribute, **where: str) -> dict[str, int]:
    """Return the larger of two numbers for each value of an attribute."""
    one, other = of(measured, by, **where), of(counted, by, **where)
    return {name: round(max(one.get(name, 0), other.get(name, 0))) for name in one | other}


def total_of(of: Totals, instrument: Instrument, **where: str) -> float:
    """Return the sum over all series of an instrument."""
    return sum(of(instrument, **where).values())
