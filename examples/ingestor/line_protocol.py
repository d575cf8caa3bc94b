"""InfluxDB's line protocol: `measurement,tag=value field=value timestamp`.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/ defines the escaping: commas and spaces
in measurements; commas, spaces and equals signs in tags and in the names of fields; quotes and backslashes in text.

The fields are those of Home Assistant's influxdb integration. No field ever changes its type, because InfluxDB rejects
a point whose field has another type than before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from examples.ingestor.event import Event

Fields: TypeAlias = dict[str, float | str]

# The words of homeassistant.helpers.state.state_as_number, and those of JSON.
NUMBERS: Final = {
    **dict.fromkeys(("on", "open", "home", "locked", "above_horizon", "true"), 1.0),
    **dict.fromkeys(("off", "closed", "not_home", "unlocked", "below_horizon", "false"), 0.0),
}
TEXTS: Final = frozenset({"text", "input_text", "select", "input_select"})
"""Domains whose states are text, even if they look like numbers."""
# Names that have a meaning of their own. InfluxDB rejects a point with a field called time.
RESERVED: Final = frozenset({"value", "state", "time", "entity_id", "unit", "friendly_name", "device_class"})

# A line break ends a line, although the reference allows it in text; a NUL byte is rejected. JSON can contain half of a
# surrogate pair, which cannot be encoded.
BREAKS: Final = dict.fromkeys(range(32), " ") | dict.fromkeys(range(0xD800, 0xE000), "?")
LONGEST_TAG: Final = 255
"""Characters. VictoriaMetrics accepts a point with a longer label than 4 KiB, and drops it."""
TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
# A backslash cannot be escaped in names, and would change the meaning of a comma after it, so it becomes a slash.
MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ ", "\\": "/"})
TAG: Final = MEASUREMENT | str.maketrans({"=": r"\="})


@dataclass(frozen=True, slots=True)
class Point:
    """A line for the store, with the measurement and the event that the metrics report about it.

    Where text is written as labels, `line` may consist of several lines, which are stored together.
    """

    line: str
    measurement: str
    event: Event


def to_point(
    event: Event, attributes: Iterable[str] = (), tags: Iterable[str] = (), *, text: bool = True
) -> Point | None:
    """Return the point of an event; None if there is nothing to write, because the store takes no text.

    The domain is the measurement; the entity, its unit and the attributes in `tags` are tags. The state, the
    event's fields and the named attributes are fields.
    """
    chosen = {name: event.attributes[name] for name in attributes if name in event.attributes}
    named = {**event.fields, **chosen}
    fields = named_fields(named) | state_fields(event.state, event.domain)
    if not text:
        fields = {name: value for name, value in fields.items() if isinstance(value, float)}
    if not fields:
        return None
    return Point(line(event.domain, tags_of(event, tags), fields, event.timestamp), event.domain, event)


def state_fields(state: str, domain: str) -> Fields:
    """Return the fields of a state: a number is `value`, text is `state`, and a two-valued word such as on is both.

    An empty state has no field.
    """
    if not state:
        return {}
    if domain in TEXTS and _word(state) not in NUMBERS:
        return {"state": state}
    return _fields("value", "state", state)


def named_fields(values: Mapping[str, object]) -> Fields:
    """Return the fields of named values: a number is `name`, text is `name_str`, and a two-valued word is both.

    Numbers that are not finite, and values that are None, are left out; lists and objects are written as JSON text. A
    reserved name, and one that ends as the name of a text, gets an underscore.
    """
    fields: Fields = {}
    for name, value in values.items():
        known = f"{name}_" if name in RESERVED or name.endswith("_str") else name
        if known:
            fields |= _fields(known, f"{known}_str", value)
    return fields


def tags_of(event: Event, attributes: Iterable[str] = ()) -> dict[str, str]:
    """Return the tags of an event: its entity, its unit, and those of `attributes` that are text."""
    tags = {"entity_id": event.object_id}
    if (unit := event.unit) is not None:
        tags["unit"] = unit
    for name in attributes:
        if isinstance(value := event.attributes.get(name), str) and value:
            tags[name] = value
    return tags


def line(name: str, tags: Mapping[str, str], fields: Fields, timestamp: int) -> str:
    """Return a line of the protocol. Of two names that become the same when they are escaped, the last one counts."""
    series = {tag(key): tag(value) for key, value in tags.items()}
    written = {tag(key): _field(value) for key, value in fields.items()}
    return f"{','.join((measurement(name), *_pairs(series)))} {','.join(_pairs(written))} {timestamp}"


def _pairs(parts: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in parts.items())


def number(text: str) -> float | None:
    """Return the finite number that a text stands for, or None. Words such as on and OFF stand for 1 and 0."""
    if (known := NUMBERS.get(_word(text))) is not None:
        return known
    # float() also accepts digits of other scripts, and 1_000.
    if not text.isascii() or "_" in text:
        return None
    try:
        return _finite(float(text))
    except ValueError:
        return None


@lru_cache(4096)
def measurement(name: str) -> str:
    """Return the escaped name of a measurement."""
    return name.translate(BREAKS).translate(MEASUREMENT)


@lru_cache(4096)
def tag(value: str) -> str:
    """Return the escaped name or value of a tag, or the name of a field; the end of a long one is cut."""
    return value[:LONGEST_TAG].translate(BREAKS).translate(TAG)


def label(text: str) -> str:
    """Return a text as the value of a tag that has it alone: without breaks, backslashes and spaces around it."""
    return text.translate(BREAKS).replace("\\", "/").strip()


def _fields(number_name: str, text_name: str, value: object) -> Fields:
    """Return the one or two fields of a value, by its number and its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        finite = _finite(value)
        return {} if finite is None else {number_name: finite}
    if value is None:
        return {}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    found = number(text)
    if found is None:
        return {text_name: text}
    word = _word(text)
    return {number_name: found, text_name: word} if word in NUMBERS else {number_name: found}


def _word(text: str) -> str:
    """Return a text as NUMBERS spells it: `ON` with a line break after it is on."""
    return text.strip().casefold()


def _finite(value: float) -> float | None:
    try:
        found = float(value)
    except OverflowError:  # a whole number can be larger than any float
        return None
    return found if math.isfinite(found) else None


def _field(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else f'"{value.translate(BREAKS).translate(TEXT)}"'
