"""InfluxDB's line protocol: `measurement,tag=value field=value timestamp`.

Escaping as in https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/: commas and spaces in
measurements; commas, spaces and equals signs in tags; quotes and backslashes in text fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from examples.ingestor.event import Event

# Home Assistant's own reading of two-valued states (homeassistant.helpers.state.state_as_number).
NUMBERS: Final = {
    **dict.fromkeys(("on", "open", "home", "locked", "above_horizon"), 1.0),
    **dict.fromkeys(("off", "closed", "not_home", "unlocked", "below_horizon"), 0.0),
}
# A backslash cannot be escaped in names, and one before a comma would end them: it becomes a slash.
MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ ", "\\": "/"})
TAG: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\\": "/"})
TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
# A line break ends a line, even where the protocol's text says that it may stand in a field; a NUL byte is refused.
BREAKS: Final = str.maketrans(dict.fromkeys(map(chr, range(32)), " "))


@dataclass(frozen=True, slots=True)
class Point:
    """One line for the store, and what is reported about it when it was written."""

    line: str
    measurement: str
    event: Event


def to_point(event: Event) -> Point:
    """Return the point of an event: the domain is the measurement, the entity and its unit are tags.

    The only field is `value` where the state is a number or one of two values, or else `state`, as text.
    """
    tags = f",entity_id={tag(event.object_id)}"
    if event.unit is not None:
        tags += f",unit={tag(event.unit)}"
    line = f"{measurement(event.domain)}{tags} {field(event.state)} {event.timestamp}"
    return Point(line, event.domain, event)


def field(state: str) -> str:
    """Return the field for a state."""
    value = number(state)
    return f'state="{state.translate(BREAKS).translate(TEXT)}"' if value is None else f"value={value!r}"


def number(state: str) -> float | None:
    """Return a state as a finite number; None if it is text."""
    if state in NUMBERS:
        return NUMBERS[state]
    # float() reads more than numbers as they are usually written: digits of other scripts, and 1_000.
    if not state.isascii() or "_" in state:
        return None
    try:
        value = float(state)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def measurement(name: str) -> str:
    """Return a measurement's name, escaped."""
    return name.translate(BREAKS).translate(MEASUREMENT)


def tag(value: str) -> str:
    """Return a tag's value, escaped."""
    return value.translate(BREAKS).translate(TAG)
