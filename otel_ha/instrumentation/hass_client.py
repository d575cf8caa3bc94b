"""Instrumentation of hass-client, which calls functions of the program with Home Assistant's events.

An event is received when hass-client hands it to a subscription, queued until the callback runs, and active while it
runs. Subscriptions from before the instrumentation are not counted. Connections and bytes are those of aiohttp.
"""

from __future__ import annotations

import inspect
import types
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Self

from otel_ha.instrumentation.home_assistant.feeds import SILENCE, Feeds
from otel_ha.instrumentation.home_assistant.frames import SOURCE, entity_of
from otel_ha.instrumentation.home_assistant.sockets import SOCKETS
from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.instrumentation.patches import quietly
from otel_ha.measure.decorator import measured
from otel_ha.vocabulary import ingest

__all__ = ["HassClientInstrumentor"]

MODULE = "hass_client.client"
_WAITING = "_otel_ha_waiting"
_IS_COUNTED = "_otel_ha_is_counted"


def _entity(event: Any) -> Any:
    """Return the entity of an event, or of the message that has it."""
    if isinstance(event, dict) and event.get("type") == "event":
        event = event.get("event")
    return entity_of(event)


HANDLED = measured(
    ingest.QUEUED_EVENT,
    source=SOURCE,
    domain=lambda event, *_: _entity(event).domain,
    entity=lambda event, *_: _entity(event).entity,
)
_RECEIVED = ingest.QUEUED_EVENT.bind(source=SOURCE)


class HassClientInstrumentor(LibraryInstrumentor):
    """Instruments hass-client."""

    library = "hass-client >= 1.3.1, < 2"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the modules to patch."""
        return {
            "aiohttp.client": SOCKETS.patch_connecting,
            "aiohttp.client_ws": SOCKETS.patch_reading,
            MODULE: self._patch,
        }

    def _instrument(self, **kwargs: Any) -> None:
        super()._instrument(**kwargs)
        SOCKETS.begin(MODULE, Feeds(opens_turns=False))

    def _uninstrument(self, **kwargs: Any) -> None:
        SOCKETS.end(MODULE)
        super()._uninstrument(**kwargs)

    def _patch(self, module: ModuleType) -> None:
        client = module.HomeAssistantClient
        self.patches.replace(client, "subscribe", self._subscribing)
        self.patches.replace(client, "subscribe_events", self._subscribing)
        self.patches.replace(client, "subscribe_entities", self._subscribing)
        self.patches.replace(client, "_handle_incoming_message", self._handing)

    def _subscribing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def subscribe(client: Any, cb_func: Any, *args: Any, **kwargs: Any) -> Any:
            if self.patches.is_on:
                cb_func = quietly(_counted, cb_func, _waiting(client)) or cb_func
            return original(client, cb_func, *args, **kwargs)

        return subscribe

    def _handing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def hand(client: Any, message: Any) -> Any:
            if not self.patches.is_on or not _is_counted(client, message):
                return original(client, message)
            waiting = _waiting(client)
            SILENCE.broken()
            before = waiting.number
            waiting.receive()
            try:
                return original(client, message)
            except BaseException:
                if waiting.number > before:
                    waiting.discard("invalid")
                raise

        return hand


class Waiting:
    """The events of one client that wait for their callbacks, which hass-client schedules."""

    def __init__(self) -> None:
        self.number = 0

    def receive(self) -> None:
        """Note an event that was received."""
        self.number += 1
        _RECEIVED.receive()

    def take(self) -> bool:
        """Whether the event for which a callback runs was received, rather than before the instrumentation."""
        if not self.number:
            return False
        self.number -= 1
        return True

    def discard(self, reason: str) -> None:
        """Note an event for which no callback runs."""
        if self.take():
            _RECEIVED.discard(reason)

    def end(self) -> None:
        """Note that the client is garbage; callbacks that still run are not measured."""
        while self.number:
            self.discard("shutdown")


def _waiting(client: Any) -> Waiting:
    waiting: Waiting | None = vars(client).get(_WAITING)
    if waiting is None:
        waiting = vars(client)[_WAITING] = Waiting()
        weakref.finalize(client, waiting.end).atexit = False
    return waiting


def _is_counted(client: Any, message: Any) -> bool:
    """Whether a message is an event for a callback that is measured."""
    try:
        if message["type"] == "result":
            return False
        return getattr(client._subscriptions[message["id"]][1], _IS_COUNTED, False)
    except Exception:  # noqa: BLE001 - hass-client says what is wrong with it, if it is
        return False


def _counted(callback: Any, waiting: Waiting) -> Any:
    """Return a callback that is measured, of the same kind."""
    counted: Any
    if getattr(callback, "__module__", None) == MODULE:  # calls a callback that is measured
        counted = callback
    elif inspect.iscoroutinefunction(callback):
        counted = _CoroutineFunction(callback, waiting)
    else:
        counted = _function(callback, waiting)
    setattr(counted, _IS_COUNTED, True)
    return counted


def _function(callback: Callable[..., Any], waiting: Waiting) -> Callable[..., Any]:
    @HANDLED
    def handle(*args: Any) -> Any:
        return callback(*args)

    def counted(*args: Any) -> Any:
        return handle(*args) if waiting.take() else callback(*args)

    return counted


class _CoroutineFunction(partial[Coroutine[Any, Any, Any]]):
    """A measured coroutine function; a partial, so that inspect finds that it is one."""

    handle: Callable[..., Awaitable[Any]]
    waiting: Waiting

    def __new__(cls, callback: Callable[..., Any], waiting: Waiting) -> Self:
        async def handle(*args: Any) -> Any:
            return await callback(*args)

        function = super().__new__(cls, handle)
        function.handle, function.waiting = HANDLED(handle), waiting
        return function

    def __call__(self, *args: Any) -> Coroutine[Any, Any, Any]:
        if not self.waiting.take():
            return super().__call__(*args)
        handling = self._handling(*args)
        handling.send(None)
        return handling

    async def _handling(self, *args: Any) -> Any:
        try:
            await _pause()
        except BaseException:
            with HANDLED.start(args, {}):  # cancelled before its first step, where a coroutine would not notice
                raise
        return await self.handle(*args)


@types.coroutine
def _pause() -> Generator[None]:
    """Return when the coroutine goes on."""
    yield
