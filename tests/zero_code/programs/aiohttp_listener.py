"""A program that listens to Home Assistant over aiohttp, as people write it: it connects again after each failure."""

import asyncio
import contextlib
import sys

import aiohttp


def handle(message):
    if message.get("type") == "event" and message["event"]["data"]["entity_id"] == "sensor.bad":
        raise ValueError(message)


async def listen(session):
    async with session.ws_connect(sys.argv[1], max_msg_size=0) as socket:
        await socket.receive_json()
        await socket.send_json({"type": "auth", "access_token": sys.argv[2]})
        assert (await socket.receive_json())["type"] == "auth_ok"
        await socket.send_json({"id": 1, "type": "subscribe_events"})
        async for frame in socket:
            content = frame.json()
            for message in content if isinstance(content, list) else [content]:
                handle(message)


async def main():
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ValueError):
                await listen(session)
            await asyncio.sleep(0.1)


asyncio.run(main())
