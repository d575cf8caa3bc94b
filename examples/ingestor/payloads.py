"""Payloads of MQTT messages: the state itself, or JSON.

A JSON object has `state` (or `value`), `attributes`, and the time `last_updated` or `last_changed`; all are optional.
Its other values become fields: numbers, text, true and false, also in nested objects, whose names are joined by
underscores. A member that is neither, such as a list or null, is left out, without loss of the others.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from examples.ingestor.event import LONGEST_STATE, Event, InvalidEventError, checked_state, own_time

STATES: Final = ("state", "value")
"""The members of a JSON object that may have the state; the first one that has a state counts."""
KEYS: Final = frozenset({"attributes", "last_updated", "last_changed"})
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
    fields = fields_of(message)
    state = state_of(message)
    if state is None and not fields:
        raise InvalidEventError("the payload has no state and no other value")
    attributes, timestamp = attributes_of(message), own_time(message)
    timed = bool(timestamp)
    moment = timestamp or time.time_ns()
    return Event("mqtt", named(entity), state or "", moment, attributes, timed, fields, device_time=timed)


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
        return json.loads(text_of(payload), parse_constant=lambda _: None)  # NaN and Infinity
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"the payload is not valid JSON: {error}") from None


def state_of(message: dict[str, Any]) -> str | None:
    """Return the state in a JSON object as text; None if no member is text, a number, true or false."""
    for value in (message[key] for key in STATES if key in message):
        with suppress(InvalidEventError):
            state = checked_state(str(value).lower() if isinstance(value, bool) else value)
            if is_encodable(state):
                return state
    return None


def attributes_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes in a JSON object, without text that cannot be encoded."""
    attributes = message.get("attributes")
    found = attributes.items() if isinstance(attributes, dict) else ()
    return {name: value for name, value in found if not isinstance(value, str) or is_encodable(value)}


def time_of(message: object) -> int | None:
    """Return the source's own time in JSON, in nanoseconds since 1970; None if there is none."""
    return own_time(message) if isinstance(message, dict) else None


def fields_of(message: dict[str, Any]) -> dict[str, str | float]:
    """Return the values in a JSON object besides the state; raise InvalidEventError if there are too many."""
    others = {key: value for key, value in message.items() if key not in KEYS}
    others = {key: value for key, value in others.items() if key not in STATES or isinstance(value, dict)}
    try:
        fields = dict(_flat(others))
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
        elif len(name) <= LONGEST_STATE and is_encodable(name) and _is_field(value):
            yield name, value


def _is_field(value: Any) -> bool:
    """Return whether a value is text of the length of a state, or a number that a float can hold."""
    if isinstance(value, str):
        return len(value) <= LONGEST_STATE and is_encodable(value)
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def is_encodable(text: str) -> bool:
    """Return whether text can be encoded in UTF-8; JSON can contain half of a surrogate pair."""
    return text.isascii() or text.encode(errors="replace").decode() == text
