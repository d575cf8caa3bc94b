"""Programs that listen to Home Assistant by one library each, as a user writes them."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable

import aiohttp
import websockets.asyncio.client
import websockets.sync.client

from otel_ha.instrumentation.over_aiohttp import HomeAssistantOverAiohttpInstrumentor
from otel_ha.instrumentation.over_websockets import HomeAssistantOverWebsocketsInstrumentor
from tests.home_assistant import TOKEN

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import websockets.legacy.client

FEATURES = {"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}}
SUBSCRIBE = {"id": 2, "type": "subscribe_events", "event_type": "state_changed"}
Handle = Callable[[list], object]
"""A function of a program that handles the events of a frame, perhaps asynchronously."""


def auth(token: str) -> dict:
    return {"type": "auth", "access_token": token}


def events(frame: str | bytes) -> list[dict]:
    content = json.loads(frame)
    return [each["event"] for each in (content if isinstance(content, list) else [content]) if each["type"] == "event"]


async def done(result: object) -> None:
    if asyncio.iscoroutine(result):
        await result


async def aiohttp_program(url: str, handle: Handle, token: str = TOKEN) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await socket.send_json(auth(token))
        assert (await socket.receive_json())["type"] == "auth_ok"
        await socket.send_json(FEATURES)
        await socket.send_json(SUBSCRIBE)
        async for message in socket:
            if found := events(message.data):
                await done(handle(found))


async def websockets_program(url: str, handle: Handle, token: str = TOKEN) -> None:
    async with websockets.asyncio.client.connect(url) as socket:
        await asyncio_websocket(socket, handle, token)


async def legacy_program(url: str, handle: Handle, token: str = TOKEN) -> None:
    async with websockets.legacy.client.connect(url) as socket:
        await asyncio_websocket(socket, handle, token)


async def asyncio_websocket(socket, handle: Handle, token: str) -> None:
    await socket.recv()
    await socket.send(json.dumps(auth(token)))
    assert json.loads(await socket.recv())["type"] == "auth_ok"
    await socket.send(json.dumps(FEATURES))
    await socket.send(json.dumps(SUBSCRIBE))
    async for frame in socket:
        if found := events(frame):
            await done(handle(found))


async def sync_program(url: str, handle: Handle, token: str = TOKEN) -> None:
    """Run a program with threads; an asynchronous handler runs in the test's loop."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        with websockets.sync.client.connect(url) as socket:
            socket.recv()
            socket.send(json.dumps(auth(token)))
            assert json.loads(socket.recv())["type"] == "auth_ok"
            socket.send(json.dumps(FEATURES))
            socket.send(json.dumps(SUBSCRIBE))
            for frame in socket:
                if found := events(frame):
                    result = handle(found)
                    if asyncio.iscoroutine(result):
                        asyncio.run_coroutine_threadsafe(result, loop).result(30)

    await asyncio.to_thread(run)


PROGRAMS = {
    "aiohttp": (HomeAssistantOverAiohttpInstrumentor, aiohttp_program),
    "websockets": (HomeAssistantOverWebsocketsInstrumentor, websockets_program),
    "websockets.legacy": (HomeAssistantOverWebsocketsInstrumentor, legacy_program),
    "websockets.sync": (HomeAssistantOverWebsocketsInstrumentor, sync_program),
}
