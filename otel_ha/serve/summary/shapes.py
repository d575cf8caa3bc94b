"""The shapes of a summary's sections: each field with its type and its meaning, from which page and schema follow.

Figures over time (system, performance, business) are not here: otel_ha.history.metrics describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_ha.declare.instruments import GROUPS
from otel_ha.serve.summary.metrics_in_use import MOST_VALUES
from otel_ha.serve.summary.tables import EVENTS

__all__ = ["SHAPES", "Shape", "listed", "reference"]

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}


@dataclass(frozen=True)
class Shape:
    """An object of the summary: a sentence about it, and its fields, each with its schema and its meaning."""

    about: str
    fields: Mapping[str, tuple[Schema, str]]


def reference(name: str) -> Schema:
    """Return the schema of an object of this shape."""
    return {"$ref": f"#/$defs/{name}"}


def listed(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def _or_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


_NAME = (TEXT, "its name; `unknown` stands for an attribute that was not given")
_COUNT = _or_null(INTEGER)
_RATE = _or_null(NUMBER)

HEALTH = {
    "health": Shape(
        "The state of telemetry, as in `/healthz`.",
        {
            "about": (TEXT, "a sentence that says what this state is about, and what probes ask instead"),
            "status": ({"enum": ["ok", "degraded", "failed", "disabled"]}, "`ok`, `degraded`, `failed` or `disabled`"),
            "reasons": (listed(TEXT), "why the status is not `ok`"),
            "remedies": (listed(TEXT), "the thing to do about each reason, in the same order"),
            "notes": (
                listed(TEXT),
                "connections that are down and silent sources, as of the last collection; they never change the status",
            ),
            "service": (_or_null(TEXT), "the service's name"),
            "endpoint": (reference("endpoint"), "the endpoint"),
            "readers": (listed(reference("reader")), "the ways out of the metrics, and the history"),
        },
    ),
    "endpoint": Shape(
        "The endpoint for scrapes.",
        {
            "status": (
                {"enum": ["listening", "failed", "mounted", "off"]},
                "`listening`, `failed`, `mounted` in the service's own server, or `off`",
            ),
            "url": (_or_null(TEXT), "the URL to scrape; null without a server of its own"),
            "problem": (_or_null(TEXT), "why it does not listen"),
        },
    ),
    "reader": Shape(
        "One reader of the metrics, or one exporter of traces or logs.",
        {
            "reader": (
                TEXT,
                "`otlp`, `console`, `prometheus` or `history`; `otlp traces` and `otlp logs` if these are on",
            ),
            "target": (TEXT, "the destination"),
            "status": (
                {"enum": ["ok", "waiting", "failing", "rejecting", "dropping", "overdue"]},
                "`ok`, `waiting` for the first time, `failing`, `rejecting` or `dropping` some data, or `overdue`",
            ),
            "last_success": (_or_null(NUMBER), "the last success, in seconds since the epoch"),
            "consecutive_failures": (INTEGER, "failures since the last success"),
            "rejected_points": (
                INTEGER,
                "data points, spans or log records of the last push that the receiver did not store",
            ),
            "dropped": (
                INTEGER,
                "spans or log records that never arrived: the queue was full, or the receiver refused them",
            ),
            "last_error": (_or_null(TEXT), "the last error, or the receiver's message"),
        },
    ),
}

ACCOUNTS = {
    "accounts": Shape(
        "The events since telemetry started: received, and what became of them. All numbers are of one collection.",
        {
            "total": (reference("account"), "the sum over all sources"),
            "by_source": (
                _by_name(reference("account")),
                "the accounts of each source; a source whose events are processed but never received has none",
            ),
        },
    ),
    "account": Shape(
        "The accounts of a source, or of all: received = discarded + processed + in flight.",
        {
            "received": (INTEGER, "events received"),
            "discarded": (_by_name(INTEGER), "events discarded, by reason"),
            "processed": (_by_name(INTEGER), "events processed, by outcome"),
            "queued": (INTEGER, "events that wait in a queue"),
            "active": (INTEGER, "events that are being processed"),
            "in_flight": (INTEGER, "events received but neither processed nor discarded yet: queued or active"),
            "difference": (INTEGER, "received - discarded - processed - in flight; 0 if the accounts add up"),
        },
    ),
}

TABLES = {
    "tables": Shape(
        "Tables, largest first: counts since telemetry started, and a rate per second over the window of `current`.",
        {
            "sources": (listed(reference("source")), "events by source"),
            "domains": (listed(reference("domain")), "events by domain of the entity"),
            "reasons": (listed(reference("reason")), "discarded events by reason"),
            "sinks": (listed(reference("sink")), "points by sink"),
            "errors": (listed(reference("error")), "errors by type and component"),
        },
    ),
    "source": Shape(
        "A source of events. A number whose metric groups are off is null.",
        {
            "name": _NAME,
            "received": (_COUNT, "events received"),
            "processed": (_COUNT, "events processed, with any outcome"),
            "errors": (_COUNT, "processed events that ended in an error"),
            "discarded": (_COUNT, "events discarded, for any reason"),
            "in_flight": (_COUNT, "events received but neither processed nor discarded yet"),
            "rate": (_RATE, "events received per second"),
        },
    ),
    "domain": Shape(
        "A domain of entities. A number whose metric groups are off is null.",
        {
            "name": _NAME,
            "processed": (_COUNT, "events processed, with any outcome"),
            "errors": (_COUNT, "processed events that ended in an error"),
            "rate": (_RATE, "events processed per second"),
        },
    ),
    "reason": Shape(
        "A reason to discard events.",
        {
            "name": _NAME,
            "discarded": (_COUNT, "events discarded"),
            "rate": (_RATE, "events discarded per second"),
        },
    ),
    "sink": Shape(
        "A destination of points.",
        {
            "name": _NAME,
            "ok": (_COUNT, "points that it acknowledged"),
            "lost": (_COUNT, "points with another outcome"),
            "rate": (_RATE, "points acknowledged per second"),
            "errors": (_COUNT, "writes that failed; null unless a `db.system.name` of the writes is the sink's name"),
            "p95_write_ms": (
                _RATE,
                "time within which 95 % of the writes within the window ended, in milliseconds; null without any",
            ),
        },
    ),
    "error": Shape(
        "A type of error.",
        {
            "name": (TEXT, "the `error.type`"),
            "component": (TEXT, f"the component of the service; `{EVENTS}` for the ends of events in an error"),
            "count": (INTEGER, "errors"),
            "rate": (NUMBER, "errors per second"),
        },
    ),
    "connection": Shape(
        "A connection, or a source without one. The kind of a connection is the name of its source.",
        {
            "name": _NAME,
            "up": (_COUNT, "connections that are up; null if that is not measured"),
            "message_age": (_RATE, "seconds since the last event of the source; null if that is not measured"),
            "reconnects": (INTEGER, "attempts to reconnect"),
            "closed": (_by_name(INTEGER), "connections that ended, by reason"),
        },
    ),
}

METRICS_IN_USE = {
    "metric": Shape(
        "An instrument of the catalog.",
        {
            "name": (TEXT, "its name"),
            "prometheus_name": (TEXT, "its name in Prometheus"),
            "kind": (
                {
                    "enum": [
                        *("counter", "updowncounter", "gauge", "histogram"),
                        *("observable_counter", "observable_updowncounter", "observable_gauge"),
                    ]
                },
                "its kind, such as `counter` or `observable_gauge`",
            ),
            "unit": (TEXT, "its unit (UCUM)"),
            "description": (TEXT, "its description"),
            "group": ({"enum": list(GROUPS)}, "the metric group that switches it"),
            "limit": (INTEGER, "the series that its declaration allows"),
            "on": (SWITCH, "whether it records now"),
            "series": (_COUNT, "its series now; null without a history"),
            "values": (
                listed(reference("value")),
                f"the {MOST_VALUES} series with the largest values (a histogram's: counts)",
            ),
            "omitted": (INTEGER, "the number of further series"),
            "budgets": (listed(reference("budget")), "its attributes whose values have a budget"),
            "objectives": (listed(reference("objective")), "its objectives"),
        },
    ),
    "value": Shape(
        "A series of a metric.",
        {
            "attributes": (
                _by_name({"type": ["string", "number", "boolean"]}),
                "the attributes by their full names",
            ),
            "value": (
                {"anyOf": [_RATE, reference("distribution")]},
                "the value; of a counter, the sum since telemetry started",
            ),
        },
    ),
    "distribution": Shape(
        "The value of a histogram, in its unit.",
        {
            "count": (_RATE, "the number of measurements since telemetry started"),
            "sum": (_RATE, "their sum"),
            "p50": (_RATE, "the median over the window of `current`; null without measurements, or without buckets"),
            "p95": (_RATE, "likewise, the value that 95 % do not exceed"),
            "p99": (_RATE, "likewise, the value that 99 % do not exceed"),
        },
    ),
    "budget": Shape(
        "The budget of an attribute, which all metrics with this attribute share.",
        {
            "attribute": (TEXT, "the attribute's name"),
            "used": (_COUNT, "its values so far; null if telemetry does not run"),
            "budget": (INTEGER, "the values that are recorded; later ones are `_OTHER`"),
        },
    ),
    "objective": Shape(
        "An objective of a histogram.",
        {
            "description": (TEXT, "its description"),
            "bound": (NUMBER, "the bound that measurements should not exceed, in the histogram's unit"),
            "target": (NUMBER, "the share of measurements that should meet it"),
            "share": (_RATE, "the share that has met it over the kept history; null without measurements or buckets"),
            "met": ({"type": ["boolean", "null"]}, "whether the share is at least the target"),
        },
    ),
}

SHAPES: Mapping[str, Shape] = {**HEALTH, **ACCOUNTS, **TABLES, **METRICS_IN_USE}
"""All shapes by name, in the order of the page."""
