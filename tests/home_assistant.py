"""The server side of Home Assistant's WebSocket API, for tests."""

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
