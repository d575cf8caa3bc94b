"""Tables of the events by source, domain and reason, of the points by sink, and of the errors by type."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.history.derive import Span, share
from otel_ha.serve.summary.names import named, named_rows
from otel_ha.vocabulary import ingest

__all__ = ["EVENTS", "tables"]

EVENTS = "event processing"
"""The component of the errors in which the processing of events ended."""

_Column = Mapping[str, Any] | None


def tables(since: Span, recent: Span, groups: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables, largest first: counts `since` telemetry started, rates within the `recent` span.

    A number that is not measured with these metric groups is None.
    """
    counts, rates = partial(_counts, since, groups), partial(_rates, recent, groups)
    return {
        "sources": _rows(
            received=counts(ingest.RECEIVED, ingest.SOURCE),
            processed=counts(ingest.EVENT_DURATION, ingest.SOURCE),
            errors=counts(ingest.EVENT_DURATION, ingest.SOURCE, outcome="error"),
            discarded=counts(ingest.DISCARDED, ingest.SOURCE),
            in_flight=counts(ingest.IN_FLIGHT, ingest.SOURCE),
            rate=rates(ingest.RECEIVED, ingest.SOURCE),
        ),
        "domains": _rows(
            processed=counts(ingest.EVENT_DURATION, ingest.DOMAIN),
            errors=counts(ingest.EVENT_DURATION, ingest.DOMAIN, outcome="error"),
            rate=rates(ingest.EVENT_DURATION, ingest.DOMAIN),
        ),
        "reasons": _rows(
            discarded=counts(ingest.DISCARDED, ingest.REASON), rate=rates(ingest.DISCARDED, ingest.REASON)
        ),
        "sinks": _sinks(since, recent, groups),
        "errors": _errors(since, recent),
    }


def _counts(span: Span, groups: Collection[str], instrument: Instrument, by: Attribute, **where: str) -> _Column:
    if not instrument.is_on(groups):
        return None
    return {name: round(count) for name, count in named(span.of(instrument, by, **where)).items()}


def _rates(span: Span, groups: Collection[str], instrument: Instrument, by: Attribute, **where: str) -> _Column:
    if not instrument.is_on(groups):
        return None
    return {name: share(count, span.seconds) for name, count in named(span.of(instrument, by, **where)).items()}


def _rows(**columns: _Column) -> list[dict[str, Any]]:
    """Return a row for each name in a column, in descending order of the columns; None for a missing column."""
    known = [column for column in columns.values() if column is not None]
    names = sorted({name for column in known for name in column})
    names.sort(key=lambda name: [column.get(name, 0) for column in known], reverse=True)
    return [
        {"name": name, **{title: None if each is None else each.get(name, 0) for title, each in columns.items()}}
        for name in names
    ]


def _sinks(since: Span, recent: Span, groups: Collection[str]) -> list[dict[str, Any]]:
    """Return the points by sink; with its writes, if the database product of the operations has the sink's name."""
    if not ingest.POINTS_WRITTEN.is_on(groups):
        return []
    ok = _counts(since, groups, ingest.POINTS_WRITTEN, ingest.SINK, outcome="ok") or {}
    every = _counts(since, groups, ingest.POINTS_WRITTEN, ingest.SINK) or {}
    rows = _rows(
        ok={name: ok.get(name, 0) for name in every},
        lost={name: count - ok.get(name, 0) for name, count in every.items()},
        rate=_rates(recent, groups, ingest.POINTS_WRITTEN, ingest.SINK, outcome="ok"),
    )
    writes = since.of(ingest.WRITE_DURATION, ingest.DB_SYSTEM)
    failed = since.of(ingest.WRITE_DURATION, ingest.DB_SYSTEM, outcome="error")
    for row in rows:
        name = row["name"]
        row["errors"] = round(failed.get(name, 0)) if name in writes else None
        row["p95_write_ms"] = _p95_ms(recent, name)
    return rows


def _p95_ms(recent: Span, system: str) -> float | None:
    written = recent.distribution(ingest.WRITE_DURATION, system=system)
    return None if written.is_empty else 1e3 * written.quantiles((0.95,))[0]


def _errors(since: Span, recent: Span) -> list[dict[str, Any]]:
    """Return the errors by type and component, and those in which the processing of events ended."""
    counts, increases = _errors_within(since), _errors_within(recent)
    rows = [
        {"name": key[0], "component": key[1], "count": round(count), "rate": share(increases[key], recent.seconds)}
        for key, count in counts.items()
        if count
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["name"], row["component"]))


def _errors_within(span: Span) -> dict[tuple[str, ...], float]:
    found = named_rows(span.rows(ingest.ERRORS, ingest.ERROR_TYPE, ingest.COMPONENT))
    for (name,), count in named_rows(span.rows(ingest.EVENT_DURATION, ingest.ERROR_TYPE, outcome="error")).items():
        found[name, EVENTS] = found.get((name, EVENTS), 0) + count
    return found
