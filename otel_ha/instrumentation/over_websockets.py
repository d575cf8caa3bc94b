"""Instrumentation of programs that talk to Home Assistant's WebSocket API over websockets.

The clients of websockets.asyncio, websockets.sync and websockets.legacy; not that of websockets.trio. Only connections
to /api/websocket or /core/websocket count, and frames that recv() or the iteration returns, not recv_streaming(). See
otel_ha.instrumentation.home_assistant.feeds for when an event begins and ends. A thread's exception is seen only where
it leaves the block of the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from threading import current_thread
from types import ModuleType
from typing import Any

from otel_ha.instrumentation.home_assistant.feeds import Feed, Feeds, feed_of, known_feed
from otel_ha.instrumentation.home_assistant.frames import is_home_assistant
from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.instrumentation.patches import quietly

__all__ = ["HomeAssistantOverWebsocketsInstrumentor"]

Function = Callable[..., Any]


class HomeAssistantOverWebsocketsInstrumentor(LibraryInstrumentor):
    """Instruments connections to Home Assistant over websockets."""

    library = "websockets >= 14, < 18"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the modules to patch."""
        return {
            "websockets.asyncio.client": self._patch_asyncio_client,
            "websockets.asyncio.connection": lambda module: self._patch_tasks(module.Connection, module),
            "websockets.legacy.client": lambda module: self._patch_connecting(module.Connect, "__await_impl__"),
            "websockets.legacy.protocol": lambda module: self._patch_tasks(module.WebSocketCommonProtocol, module),
            "websockets.sync.client": self._patch_sync_client,
            "websockets.sync.connection": lambda module: self._patch_threads(module.Connection),
        }

    def _instrument(self, **kwargs: Any) -> None:
        self._feeds = Feeds()
        super()._instrument(**kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:
        self._feeds.end()
        super()._uninstrument(**kwargs)

    def _patch_asyncio_client(self, module: ModuleType) -> None:
        self._patch_connecting(module.connect, "connect")  # until 16, it has another name
        self._patch_connecting(module.connect, "__await_impl__")

    def _patch_sync_client(self, module: ModuleType) -> None:
        if hasattr(module, "reconnect"):  # from 17 on, connect() uses it
            self.patches.replace(module.reconnect, "connect", partial(self._connecting_thread, lambda it: it.uri))
        else:
            self.patches.replace(module, "connect", partial(self._connecting_thread, lambda uri: uri))

    def _patch_connecting(self, connect: type, name: str) -> None:
        self.patches.replace(connect, name, self._connecting_task)

    def _patch_tasks(self, connection: type, module: ModuleType) -> None:
        current_task = module.asyncio.current_task
        self.patches.replace(connection, "recv", partial(self._receiving_task, current_task))
        self.patches.replace(connection, "close", partial(self._closing, current_task))
        self.patches.replace(connection, "connection_lost", self._losing)

    def _patch_threads(self, connection: type) -> None:
        self.patches.replace(connection, "recv", self._receiving_thread)
        self.patches.replace(connection, "close", partial(self._closing, current_thread))
        self.patches.replace(connection, "recv_events", self._losing)

    def _connecting_task(self, original: Function) -> Function:
        def connect(connecting: Any) -> Awaitable[Any]:
            uri: str = connecting.uri if hasattr(connecting, "uri") else connecting._uri
            if not self.patches.is_on or not is_home_assistant(uri):
                return original(connecting)  # type: ignore[no-any-return]
            return attempt(connecting, _address(uri))

        async def attempt(connecting: Any, address: str) -> Any:
            with self._feeds.attempt(address):
                connection = await original(connecting)
            feed_of(connection, lambda found: self._add(found, address))
            return connection

        return connect

    def _connecting_thread(self, uri_of: Callable[[Any], str], original: Function) -> Function:
        def connect(first: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.patches.is_on or not is_home_assistant(uri := uri_of(first)):
                return original(first, *args, **kwargs)
            with self._feeds.attempt(address := _address(uri)):
                connection = original(first, *args, **kwargs)
            feed_of(connection, lambda found: self._add(found, address))
            return connection

        return connect

    def _receiving_task(self, current: Callable[[], Any], original: Function) -> Function:
        def recv(connection: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            if not self.patches.is_on or (feed := feed_of(connection, self._first)) is None:
                return original(connection, *args, **kwargs)  # type: ignore[no-any-return]
            quietly(feed.asks, current())
            return received(feed, connection, *args, **kwargs)

        async def received(feed: Feed, connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            frame = await original(connection, *args, **kwargs)
            quietly(feed.takes, frame)
            return frame

        return recv

    def _receiving_thread(self, original: Function) -> Function:
        def recv(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.patches.is_on or (feed := feed_of(connection, self._first)) is None:
                return original(connection, *args, **kwargs)
            quietly(feed.asks, current_thread())
            frame = original(connection, *args, **kwargs)
            quietly(feed.takes, frame)
            return frame

        return recv

    def _closing(self, current: Callable[[], Any], original: Function) -> Function:
        def close(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if self.patches.is_on and (feed := feed_of(connection, self._first)) is not None:
                quietly(feed.closes, current())
            return original(connection, *args, **kwargs)

        return close

    def _losing(self, original: Function) -> Function:
        def lose(connection: Any, *args: Any) -> Any:
            try:
                return original(connection, *args)
            finally:
                # One whose handshake fails has no feed.
                if self.patches.is_on and (feed := known_feed(connection)) is not None:
                    quietly(_end, feed, connection)

        return lose

    def _first(self, connection: Any) -> Feed | None:
        """Return the feed of a connection that was made before the library was instrumented."""
        if hasattr(connection, "is_client"):  # websockets.legacy
            if not connection.is_client or not is_home_assistant(connection.path):
                return None
            return self._add(connection, f"{connection.request_headers.get('Host')}{connection.path}")
        request = connection.request
        if connection.protocol.side.name != "CLIENT" or not is_home_assistant(request.path):
            return None
        return self._add(connection, f"{request.headers.get('Host')}{request.path}")

    def _add(self, connection: Any, address: str) -> Feed:
        feed = self._feeds.add(connection, address)
        _end(feed, connection)  # it may have ended since
        return feed


def _address(uri: str) -> str:
    """Return a URI without its scheme."""
    return uri.partition("://")[2]


def _end(feed: Feed, connection: Any) -> None:
    """Note the end of a connection if it has ended; the program may not have read its last frames yet."""
    code = connection.close_code if hasattr(connection, "close_code") else connection.protocol.close_code
    if code is not None:
        feed.link.end(int(code), may_be_unread=True)
