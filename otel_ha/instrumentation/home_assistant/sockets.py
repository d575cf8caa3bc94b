"""Sockets: the WebSocket connections of aiohttp, which programs use themselves and hass-client uses for them.

Both have an instrumentor. The class is patched once for them, and each connection is looked at by one of them only.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from otel_ha.instrumentation.home_assistant.feeds import Feed, Feeds, feed_of, forget_feed
from otel_ha.instrumentation.home_assistant.frames import is_home_assistant
from otel_ha.instrumentation.patches import Patches, quietly

__all__ = ["ANY", "SOCKETS", "Sockets"]

ANY = ""
"""The key of the feeds of connections that no other library uses."""
_BETWEEN = ("aiohttp.", "otel_ha.", "opentelemetry.", "wrapt.")
Coroutine = Callable[..., Awaitable[Any]]


class Sockets:
    """Looks at connections to Home Assistant, each for the library whose module asks for its frames."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._feeds: dict[str, Feeds] = {}
        self._unasked: weakref.WeakSet[Any] = weakref.WeakSet()
        """Connections to Home Assistant whose library was not instrumented when they were seen."""

    def begin(self, asking_module: str, feeds: Feeds) -> None:
        """Look at the connections for which a module asks, or at ANY other."""
        self._feeds[asking_module] = feeds
        while self._unasked:
            forget_feed(self._unasked.pop())
        self._patches.is_on = True

    def end(self, asking_module: str) -> None:
        """Look at these connections no longer."""
        if (feeds := self._feeds.pop(asking_module, None)) is not None:
            feeds.end()
        if not self._feeds:
            self._patches.is_on = False
            self._patches.undo()

    def patch_connecting(self, client: ModuleType) -> None:
        """Patch the module aiohttp.client."""
        self._patches.replace(client.ClientSession, "_ws_connect", self._connecting)

    def patch_reading(self, client_ws: ModuleType) -> None:
        """Patch the module aiohttp.client_ws."""
        socket = client_ws.ClientWebSocketResponse
        self._patches.replace(socket, "receive", lambda original: self._receiving(original, client_ws))
        self._patches.replace(socket, "close", lambda original: self._closing(original, client_ws))

    def _connecting(self, original: Coroutine) -> Coroutine:
        def connect(session: Any, url: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            if not self._patches.is_on or not is_home_assistant(str(url)) or (feeds := self._asking()) is None:
                return original(session, url, *args, **kwargs)
            return attempt(feeds, _address(url), session, url, *args, **kwargs)

        async def attempt(feeds: Feeds, address: str, /, *args: Any, **kwargs: Any) -> Any:
            with feeds.attempt(address):
                connection = await original(*args, **kwargs)
            feed_of(connection, lambda found: feeds.add(found, address))
            return connection

        return connect

    def _receiving(self, original: Coroutine, client_ws: ModuleType) -> Coroutine:
        kinds, current_task = client_ws.WSMsgType, client_ws.asyncio.current_task
        data = frozenset({kinds.TEXT, kinds.BINARY})
        ends = frozenset({kinds.CLOSE, kinds.CLOSING, kinds.CLOSED, kinds.ERROR})

        def receive(connection: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            if not self._patches.is_on or (feed := feed_of(connection, self._first)) is None:
                return original(connection, *args, **kwargs)
            quietly(feed.asks, current_task())
            return received(feed, connection, *args, **kwargs)

        async def received(feed: Feed, connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            feed.receiver = current_task()
            try:
                message = await original(connection, *args, **kwargs)
            finally:
                feed.receiver = None
            if message.type in data:
                quietly(feed.takes, message.data)
            elif message.type in ends:
                quietly(feed.link.end, connection.close_code)
            return message

        return receive

    def _closing(self, original: Coroutine, client_ws: ModuleType) -> Coroutine:
        current_task = client_ws.asyncio.current_task

        def close(connection: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            if self._patches.is_on and (feed := feed_of(connection, self._first)) is not None:
                task = current_task()
                if task is None or task is not feed.receiver:  # receive() itself closes a connection that has ended
                    quietly(feed.closes, task)
            return original(connection, *args, **kwargs)

        return close

    def _first(self, connection: Any) -> Feed | None:
        """Return the feed of a connection that was made before the library was instrumented."""
        url = connection._response.url
        if not is_home_assistant(url.path):
            return None
        if (feeds := self._asking()) is None:
            self._unasked.add(connection)
            return None
        return feeds.add(connection, _address(url))

    def _asking(self) -> Feeds | None:
        """Return the feeds of the module that asks."""
        frame = sys._getframe(1)
        while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_BETWEEN):
            frame = frame.f_back
        return self._feeds.get(str(frame.f_globals.get("__name__"))) or self._feeds.get(ANY)


def _address(url: Any) -> str:
    """Return a URL without its scheme, which is spelled as for HTTP or as for WebSocket."""
    return str(url).partition("://")[2] or str(url)


SOCKETS = Sockets()
"""Those of this process."""
