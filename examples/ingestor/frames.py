"""Messages of Home Assistant's WebSocket API, as data.

https://developers.home-assistant.io/docs/api/websocket. With coalesced messages, one frame is a JSON array of several
messages.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from examples.ingestor.event import Event, InvalidEventError, checked_state, nanoseconds

FEATURES: Final = {"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}}
SUBSCRIBE: Final = {"id": 2, "type": "subscribe_events", "event_type": "state_changed"}


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
        if state is None:
            raise RemovedError(f"{entity_id} was removed")
        text, attributes = checked_state(state["state"]), state.get("attributes") or {}
        timestamp = nanoseconds(state.get("last_updated")) or nanoseconds(state.get("last_changed"))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidEventError(f"not a state_changed event: {error!r}") from None
    if not isinstance(entity_id, str) or "." not in entity_id or not isinstance(attributes, dict):
        raise InvalidEventError("not a state_changed event: wrong types")
    return Event("websocket", entity_id, text, timestamp or time.time_ns(), attributes)
