"""InfluxDB's line protocol: `measurement,tag=value field=value timestamp`.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/ defines the escaping: commas and spaces
in measurements; commas, spaces and equals signs in tags; quotes and backslashes in text fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from examples.ingestor.event import Event

# As Home Assistant converts them (homeassistant.helpers.state.state_as_number).
NUMBERS: Final = {
    **dict.fromkeys(("on", "open", "home", "locked", "above_horizon"), 1.0),
    **dict.fromkeys(("off", "closed", "not_home", "unlocked", "below_horizon"), 0.0),
}
# A backslash cannot be escaped in names, and would change the meaning of a comma after it, so it becomes a slash.
MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ ", "\\": "/"})
TAG: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\\": "/"})
TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
# A line break ends a line, although the reference allows it in text fields; a NUL byte is rejected.
BREAKS: Final = str.maketrans(dict.fromkeys(map(chr, range(32)), " "))


@dataclass(frozen=True, slots=True)
class Point:
    """A line for the store, with the measurement and the event that the metrics report about it."""

    line: str
    measurement: str
    event: Event


def to_point(event: Event) -> Point:
    """Return the point of an event. The domain is the measurement; the entity and its unit are tags.

    A state that is a number, or one of NUMBERS, is the field `value`; any other state is the text field `state`.
    """
    tags = f",entity_id={tag(event.object_id)}"
    if event.unit is not None:
        tags += f",unit={tag(event.unit)}"
    line = f"{measurement(event.domain)}{tags} {field(event.state)} {event.timestamp}"
    return Point(line, event.domain, event)


def field(state: str) -> str:
    """Return the field of a state."""
    value = number(state)
    return f'state="{state.translate(BREAKS).translate(TEXT)}"' if value is None else f"value={value!r}"


def number(state: str) -> float | None:
    """Return a state as a finite number, or None if it is text."""
    if state in NUMBERS:
        return NUMBERS[state]
    # float() also accepts digits of other scripts, and 1_000.
    if not state.isascii() or "_" in state:
        return None
    try:
        value = float(state)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def measurement(name: str) -> str:
    """Return the escaped name of a measurement."""
    return name.translate(BREAKS).translate(MEASUREMENT)


def tag(value: str) -> str:
    """Return the escaped value of a tag."""
    return value.translate(BREAKS).translate(TAG)
