"""A program with hass-client, as people write it: it connects again after each failure."""

import asyncio
import sys

from hass_client import HomeAssistantClient
from hass_client.exceptions import BaseHassClientError


def note(event):
    if event["data"]["entity_id"] == "sensor.bad":
        raise ValueError(event)


async def main():
    while True:
        client = HomeAssistantClient(sys.argv[1], sys.argv[2])
        try:
            await client.connect()
            listening = asyncio.create_task(client.start_listening())
            await client.subscribe_events(note)
            await listening
        except (BaseHassClientError, OSError, asyncio.CancelledError):
            pass
        finally:
            await client.disconnect()
        await asyncio.sleep(0.1)


asyncio.run(main())
