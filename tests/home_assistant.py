"""The server side of Home Assistant's WebSocket API, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from examples.ingestor.urls import Address

TOKEN = "a-token"
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


class HomeAssistant:
    """The server side of Home Assistant's WebSocket API; runs `talk` once it has answered the client's requests."""

    def __init__(self, talk: Talk, *, answers: bool = True, autoping: bool = True) -> None:
        self.talk = talk
        self.answers = answers
        self.autoping = autoping
        self.states: list[dict] = []
        self.refuses: set[str] = set()
        self.failures = 0
        self.requests: list[dict] = []
        self.connections = 0
        self.last_request: web.Request | None = None

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        if self.failures:
            self.failures -= 1
            raise web.HTTPBadGateway
        socket = web.WebSocketResponse(autoping=self.autoping)
        await socket.prepare(request)
        self.connections += 1
        self.last_request = request
        await socket.send_json({"type": "auth_required", "ha_version": "2025.4.0"})
        if (await socket.receive_json())["access_token"] != TOKEN:
            await socket.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            await socket.close()
            return socket
        await socket.send_json({"type": "auth_ok", "ha_version": "2025.4.0"})
        for _ in range(3):
            await self.answer(socket, await socket.receive_json())
        await self.talk(socket)
        return socket

    async def answer(self, socket: web.WebSocketResponse, request: dict) -> None:
        self.requests.append(request)
        result = self.states if request["type"] == "get_states" else None
        success = request["type"] not in self.refuses
        if self.answers:
            await socket.send_json({"id": request["id"], "type": "result", "success": success, "result": result})


def state_of(entity_id: str, state: str = "on", at: float | None = None, **attributes: object) -> dict:
    """A state as Home Assistant sends it, last updated at this second since 1970."""
    time = {} if at is None else {"last_updated": datetime.fromtimestamp(at, UTC).isoformat()}
    return {"entity_id": entity_id, "state": state, "attributes": attributes, **time}


def changed(entity_id: str, state: str | None = "on", at: float | None = None) -> dict:
    new_state = None if state is None else state_of(entity_id, state, at)
    return {"id": 2, "type": "event", "event": {"data": {"entity_id": entity_id, "new_state": new_state}}}


async def listen(socket: web.WebSocketResponse) -> None:
    """Keep the connection until the client leaves."""
    async for _ in socket:
        pass


def sending(*frames: object) -> Talk:
    async def talk(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            await socket.send_json(frame)
        await listen(socket)

    return talk


@asynccontextmanager
async def serving(home: HomeAssistant) -> AsyncIterator[Address]:
    """Yield the address at which `home` is served."""
    application = web.Application()
    application.router.add_get("/api/websocket", home.connect)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Address("http", *runner.addresses[0])
    finally:
        await runner.cleanup()


class HomeServer:
    """Home Assistant's side for any client: it answers every request, and sends what a test has it send.

    `events` are sent to the first subscription of every connection. `sent` is the number of bytes in its frames, and
    `results` has the results of requests by their type.
    """

    def __init__(self) -> None:
        self.results: dict[str, object] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.subscriptions: dict[web.WebSocketResponse, list[int]] = {}
        self.changed = asyncio.Condition()
        self.sent = 0
        self.refuses = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/websocket"

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuses:
            raise web.HTTPBadGateway
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.send(socket, {"type": "auth_required", "ha_version": "2025.4.0"})
        if (await socket.receive_json())["access_token"] != TOKEN:
            await self.send(socket, {"type": "auth_invalid", "message": "Invalid access token or password"})
            await socket.close()
            return socket
        await self.send(socket, {"type": "auth_ok", "ha_version": "2025.4.0"})
        await self._note(lambda: self.sockets.append(socket))
        async for message in socket:
            asked = message.json()
            result = self.results.get(asked["type"])
            await self.send(socket, {"id": asked["id"], "type": "result", "success": True, "result": result})
            if asked["type"].startswith("subscribe"):
                subscriptions = self.subscriptions.setdefault(socket, [])
                await self._note(lambda ids=subscriptions, asked=asked: ids.append(asked["id"]))
        await self._note(lambda: self.sockets.remove(socket) if socket in self.sockets else None)
        return socket

    async def send(self, socket: web.WebSocketResponse, content: object) -> None:
        frame = json.dumps(content, separators=(",", ":"))  # as Home Assistant writes it
        self.sent += len(frame.encode())
        await socket.send_str(frame)

    async def events(self, *events: object, coalesced: bool = False) -> None:
        """Send events to the connection that came last, once it has subscribed."""
        await self.until(lambda: self.sockets and self.subscriptions.get(self.sockets[-1]))
        socket = self.sockets[-1]
        subscription = self.subscriptions[socket][0]
        messages = [{"id": subscription, "type": "event", "event": event} for event in events]
        for frame in [messages] if coalesced else messages:
            await self.send(socket, frame)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(condition)

    async def close(self, code: int) -> None:
        """Close the connection that came last; code 1006 loses it without a word."""
        socket = self.sockets.pop()
        if code == 1006:
            socket._req.transport.abort()
        else:
            await socket.close(code=code)

    async def _note(self, change: Callable[[], object]) -> None:
        async with self.changed:
            change()
            self.changed.notify_all()


@asynccontextmanager
async def home_server() -> AsyncIterator[HomeServer]:
    """Yield a HomeServer that listens, by both paths of its API and at / without it."""
    home = HomeServer()
    application = web.Application()
    for path in ("/api/websocket", "/core/websocket", "/"):
        application.router.add_get(path, home.connect)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        home.port = runner.addresses[0][1]
        yield home
    finally:
        await runner.cleanup()


def state_changed(entity_id: str, state: str = "on") -> dict:
    """The event of a state that has changed, as subscribe_events gets it."""
    new_state = state_of(entity_id, state)
    return {"event_type": "state_changed", "data": {"entity_id": entity_id, "new_state": new_state}}
