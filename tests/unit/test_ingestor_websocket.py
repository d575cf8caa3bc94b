import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from examples.ingestor.accounting import accounting, samples
from examples.ingestor.connection import BACKOFF, Backoff
from examples.ingestor.intake import Intake
from examples.ingestor.urls import Address
from examples.ingestor.websocket import WebSocketSource
from otel_ha import Telemetry

TOKEN = "a-token"
QUICK = Backoff(first=0.02, limit=0.02)
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


class HomeAssistant:
    """The server side of Home Assistant's WebSocket API; runs `talk` once the client has subscribed."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.requests: list[dict] = []
        self.connections = 0
        self.last_request: web.Request | None = None

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.last_request = request
        await socket.send_json({"type": "auth_required", "ha_version": "2025.4.0"})
        if (await socket.receive_json())["access_token"] != TOKEN:
            await socket.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            await socket.close()
            return socket
        await socket.send_json({"type": "auth_ok", "ha_version": "2025.4.0"})
        self.requests += [await socket.receive_json(), await socket.receive_json()]
        await self.talk(socket)
        return socket


def changed(entity_id: str, state: str | None = "on") -> dict:
    new_state = None if state is None else {"entity_id": entity_id, "state": state, "attributes": {}}
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
async def source_of(
    home: HomeAssistant, token: str = TOKEN, backoff: Backoff = BACKOFF
) -> AsyncIterator[tuple[Intake, asyncio.Event]]:
    """Yield the intake that a source fills from `home`. At the end the source is stopped, and must end in time."""
    application = web.Application()
    application.router.add_get("/api/websocket", home.connect)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    intake, stopping = Intake(100), asyncio.Event()
    source = WebSocketSource(Address("http", host, port), token, intake, backoff=backoff)
    running = asyncio.create_task(source.run(stopping))
    try:
        yield intake, stopping
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await running
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.01)


def received(telemetry: Telemetry) -> int:
    return accounting(telemetry.prometheus_text()).received


def counted(telemetry: Telemetry, name: str, label: str) -> dict[str, float]:
    return {s.labels[label]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


def closes(telemetry: Telemetry) -> dict[str, float]:
    return counted(telemetry, "homeassistant_connection_closed_total", "homeassistant_connection_close_reason")


def active(telemetry: Telemetry) -> dict[str, float]:
    return counted(telemetry, "homeassistant_connection_active", "homeassistant_connection_kind")


async def test_the_source_subscribes_to_coalesced_events(telemetry):
    home = HomeAssistant(listen)
    async with source_of(home):
        await until(lambda: len(home.requests) == 2)
    assert [request["type"] for request in home.requests] == ["supported_features", "subscribe_events"]
    assert home.requests[0]["features"] == {"coalesce_messages": 1}


async def test_each_event_in_a_frame_is_received(telemetry):
    home = HomeAssistant(sending([changed("light.a"), changed("light.b")], changed("light.c")))
    async with source_of(home) as (intake, _):
        await until(lambda: received(telemetry) == 3)
        intake.close()
        assert [event.entity_id async for event in intake.events()] == ["light.a", "light.b", "light.c"]


async def test_results_are_not_events(telemetry):
    home = HomeAssistant(sending({"id": 2, "type": "result", "success": True}, changed("light.a")))
    async with source_of(home):
        await until(lambda: received(telemetry) == 1)


async def test_a_removed_entity_and_a_broken_event_are_discarded(telemetry):
    home = HomeAssistant(sending([changed("light.a", None), {"type": "event"}]))
    async with source_of(home):
        await until(lambda: received(telemetry) == 2)
    assert dict(accounting(telemetry.prometheus_text()).discarded) == {"removed": 1, "invalid": 1}


async def test_a_stopped_source_disconnects_and_counts_the_reason(telemetry):
    home = HomeAssistant(listen)
    async with source_of(home):
        await until(lambda: active(telemetry) == {"websocket": 1})
    assert (active(telemetry), closes(telemetry)) == ({"websocket": 0}, {"stopped": 1})


async def test_the_source_reconnects_after_each_close_and_counts_it(telemetry):
    async def close(socket: web.WebSocketResponse) -> None:
        if home.connections < 3:
            await socket.close()
        else:
            await listen(socket)

    home = HomeAssistant(close)
    async with source_of(home, backoff=QUICK):
        await until(lambda: home.connections == 3 and len(home.requests) == 6)
        assert closes(telemetry) == {"code_1000": 2}
    reconnects = counted(telemetry, "homeassistant_connection_reconnects_total", "homeassistant_connection_kind")
    assert reconnects == {"websocket": 2}


async def test_a_broken_connection_counts_as_lost(telemetry):
    async def breaks(socket: web.WebSocketResponse) -> None:
        home.last_request.transport.abort()

    home = HomeAssistant(breaks)
    async with source_of(home, backoff=QUICK):
        await until(lambda: home.connections > 1)
        home.talk = listen
    assert set(closes(telemetry)) - {"stopped"} == {"lost"}


async def test_a_wrong_token_is_reported_and_retried_slowly(telemetry, caplog):
    home = HomeAssistant(listen)
    async with source_of(home, token="wrong"):
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.1)
    assert "INGESTOR_HOME_ASSISTANT_TOKEN" in caplog.text
    assert "trying again in 60 s" in caplog.text
    assert (home.connections, closes(telemetry)) == (1, {"auth_invalid": 1})


async def test_an_unreachable_home_assistant_is_logged_once(caplog):
    stopping = asyncio.Event()
    source = WebSocketSource(Address("http", "127.0.0.1", 1), TOKEN, Intake(1), backoff=QUICK)
    running = asyncio.create_task(source.run(stopping))
    await asyncio.sleep(0.3)
    stopping.set()
    await running
    assert len(caplog.records) == 1
    assert "cannot connect to http://127.0.0.1:1/api/websocket" in caplog.text


async def test_a_server_that_is_not_home_assistant_is_reported(telemetry, caplog):
    async def other(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"hello": "world"})
        return socket

    home = HomeAssistant(listen)
    home.connect = other
    async with source_of(home):
        await until(lambda: bool(caplog.records))
    assert "does not speak Home Assistant's WebSocket API" in caplog.text
