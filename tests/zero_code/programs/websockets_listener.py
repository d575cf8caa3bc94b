"""A program that listens to Home Assistant over websockets, as people write it, and connects again."""

import asyncio
import contextlib
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


def handle(message):
    if message.get("type") == "event" and message["event"]["data"]["entity_id"] == "sensor.bad":
        raise ValueError(message)


async def listen():
    async with connect(sys.argv[1], max_size=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "access_token": sys.argv[2]}))
        assert json.loads(await socket.recv())["type"] == "auth_ok"
        await socket.send(json.dumps({"id": 1, "type": "subscribe_events"}))
        async for frame in socket:
            content = json.loads(frame)
            for message in content if isinstance(content, list) else [content]:
                handle(message)


async def main():
    while True:
        with contextlib.suppress(OSError, WebSocketException, ValueError):
            await listen()
        await asyncio.sleep(0.1)


asyncio.run(main())
