"""A program with aiomqtt, as people write it: three workers share a client, which is used again after each failure."""

import asyncio
import sys

import aiomqtt


async def work(client):
    async for message in client.messages:
        if message.payload == b"slow":
            await asyncio.sleep(1000)
        if message.payload == b"bad":
            raise ValueError(message.payload)


async def main():
    client = aiomqtt.Client(sys.argv[1], int(sys.argv[2]), max_queued_incoming_messages=5)
    while True:
        try:
            async with client, asyncio.TaskGroup() as workers:
                await client.subscribe("homeassistant/#", qos=2)
                print("ready")
                for _ in range(3):
                    workers.create_task(work(client))
        except* (aiomqtt.MqttError, ValueError):
            await asyncio.sleep(0.2)


asyncio.run(main())
