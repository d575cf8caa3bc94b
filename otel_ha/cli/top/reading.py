"""Reading: the figures of one summary that `otel-ha top` shows; absent, odd or infinite ones are None.

A summary comes from outside, perhaps from another version, so that nothing in it is taken for granted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["SCHEMA", "Accounts", "Reading", "Row", "read"]

SCHEMA = "2"
"""The major version of the summaries that are understood."""

Row = Mapping[str, Any]
"""A row of a table: `name`, a text, and numbers or None."""

_MS = 1e-3
_MB = 2.0**20
_TABLES = ("sources", "domains", "reasons", "sinks", "errors")
_HISTORY = {
    "rate": ("performance", "event_processing_rate", 1.0),
    "p95": ("performance", "p95_processing_time", _MS),
    "lag": ("performance", "p95_lag", _MS),
    "queue": ("performance", "queue_depth", 1.0),
    "cpu": ("system", "process_cpu_percent", 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The events since telemetry started."""

    received: float
    discarded: float
    processed: float
    in_flight: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The figures of a service: times in seconds, sizes in bytes, shares from 0 to 1, rates per second.

    Rates and percentiles cover the last `window` seconds. `history` has the values of each collection that is kept,
    one every `interval` seconds.
    """

    service: str
    host: str
    version: str
    schema: str
    process_id: float | None
    timestamp: float | None
    started: float | None
    status: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    window: float | None
    interval: float | None
    rate: float | None
    received_rate: float | None
    discarded_rate: float | None
    points_rate: float | None
    outcomes: Mapping[str, float | None]
    errors: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    lag: float | None
    queue: float | None
    queue_use: float | None
    in_flight: float | None
    processed: float | None
    cpu: float | None
    memory: float | None
    host_cpu: float | None
    host_memory: float | None
    accounts: Accounts | None
    history: Mapping[str, tuple[float | None, ...]]
    tables: Mapping[str, tuple[Row, ...]]
    connections: tuple[Row, ...]
    readers: tuple[Row, ...]

    @property
    def is_understood(self) -> bool:
        """Whether the summary's major version is the one that this version of otel-ha reads."""
        return self.schema.partition(".")[0] == SCHEMA

    @property
    def up(self) -> float | None:
        """How long telemetry has been running, in seconds."""
        return None if self.timestamp is None or self.started is None else max(0.0, self.timestamp - self.started)

    def is_same_run(self, other: Reading) -> bool:
        """Tell whether both readings are of the same run of the service: a restart changes the start or the process."""
        return (self.started, self.process_id) == (other.started, other.process_id)


def read(summary: Mapping[str, Any]) -> Reading:
    """Return the figures of a summary."""
    health = _mapping(summary.get("health"))
    info = _mapping(summary.get("system_info"))
    current = _mapping(summary.get("current"))
    return Reading(
        service=_text(summary.get("service")),
        host=_text(info.get("hostname")),
        version=_text(info.get("otel_ha_version")),
        schema=_text(summary.get("schema_version")),
        process_id=_number(info.get("process_id")),
        timestamp=_number(summary.get("timestamp")),
        started=_number(summary.get("started")),
        status=_text(health.get("status")),
        reasons=_texts(health.get("reasons")),
        notes=_texts(health.get("notes")),
        readers=_rows(health.get("readers"), name="reader", texts=("target", "status", "last_error")),
        window=_number(current.get("window")),
        interval=_number(_mapping(summary.get("history")).get("interval")),
        **_performance(_mapping(current.get("performance"))),
        **_machine(_mapping(current.get("system"))),
        processed=_number(_mapping(current.get("business")).get("total_events_processed")),
        accounts=_accounts(_mapping(_mapping(summary.get("accounts")).get("total"))),
        history=_history(_mapping(summary.get("history"))),
        tables=_tables(_mapping(summary.get("tables")), _mapping(current.get("business"))),
        connections=_rows(summary.get("connections")),
    )


def _performance(found: Row) -> dict[str, Any]:
    return {
        "rate": _number(found.get("event_processing_rate")),
        "received_rate": _number(found.get("received_rate")),
        "discarded_rate": _number(found.get("discarded_rate")),
        "points_rate": _number(found.get("throughput_points_per_second")),
        "outcomes": {str(name): _number(value) for name, value in _mapping(found.get("rates_by_outcome")).items()},
        "errors": _number(found.get("error_rate")),
        "p50": _number(found.get("p50_processing_time"), _MS),
        "p95": _number(found.get("p95_processing_time"), _MS),
        "p99": _number(found.get("p99_processing_time"), _MS),
        "lag": _number(found.get("p95_lag"), _MS),
        "queue": _number(found.get("queue_depth")),
        "queue_use": _number(found.get("queue_use")),
        "in_flight": _number(found.get("events_in_flight")),
    }


def _machine(found: Row) -> dict[str, Any]:
    return {
        "cpu": _number(found.get("process_cpu_percent")),
        "memory": _number(found.get("process_memory_mb"), _MB),
        "host_cpu": _number(found.get("cpu_percent")),
        "host_memory": _number(found.get("memory_percent")),
    }


def _accounts(found: Row) -> Accounts | None:
    if not found:
        return None
    parts = {
        "received": _number(found.get("received")),
        "discarded": _total(found.get("discarded")),
        "processed": _total(found.get("processed")),
        "in_flight": _number(found.get("in_flight")),
        "difference": _number(found.get("difference")),
    }
    return Accounts(**{each.name: parts[each.name] or 0.0 for each in fields(Accounts)})


def _history(found: Row) -> dict[str, tuple[float | None, ...]]:
    return {
        name: tuple(_number(_mapping(each).get(figure), unit) for each in _list(found.get(part)))
        for name, (part, figure, unit) in _HISTORY.items()
    }


def _tables(found: Row, business: Row) -> dict[str, tuple[Row, ...]]:
    """Return the rows of each table; schema 2.0 has no tables, but counts by source and domain."""
    tables = {name: _rows(found.get(name)) for name in _TABLES}
    for name, figure in (("sources", "events_by_source"), ("domains", "events_by_domain")):
        if not tables[name]:
            counts = _mapping(business.get(figure)).items()
            tables[name] = tuple({"name": str(each), "processed": _number(value)} for each, value in counts)
    return tables


def _rows(found: Any, name: str = "name", texts: tuple[str, ...] = ("component",)) -> tuple[Row, ...]:
    return tuple(_row(each, name, texts) for each in _list(found) if isinstance(each, Mapping))


def _row(found: Row, name: str, texts: tuple[str, ...]) -> Row:
    numbers = {str(key): _number(value) for key, value in found.items() if key not in {name, *texts}}
    return {"name": _text(found.get(name)), **{each: _text(found.get(each)) for each in texts}, **numbers}


def _total(found: Any) -> float:
    return sum(_number(value) or 0.0 for value in _mapping(found).values())


def _mapping(found: Any) -> Row:
    return found if isinstance(found, Mapping) else {}


def _list(found: Any) -> Iterator[Any]:
    return iter(found if isinstance(found, list) else ())


def _text(found: Any) -> str:
    return "" if found is None else str(found)


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in _list(found))


def _number(found: Any, unit: float = 1.0) -> float | None:
    """Return a number times a unit, or None for everything else, booleans and numbers beyond all bounds included."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        value = float(found) * unit
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
