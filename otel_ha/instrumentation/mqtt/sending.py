"""Messages that a paho-mqtt client sends, and the time until the broker acknowledges them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from otel_ha.instrumentation.patches import Patches, quietly
from otel_ha.vocabulary import messaging

__all__ = ["Sending"]

_PUBLISH = {"system": "mqtt", "operation": "publish"}
_NOT_CONNECTED = 4  # paho's MQTT_ERR_NO_CONN
_QUEUE_IS_FULL = 15  # paho's MQTT_ERR_QUEUE_SIZE


class _Outbox:
    """The messages of one client that are not known to be sent or acknowledged."""

    __slots__ = ("begun", "counted", "unwritten")

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}
        """When a message that the broker has to acknowledge was first handed over, by its identifier."""
        self.counted: set[int] = set()
        """The identifiers of those that are counted as sent."""
        self.unwritten: deque[Any] = deque()
        """Results of paho for messages without acknowledgement (QoS 0) that wait for the socket, oldest first."""


class Sending:
    """Counts each message once: when it is written, or, with QoS 1 and 2, handed to a connection that is up.

    A message that a disconnected client keeps is not sent yet; one without acknowledgement is lost then, an error.
    """

    def __init__(self, patches: Patches) -> None:
        self._patches = patches
        self._sent = messaging.SENT.bind(**_PUBLISH)
        self._acknowledged = messaging.OPERATION_DURATION.bind(**_PUBLISH)
        self._outboxes: weakref.WeakKeyDictionary[Any, _Outbox] = weakref.WeakKeyDictionary()

    def patch(self, client: type) -> None:
        """Patch paho's Client."""
        replace = self._patches.replace
        replace(client, "publish", self._publish)
        replace(client, "_send_publish", self._send_publish)
        replace(client, "_packet_write", self._packet_write)
        replace(client, "_do_on_publish", self._do_on_publish)

    def end(self) -> None:
        """Forget the messages under way."""
        self._outboxes = weakref.WeakKeyDictionary()

    def written(self, client: Any) -> None:
        """Count the messages without acknowledgement that are written, or lost, by now."""
        outbox = self._outboxes.get(client)
        if outbox is None:
            return
        unwritten = outbox.unwritten
        while unwritten:
            try:  # another thread may do the same
                info = unwritten.popleft()
            except IndexError:
                return
            if _is_over(info):
                self._count(info.rc)
                continue
            unwritten.appendleft(info)
            if not _is_over(info):  # else it was written meanwhile, and the other thread did not find it
                return

    def _count(self, code: int) -> None:
        """Count a message that was sent, or lost for the reason that paho's code tells."""
        if code:
            messaging.SENT.add(1, **_PUBLISH, error_type=str(getattr(code, "name", code)))
        else:
            self._sent.add(1)

    def _publish(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def publish(client: Any, *args: Any, **kwargs: Any) -> Any:
            info = original(client, *args, **kwargs)
            if self._patches.is_on and getattr(info, "rc", 0) == _QUEUE_IS_FULL:
                quietly(self._count, info.rc)
            return info

        return publish

    def _send_publish(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def send_publish(client: Any, mid: int, *args: Any, **kwargs: Any) -> Any:
            if not self._patches.is_on:
                return original(client, mid, *args, **kwargs)
            given = dict(zip(("topic", "payload", "qos", "retain", "dup", "info"), args, strict=False)) | kwargs
            if given.get("qos"):
                begun = perf_counter()
                code = original(client, mid, *args, **kwargs)
                if not code:
                    quietly(self._handed_over, client, mid, begun, bool(given.get("dup")))
                return code
            info = given.get("info")
            quietly(self._waits, client, info)
            code = original(client, mid, *args, **kwargs)
            quietly(self._handed_over_once, client, info, code)
            return code

        return send_publish

    def _outbox(self, client: Any) -> _Outbox:
        outbox = self._outboxes.get(client)
        return self._outboxes.setdefault(client, _Outbox()) if outbox is None else outbox

    def _handed_over(self, client: Any, mid: int, begun: float, is_repeated: bool) -> None:  # noqa: FBT001 - called above
        """Note a message that the broker has to acknowledge; paho sends it again after a reconnect."""
        outbox = self._outbox(client)
        if not is_repeated:
            outbox.counted.discard(mid)
            outbox.begun[mid] = begun
        else:
            outbox.begun.setdefault(mid, begun)
        if mid not in outbox.counted and client.is_connected():
            outbox.counted.add(mid)
            self._sent.add(1)

    def _waits(self, client: Any, info: Any) -> None:
        """Note a message without acknowledgement before it is handed over: another thread may write it at once."""
        self._outbox(client).unwritten.append(info)

    def _handed_over_once(self, client: Any, info: Any, code: int) -> None:
        """Count the message if it is written already, or cannot be."""
        if code:
            with suppress(ValueError):
                self._outbox(client).unwritten.remove(info)
                self._count(code)
        self.written(client)

    def _packet_write(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def packet_write(client: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(client, *args, **kwargs)
            finally:
                if self._patches.is_on:
                    quietly(self.written, client)

        return packet_write

    def _do_on_publish(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def do_on_publish(client: Any, mid: int, *args: Any, **kwargs: Any) -> Any:
            if self._patches.is_on:
                quietly(self._is_acknowledged, client, mid, args[0] if args else kwargs.get("reason_code"))
            return original(client, mid, *args, **kwargs)

        return do_on_publish

    def _is_acknowledged(self, client: Any, mid: int, reason: Any) -> None:
        outbox = self._outbox(client)
        if (begun := outbox.begun.pop(mid, None)) is None:
            return  # it was handed over before the library was instrumented
        if mid not in outbox.counted:
            self._sent.add(1)  # handed over while the client was still connecting
        outbox.counted.discard(mid)
        elapsed = perf_counter() - begun
        if getattr(reason, "is_failure", False):
            messaging.OPERATION_DURATION.record(elapsed, **_PUBLISH, error_type="_".join(str(reason).lower().split()))
        else:
            self._acknowledged.record(elapsed)


def _is_over(info: Any) -> bool:
    """Whether a message without acknowledgement is written, or lost."""
    return bool(info.rc > 0 or info.is_published())
