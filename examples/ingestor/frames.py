"""Messages of Home Assistant's WebSocket API, as data.

https://developers.home-assistant.io/docs/api/websocket. With coalesced messages, one frame is a JSON array of several
messages.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, Final

from examples.ingestor.event import Event, InvalidEventError, checked_state, own_time

FEATURES: Final = {"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}}
SUBSCRIBE: Final = {"id": 2, "type": "subscribe_events", "event_type": "state_changed"}
GET_STATES: Final = {"id": 3, "type": "get_states"}


class RemovedError(InvalidEventError):
    """The message reports that an entity was removed, so there is no new state."""


def messages(frame: str) -> list[dict[str, Any]]:
    """Return the messages in a frame; raise InvalidEventError if they are not JSON objects."""
    try:
        content = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"the frame is not valid JSON: {error}") from None
    found = content if isinstance(content, list) else [content]
    if not all(isinstance(message, dict) for message in found):
        raise InvalidEventError("a message must be a JSON object")
    return found


def parse(message: dict[str, Any]) -> Event:
    """Return the event in a message of type event.

    Raises InvalidEventError if the message is malformed, RemovedError if it reports a removed entity.
    """
    try:
        data = message["event"]["data"]
        entity_id, state = data["entity_id"], data["new_state"]
    except (KeyError, TypeError) as error:
        raise InvalidEventError(f"not a state_changed event: {error!r}") from None
    if state is None:
        raise RemovedError(f"{entity_id} was removed")
    return parse_state(entity_id, state)


def parse_state(entity_id: Any, state: Any) -> Event:
    """Return the event in a state object of Home Assistant; raise InvalidEventError if it is malformed."""
    try:
        text, attributes = checked_state(state["state"]), state.get("attributes") or {}
        timestamp = own_time(state)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidEventError(f"not a state: {error!r}") from None
    if not isinstance(entity_id, str) or "." not in entity_id or not isinstance(attributes, dict):
        raise InvalidEventError("not a state: wrong types")
    timed = timestamp is not None
    return Event("websocket", entity_id, text, timestamp or time.time_ns(), attributes, timed=timed)


def parse_states(result: Any) -> list[Event]:
    """Return the states in the result of get_states, without malformed ones."""
    states = []
    for state in result if isinstance(result, list) else []:
        with contextlib.suppress(InvalidEventError):
            states.append(parse_state(state.get("entity_id") if isinstance(state, dict) else None, state))
    return states
