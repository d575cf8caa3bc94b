"""MQTT on the wire: what the instrumentors of paho-mqtt and of aiomqtt, which wraps it, have in common.

Connections, messages sent, bytes received and the age of the last message are those of paho-mqtt's client, also where
aiomqtt owns it. So both instrumentors share one set of patches, which lasts until neither is in use.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from otel_ha.declare.measurement import qualified_name
from otel_ha.instrumentation.mqtt.receiving import SOURCE, Receiving
from otel_ha.instrumentation.mqtt.sending import Sending
from otel_ha.instrumentation.patches import Patches, quietly
from otel_ha.instrumentation.watching import Connections, Silence
from otel_ha.vocabulary import ingest

__all__ = ["WIRE"]

_ERROR = 8  # paho's MQTT_LOG_ERR
_CAUGHT = "Caught exception in "
_OF_MESSAGES = ("Caught exception in on_message", "Caught exception in user defined callback")
_STOPPED = "stopped"


class Wire:
    """The patches of paho-mqtt that both instrumentors need, with their state."""

    def __init__(self) -> None:
        self.patches = Patches()
        self.connections = Connections(SOURCE)
        self.silence = Silence(SOURCE)
        self.sending = Sending(self.patches)
        self.receiving = Receiving(self.patches, self.silence)
        self._users: set[object] = set()

    def use(self, user: object, module: ModuleType) -> None:
        """Patch paho.mqtt.client for an instrumentor, until it leaves."""
        self._users.add(user)
        self.patches.is_on = True
        replace, client = self.patches.replace, module.Client
        replace(client, "reconnect", self._reconnect)
        replace(client, "disconnect", self._disconnect)
        replace(client, "loop_misc", self._loop_misc)
        replace(client, "_handle_connack", self._handle_connack)
        replace(client, "_do_on_disconnect", self._do_on_disconnect)
        replace(client, "_easy_log", self._easy_log)
        self.sending.patch(client)
        self.receiving.patch(client)

    def leave(self, user: object) -> None:
        """Undo the patches when the last instrumentor leaves."""
        self._users.discard(user)
        if self._users or not self.patches.is_on:
            return
        self.patches.is_on = False
        self.patches.undo()
        self.connections.end()
        self.silence.end()
        self.sending.end()

    def _reconnect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def reconnect(client: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.patches.is_on:
                return original(client, *args, **kwargs)
            quietly(self._attempt, client)
            try:
                return original(client, *args, **kwargs)
            except BaseException as error:
                quietly(self._failed, client, error)
                raise
            finally:
                quietly(self.sending.written, client)

        return reconnect

    def _attempt(self, client: Any) -> None:
        self.silence.begin()
        self._notice(client)
        # Reconnecting drops a connection that is up, and tells nobody.
        self.connections.down(client, _address(client), "replaced", lost=False)
        self.connections.attempt(_address(client), client)

    def _failed(self, client: Any, error: BaseException) -> None:
        self.connections.failed(_address(client), client)
        if isinstance(error, Exception):
            ingest.ERRORS.add(1, component=SOURCE, error_type=qualified_name(type(error)), severity="warning")

    def _disconnect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def disconnect(client: Any, *args: Any, **kwargs: Any) -> Any:
            if self.patches.is_on:
                quietly(self._notice, client)  # on_connect may disconnect already
            return original(client, *args, **kwargs)

        return disconnect

    def _loop_misc(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the replacement for what every loop, the program's own included, calls every few seconds."""

        def loop_misc(client: Any, *args: Any, **kwargs: Any) -> Any:
            if self.patches.is_on and not self.connections.is_up(client):
                quietly(self._notice, client)  # it was connected before it was instrumented
            return original(client, *args, **kwargs)

        return loop_misc

    def _handle_connack(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def handle_connack(client: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(client, *args, **kwargs)
            finally:
                if self.patches.is_on:
                    quietly(self._notice, client)

        return handle_connack

    def _notice(self, client: Any) -> None:
        """Count a connection as up if it is; after a broker's farewell, only the socket tells."""
        if client.is_connected() and client.socket() is not None:
            self.silence.begin()
            self.connections.up(client, _address(client))

    def _do_on_disconnect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def do_on_disconnect(client: Any, *args: Any, **kwargs: Any) -> Any:
            if self.patches.is_on:
                quietly(self._down, client, kwargs)
            return original(client, *args, **kwargs)

        return do_on_disconnect

    def _down(self, client: Any, given: dict[str, Any]) -> None:
        """Note the end of a connection, or of an attempt that the broker refused; paho may say so twice."""
        reason = _reason(given)
        lost = reason != _STOPPED
        was_up = self.connections.down(client, _address(client), reason, lost=lost)
        if not was_up and lost:
            self.connections.failed(_address(client), client)
        if lost and (was_up or not client.is_connected()):
            ingest.ERRORS.add(1, component=SOURCE, error_type=reason, severity="warning")

    def _easy_log(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the replacement for the one place that sees exceptions which paho swallows (`suppress_exceptions`)."""

        def easy_log(client: Any, level: int, fmt: str, *args: Any, **kwargs: Any) -> Any:
            if level == _ERROR and self.patches.is_on:
                quietly(self._caught, client, fmt, args)
            return original(client, level, fmt, *args, **kwargs)

        return easy_log

    def _caught(self, client: Any, fmt: str, args: tuple[Any, ...]) -> None:
        if not (fmt.startswith(_CAUGHT) and args and isinstance(args[-1], BaseException)):
            return
        error = args[-1]
        if not fmt.startswith(_OF_MESSAGES):  # those are in the account of messages
            ingest.ERRORS.add(1, component=SOURCE, error_type=qualified_name(type(error)), severity="error")
            return
        self.receiving.swallowed(client, error)


def _address(client: Any) -> tuple[str, int]:
    return client.host, client.port


def _reason(given: dict[str, Any]) -> str:
    """Return why a connection ended, from the arguments of paho's _do_on_disconnect()."""
    reason, code = given.get("reason"), given.get("v1_rc")
    if given.get("packet_from_broker"):
        return "closed_by_broker" if reason is None else _word(str(reason))
    if not code:
        return _STOPPED
    return _word(str(getattr(code, "name", code)).removeprefix("MQTT_ERR_"))


def _word(text: str) -> str:
    return "_".join(text.lower().split())


WIRE = Wire()
"""The one of this process."""
