"""The accounts of events since telemetry started: received, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.history.derive import Span
from otel_ha.serve.summary.names import named, named_rows
from otel_ha.vocabulary import ingest

__all__ = ["accounts"]

_NEEDED = (ingest.RECEIVED, ingest.DISCARDED, ingest.EVENT_DURATION, ingest.IN_FLIGHT)

_Parts = Mapping[tuple[str, ...], float]


def accounts(since: Span, groups: Collection[str]) -> dict[str, Any] | None:
    """Return the accounts in total and by source; None if a part of them is not measured with these metric groups.

    A source whose events are only processed, never received, has no accounts, as in the alert AccountsDiffer.
    """
    if not all(each.is_on(groups) for each in _NEEDED):
        return None
    received = named(since.of(ingest.RECEIVED, ingest.SOURCE))
    in_flight = _parts(since, ingest.IN_FLIGHT, ingest.EVENT_STATE)
    processed = _parts(since, ingest.EVENT_DURATION, ingest.OUTCOME)
    discarded = _parts(since, ingest.DISCARDED, ingest.REASON)
    sources = sorted({*received, *(source for source, _ in in_flight)}, key=lambda name: (-received.get(name, 0), name))
    by_source = {
        source: _account(received.get(source, 0), *(_of(source, each) for each in (discarded, processed, in_flight)))
        for source in sources
    }
    return {"total": _total(list(by_source.values())), "by_source": by_source}


def _parts(since: Span, instrument: Instrument, by: Attribute) -> _Parts:
    return named_rows(since.rows(instrument, ingest.SOURCE, by))


def _of(source: str, parts: _Parts) -> dict[str, int]:
    """Return the parts of one source, largest first, without those that are 0."""
    found = {part: round(count) for (of, part), count in parts.items() if of == source and round(count)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _account(
    received: float, discarded: Mapping[str, int], processed: Mapping[str, int], in_flight: Mapping[str, int]
) -> dict[str, Any]:
    whole, waiting = round(received), sum(in_flight.values())
    return {
        "received": whole,
        "discarded": discarded,
        "processed": processed,
        "queued": in_flight.get("queued", 0),
        "active": in_flight.get("active", 0),
        "in_flight": waiting,
        "difference": whole - sum(discarded.values()) - sum(processed.values()) - waiting,
    }


def _total(every: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of all accounts."""
    return {
        "received": sum(each["received"] for each in every),
        **{name: _added(each[name] for each in every) for name in ("discarded", "processed")},
        **{name: sum(each[name] for each in every) for name in ("queued", "active", "in_flight", "difference")},
    }


def _added(every: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for parts in every:
        for name, count in parts.items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
