"""Payloads of MQTT messages: the state itself, or JSON.

A JSON object has `state` (or `value`), `attributes`, and the time `last_updated` or `last_changed`; all are optional.
Its other values become fields: numbers, text, true and false, also in nested objects, whose names are joined by
underscores. Lists and null are left out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NoReturn

from examples.ingestor.event import LONGEST_STATE, Event, InvalidEventError, checked_state, nanoseconds

KEYS: Final = frozenset({"state", "value", "attributes", "last_updated", "last_changed"})
MOST_FIELDS: Final = 100


def from_text(entity: str, payload: bytes) -> Event:
    """Return the event whose state is the payload; raise InvalidEventError if it is malformed."""
    return Event("mqtt", named(entity), checked_state(text_of(payload)), time.time_ns())


def from_json(entity: str, payload: bytes) -> Event:
    """Return the event in a JSON payload; raise InvalidEventError if it is malformed.

    Text that does not begin as JSON is the state itself.
    """
    if not text_of(payload).lstrip().startswith(("{", "[", '"')):
        return from_text(entity, payload)
    message = json_of(payload)
    if not isinstance(message, dict):
        return Event("mqtt", named(entity), checked_state(message), time.time_ns())
    state = message.get("state", message.get("value"))
    fields = fields_of(message)
    if state is None and not fields:
        raise InvalidEventError("the payload has no state and no other value")
    attributes = message.get("attributes", {})
    if not isinstance(attributes, dict):
        raise InvalidEventError("attributes must be a JSON object")
    timestamp = time_of(message)
    text = "" if state is None else state_text(state)
    timed = bool(timestamp)
    return Event("mqtt", named(entity), text, timestamp or time.time_ns(), attributes, timed, fields, device_time=timed)


def named(entity: str) -> str:
    """Return the entity's id; raise InvalidEventError if it is empty."""
    if not entity:
        raise InvalidEventError("the topic names no entity")
    return entity


def text_of(payload: bytes) -> str:
    """Return a payload as text; raise InvalidEventError if it is not UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"the payload is not UTF-8: {error.reason}") from None


@lru_cache(maxsize=1)
def json_of(payload: bytes) -> Any:
    """Return the content of a JSON payload, which must not be changed; raise InvalidEventError if it is malformed.

    The last result is kept, because one message of a device may have the states of many entities.
    """
    try:
        return json.loads(text_of(payload), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"the payload is not valid JSON: {error}") from None


def state_text(state: object) -> str:
    """Return a state in JSON as text; raise InvalidEventError if it is neither text, a number, true nor false."""
    return checked_state(str(state).lower() if isinstance(state, bool) else state)


def time_of(message: object) -> int | None:
    """Return the source's own time in a JSON object, in nanoseconds since 1970; None if there is none."""
    if not isinstance(message, dict):
        return None
    return nanoseconds(message.get("last_updated")) or nanoseconds(message.get("last_changed"))


def fields_of(message: dict[str, Any]) -> dict[str, str | float]:
    """Return the values in a JSON object besides the state; raise InvalidEventError if there are too many."""
    try:
        fields = dict(_flat({key: value for key, value in message.items() if key not in KEYS}))
    except RecursionError:
        raise InvalidEventError("the payload is nested too deeply") from None
    if len(fields) > MOST_FIELDS:
        raise InvalidEventError(f"a payload may have {MOST_FIELDS} values, not {len(fields)}")
    return fields


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str | float]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        elif len(name) <= LONGEST_STATE and _is_field(value):
            yield name, value


def _is_field(value: Any) -> bool:
    """Return whether a value is text of the length of a state, or a number that a float can hold."""
    if isinstance(value, str):
        return len(value) <= LONGEST_STATE
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
