"""Messages that a paho-mqtt client receives: the account of those that it hands to a program's callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from types import MethodType
from typing import Any

from otel_ha.declare.measurement import qualified_name
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import Discarded
from otel_ha.instrumentation.patches import Patches
from otel_ha.instrumentation.topics.parser import Entity, topic_parser
from otel_ha.instrumentation.watching import Silence
from otel_ha.measure.decorator import Measured, measured
from otel_ha.vocabulary import ingest

__all__ = ["SOURCE", "Events", "Receiving"]

SOURCE = "mqtt"
"""The source of events, the kind of connections and the component of errors."""

_logger = logging.getLogger("otel_ha")
_UNHANDLED = Discarded("unhandled")

Handle = Callable[[Any, Any], Any]
"""Paho's way to the callbacks, given the client and the message."""


class Events:
    """Measures messages as events of an operation, by domain and entity, where the topic tells them.

    There is one measured() for each domain, as there are few: it costs half of one that computes the domain at a call.
    """

    MOST = 100

    def __init__(self, operation: Operation, topic: Callable[[Any], str]) -> None:
        self._operation = operation
        self._topic = topic
        self._known: dict[str | None, Measured] = {}

    def measured(self, domain: str | None) -> Measured:
        """Return what measures messages of a domain; they are the last argument of the function it decorates."""
        if (known := self._known.get(domain)) is not None:
            return known
        found = measured(self._operation, source=SOURCE, domain=domain, entity=self._entity)
        if len(self._known) < self.MOST:
            self._known[domain] = found
        return found

    def domain(self, message: Any) -> str | None:
        """Return the domain of a message."""
        return self._parsed(message).domain

    def _entity(self, *args: Any) -> str | None:
        return self._parsed(args[-1]).entity

    def _parsed(self, message: Any) -> Entity:
        try:
            return topic_parser().parse(self._topic(message), message.payload)
        except UnicodeDecodeError:  # paho keeps a topic that is not UTF-8 until it is asked for it
            return Entity(None, None)


class _Measured:
    """`handle`, measured for each domain."""

    def __init__(self, events: Events, handle: Handle) -> None:
        self.handle = handle
        self.known: dict[str | None, Handle] = {}
        self._events = events

    def of(self, domain: str | None) -> Handle:
        """Return `handle` measured for a domain."""
        if (known := self.known.get(domain)) is not None:
            return known
        handle = self._events.measured(domain)(self.handle)
        if len(self.known) < Events.MOST:
            self.known[domain] = handle
        return handle


class Receiving:
    """Counts each message once, whatever its QoS: as processed while all callbacks that match its topic run.

    If none matches, it is discarded as unhandled. Messages of clients that another library owns are left to that one.
    """

    def __init__(self, patches: Patches, silence: Silence) -> None:
        self._patches = patches
        self._silence = silence
        self._events = Events(ingest.EVENT, _topic)
        self._event = ingest.EVENT.bind(source=SOURCE)
        self._received = ingest.DATA_RECEIVED.bind(source=SOURCE, type="message")
        self._swallowed: dict[tuple[int, int], BaseException | None] = {}
        """By client and thread, while it handles a message: the first exception of a callback, which paho swallows."""
        self._counts_own = False
        self._owner: type | None = None
        self._of_owner: Callable[[Any, Handle], Handle] | None = None
        self._is_simple = False

    def count_own(self, counts: bool) -> None:  # noqa: FBT001 - the switch is all it takes
        """Count the messages of clients that the program has made itself, or no longer."""
        self._counts_own = counts
        self._is_simple = counts and self._owner is None

    def leave_to(self, owner: type | None, handle: Callable[[Any, Handle], Handle] | None = None) -> None:
        """Leave the messages whose callback is a method of an `owner` to it, or to none any more.

        `handle` returns the function that handles such a message, given the owner and paho's own function.
        """
        self._owner, self._of_owner = owner, handle
        self._is_simple = self._counts_own and owner is None

    def patch(self, client: type) -> None:
        """Patch the one place of paho's Client that every received message passes once."""
        topic_parser().prepare()
        self._patches.replace(client, "_handle_on_message", self._handle_on_message)

    def swallowed(self, client: Any, error: BaseException) -> None:
        """Note an exception of a callback that paho swallows, if a message is being handled."""
        key = id(client), get_ident()
        if key in self._swallowed and self._swallowed[key] is None:
            self._swallowed[key] = error

    def heard(self, message: Any) -> None:
        """Note a message: its bytes, and that the source is not silent. A retained one may be of any age."""
        self._received.add(len(message.payload))
        if not message.retain:
            self._silence.last = message.timestamp or monotonic()

    def _handle_on_message(self, original: Handle) -> Handle:
        patches, silence, received, parse = self._patches, self._silence, self._received, topic_parser().parse
        by_domain = _Measured(self._events, original)
        known = by_domain.known

        # All in one call: a message costs little more than paho's own handling.
        def handle_on_message(client: Any, message: Any) -> Any:
            if not patches.is_on:
                return original(client, message)
            try:
                if client.on_message is None or client.suppress_exceptions or not self._is_simple:
                    handle = self._way(client, message, by_domain)
                else:  # heard(), in place
                    payload = message.payload
                    received.add(len(payload))
                    if not message.retain:
                        silence.last = message.timestamp or monotonic()
                    domain = parse(message.topic, payload)[0]
                    handle = known[domain] if domain in known else by_domain.of(domain)
            except UnicodeDecodeError:
                handle = by_domain.of(None)
            except Exception:
                _logger.debug("A message cannot be looked at", exc_info=True)
                handle = original
            return handle(client, message)

        return handle_on_message

    def _way(self, client: Any, message: Any, by_domain: _Measured) -> Handle:
        """Return the function that handles a message: paho's own, measured if the message is an event of ours."""
        on_message, original = client.on_message, by_domain.handle
        is_owned = self._owner is not None and isinstance(getattr(on_message, "__self__", None), self._owner)
        if is_owned and self._of_owner is not None and type(on_message) is MethodType:
            self.heard(message)
            return self._of_owner(on_message.__self__, original)
        if not self._counts_own:
            return original
        self.heard(message)
        if on_message is None and not _has_callback(client, message):
            self._event.record(0.0, _UNHANDLED)
            return original
        if client.suppress_exceptions:
            return self._suppressing(original)
        return by_domain.of(self._events.domain(message))

    def _suppressing(self, original: Handle) -> Handle:
        """Return `original` for a client that swallows the exceptions of its callbacks: they are errors too."""

        def handle(client: Any, message: Any) -> Any:
            key = id(client), get_ident()
            self._swallowed[key] = None
            try:
                with self._events.measured(self._events.domain(message)).start((message,), {}) as measurement:
                    result = original(client, message)
                    if (error := self._swallowed[key]) is not None:
                        measurement.fail(qualified_name(type(error)))
                    return result
            finally:
                self._swallowed.pop(key, None)

        return handle


def _topic(message: Any) -> str:
    topic: str = message.topic
    return topic


def _has_callback(client: Any, message: Any) -> bool:
    """Whether a callback for some topics matches, while there is no on_message."""
    try:
        return any(True for _ in client._on_message_filtered.iter_match(message.topic))
    except UnicodeDecodeError:  # paho compares no such topic
        return False
    except AttributeError:  # a version that keeps callbacks elsewhere
        return True
