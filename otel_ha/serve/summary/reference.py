"""The reference of the summary: a page of Markdown, and a JSON Schema to check a summary by.

``python -m otel_ha.serve.summary.reference`` prints the page, ``… schema`` the schema.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from otel_ha.declare.instruments import GROUPS
from otel_ha.history.metrics import MEANING, unmeasured
from otel_ha.serve.summary.shapes import SHAPES, Shape, listed, reference
from otel_ha.serve.summary.summary import FACTS, METRICS, ROLL_UPS, SCHEMA_VERSION, WINDOW

__all__ = ["render_page", "render_schema"]

_JSON_TYPES: Mapping[Any, Mapping[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    float | None: {"type": ["number", "null"]},
    str: {"type": "string"},
    Mapping[str, int]: {"type": "object", "additionalProperties": {"type": "integer"}},
    Mapping[str, float]: {"type": "object", "additionalProperties": {"type": "number"}},
}

_OPENING = """\
# Summary

<!-- Rendered from otel_ha/serve/summary and otel_ha/history by `make docs`; change it there. -->

`telemetry.summary()` and `GET /summary` return the figures of this process as JSON, computed from its last
collections and one taken now. [summary.schema.json](summary.schema.json) is the schema, version {version}. Every
summary states the version as `schema_version`: its first number changes when something is changed or removed, the
second when something is added.

- `schema_version`: the version of the schema.
- `timestamp`: when the summary was made, in seconds since the epoch.
- `started`: when this telemetry started, in seconds since the epoch; null if it does not run.
- `service`: the service's name.
- `service_version`: the service's version, from `service.version` of the resource attributes; null without that.
- `groups`: the metric groups that are on.
- `system_info`: the environment of the process: {info}. A fact that cannot be
  read is absent.
- `current`: `system`, `performance` and `business` as of now. Performance covers the last {window} seconds, or as many
  as `window` says if less is kept.
- `history`: the same three for each collection that is kept, oldest first; `length`, the most that are kept, and
  `interval`, the seconds between two. Performance covers the interval before the collection; for the newest, taken now,
  at least half of `interval`, if need be with the interval before.
- `roll_ups`: the same three for {periods}, oldest first, each from `start` to `end` in seconds since the
  epoch, for the time that collections are kept. A collection belongs to the period in which it was taken.
- `health`: the state of telemetry; see [health](#health).
- `accounts`: the events received, and what became of them, in total and by source; see [accounts](#accounts).
- `tables`: the events by source, domain and reason, the points by sink, and the errors; see [tables](#tables).
- `connections`: the connections, by name; see [connection](#connection).
- `metrics`: every instrument of the catalog, in its order; see [metric](#metric).

All figures are of one collection, which is taken for the summary. Without a history, `connections` and the values of
`metrics` are empty. `accounts` is null as well if one of its metric groups is off.

`current`, `history`, `roll_ups`, `accounts` and `tables` are null if no history is kept (`OTEL_HA_HISTORY_LENGTH=0`,
telemetry is off, or the MeterProvider takes no reader). Events by entity are in `current` only. A megabyte (MB) is
1,048,576 bytes. A figure whose metric groups are off is null, because it is not measured; the tables name the groups. A
figure that cannot be computed, such as a share of no events, is 0; those of a container are null.
"""


def render_page() -> str:
    """Return the page."""
    opening = _OPENING.format(
        version=SCHEMA_VERSION,
        info=", ".join(f"`{key}`" for key in FACTS),
        window=f"{WINDOW:g}",
        periods=", ".join(f"`{name}`" for name in ROLL_UPS),
    )
    figures = (_section(name, cls) for name, cls in METRICS.items())
    return opening + "".join(figures) + "".join(_shaped(name, shape) for name, shape in SHAPES.items())


def render_schema() -> str:
    """Return the schema as JSON."""
    metrics = {name: {"$ref": f"#/$defs/{name}"} for name in METRICS}
    lists = {name: {"type": "array", "items": metric} for name, metric in metrics.items()}
    number = {"type": "number"}
    rolled_up = {"type": "array", "items": _object({"start": number, "end": number, **metrics})}
    history = _object({"length": {"type": "integer"}, "interval": number, **lists})
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Summary of otel-ha, version {SCHEMA_VERSION}",
        **_object(
            {
                "schema_version": {"const": SCHEMA_VERSION},
                "timestamp": number,
                "started": {"type": ["number", "null"]},
                "service": {"type": ["string", "null"]},
                "service_version": {"type": ["string", "null"]},
                "groups": {"type": "array", "items": {"enum": sorted(GROUPS)}, "uniqueItems": True},
                "system_info": _object({key: {"type": ["string", "number"]} for key in FACTS}, required=()),
                "health": reference("health"),
                "current": _or_null(_object({"window": number, **metrics})),
                "history": _or_null(history),
                "roll_ups": _or_null(_object(dict.fromkeys(ROLL_UPS, rolled_up))),
                "accounts": _or_null(reference("accounts")),
                "tables": _or_null(reference("tables")),
                "connections": listed(reference("connection")),
                "metrics": listed(reference("metric")),
            }
        ),
        "$defs": {
            **{name: _object(_properties(cls)) for name, cls in METRICS.items()},
            **{name: _object(_described(shape)) for name, shape in SHAPES.items()},
        },
    }
    return json.dumps(schema, indent=2) + "\n"


def _section(name: str, cls: type) -> str:
    about = (cls.__doc__ or "").partition("\n")[0]
    rows = "".join(f"| `{field}` | {meaning} | {_needs(cls, field)} |\n" for field, meaning in _meanings(cls).items())
    return f"\n## {name}\n\n{about}\n\n| Figure | | Groups |\n|-|-|-|\n{rows}"


def _shaped(name: str, shape: Shape) -> str:
    rows = "".join(f"| `{field}` | {meaning} |\n" for field, (_, meaning) in shape.fields.items())
    return f"\n## {name}\n\n{shape.about}\n\n| Field | |\n|-|-|\n{rows}"


def _described(shape: Shape) -> dict[str, Any]:
    return {field: {**schema, "description": meaning} for field, (schema, meaning) in shape.fields.items()}


def _needs(cls: type, field: str) -> str:
    """Return the metric groups of which a figure needs one; empty for one that needs none."""
    if field not in unmeasured(cls, ()):
        return ""
    return " or ".join(f"`{group}`" for group in GROUPS if field not in unmeasured(cls, (group,)))


def _meanings(cls: type) -> dict[str, str]:
    """Return the meaning of each figure, in the order of the fields."""
    return {field.name: field.metadata[MEANING] for field in dataclasses.fields(cls)}


def _properties(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    meanings = _meanings(cls)
    nullable = unmeasured(cls, ())
    properties = {}
    for field in dataclasses.fields(cls):
        kind = _JSON_TYPES[hints[field.name]]
        if field.name in nullable and not isinstance(kind["type"], list):
            kind = {**kind, "type": [kind["type"], "null"]}
        properties[field.name] = {**kind, "description": meanings[field.name]}
    return properties


def _object(properties: Mapping[str, Any], required: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the schema of an object; unless `required` says otherwise, every property is."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


if __name__ == "__main__":
    sys.stdout.write(render_schema() if sys.argv[1:] == ["schema"] else render_page())
