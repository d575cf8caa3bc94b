"""The connections of a service: whether they are up, how old their last message is, and how they ended."""

from __future__ import annotations

from typing import Any

from otel_ha.history.derive import Span
from otel_ha.serve.summary.names import named, named_rows
from otel_ha.vocabulary import ingest

__all__ = ["connections"]


def connections(since: Span) -> list[dict[str, Any]]:
    """Return a row for each connection, by name; of a source without a connection, only the age of its last message.

    The kind of a connection is the name of its source.
    """
    up = named(since.of(ingest.CONNECTIONS, ingest.CONNECTION))
    ages = named(since.of(ingest.MESSAGE_AGE, ingest.SOURCE))
    reconnects = named(since.of(ingest.RECONNECTS, ingest.CONNECTION))
    closed = named_rows(since.rows(ingest.CONNECTIONS_CLOSED, ingest.CONNECTION, ingest.CLOSE_REASON))
    return [
        {
            "name": name,
            "up": round(up[name]) if name in up else None,
            "message_age": ages.get(name),
            "reconnects": round(reconnects.get(name, 0)),
            "closed": {reason: round(count) for (kind, reason), count in closed.items() if kind == name},
        }
        for name in sorted({*up, *ages, *reconnects, *(kind for kind, _ in closed)})
    ]
