"""Frames of Home Assistant's WebSocket API: the events in them, and the entities of these events.

https://developers.home-assistant.io/docs/api/websocket. With coalesced messages, one frame is an array of several.
"""

from __future__ import annotations

import json
import re
from typing import Any

from otel_ha.instrumentation.topics.parser import UNKNOWN, Entity

__all__ = ["SOURCE", "entity_of", "events_in", "head_of", "is_home_assistant", "size_of"]

SOURCE = "websocket"
"""The source of events, and the kind of connection, of every client of this API."""

HEAD = 120
"""Characters at the start of a frame that tell what it is."""

_PATHS = ("/api/websocket", "/core/websocket")
_MAY_BE_EVENT = re.compile(r'"type"\s*:\s*"event"|"event"\s*:')
"""Finds the type in the start of a frame with an event, or the event itself where a server writes that first."""

Frame = str | bytes | bytearray | memoryview


def is_home_assistant(path: str) -> bool:
    """Whether a URL, or its path, is that of Home Assistant's API, perhaps through the Supervisor's proxy."""
    return path.partition("?")[0].endswith(_PATHS)


def size_of(frame: Frame) -> int:
    """Return the bytes of a frame's content."""
    if not isinstance(frame, str) or frame.isascii():
        return len(frame)
    return len(frame.encode(errors="surrogatepass"))


def head_of(frame: Frame) -> str:
    """Return the start of a frame."""
    head = frame[:HEAD]
    return head if isinstance(head, str) else bytes(head).decode("latin-1")


def events_in(frame: Frame) -> list[Any]:
    """Return the events in a frame; none if it is of another kind, or cannot be read."""
    head = head_of(frame).lstrip()
    if not head.startswith("[") and _MAY_BE_EVENT.search(head) is None:
        return []
    try:
        content = json.loads(bytes(frame) if isinstance(frame, memoryview) else frame)
    except (ValueError, RecursionError):
        return []
    messages = content if isinstance(content, list) else [content]
    return [each.get("event") for each in messages if isinstance(each, dict) and each.get("type") == "event"]


def entity_of(event: Any) -> Entity:
    """Return the entity that an event is about; UNKNOWN for one about something else, or about several domains."""
    try:
        return _about(event)
    except Exception:  # noqa: BLE001 - recording never raises into the measured program
        return UNKNOWN


def _about(event: Any) -> Entity:
    if not isinstance(event, dict):
        return UNKNOWN
    if isinstance(data := event.get("data"), dict):
        return _named([data.get("entity_id")])
    if isinstance(variables := event.get("variables"), dict):  # of subscribe_trigger
        return _named([variables["trigger"].get("entity_id")])
    # Compressed states: added, changed, removed.
    return _named([*event.get("a", ()), *event.get("c", ()), *event.get("r", ())])


def _named(entities: list[Any]) -> Entity:
    """Return the only entity; if there are several of one domain, the domain."""
    if not entities or not all(isinstance(each, str) and "." in each for each in entities):
        return UNKNOWN
    domains = {each.partition(".")[0] for each in entities}
    return Entity(domains.pop() if len(domains) == 1 else None, entities[0] if len(entities) == 1 else None)
