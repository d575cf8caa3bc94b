"""Notes on the service's surroundings for /healthz: connections that are down, and sources that are silent."""

from __future__ import annotations

from collections.abc import Iterator

from otel_ha.errors import TelemetryError
from otel_ha.history.derive import Span
from otel_ha.history.history import History
from otel_ha.serve.summary.connections import connections
from otel_ha.serve.summary.words import duration
from otel_ha.vocabulary import ingest

__all__ = ["notes"]

_SILENCE = 3600.0 * ingest.HOURS_OF_SILENCE


def notes(history: History | None) -> list[str]:
    """Return notes as of the last collection; none without a history, or while a signal handler interrupts one."""
    if history is None:
        return []
    try:
        with history.reading():
            return list(_notes(history.since_start()))
    except TelemetryError:
        return []


def _notes(span: Span) -> Iterator[str]:
    for row in connections(span):
        name, up, age = row["name"], row["up"], row["message_age"]
        if up is not None and up <= 0:
            yield f"{name}: no connection is up"
        if age is not None and age > _SILENCE:
            yield f"{name}: no event for {duration(age)}"
