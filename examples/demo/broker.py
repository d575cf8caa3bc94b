"""An MQTT broker within this process, on a free port of the loopback interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker

from examples.ingestor.urls import Address

CONFIG = {
    "listeners": {"default": {"type": "external"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


@asynccontextmanager
async def embedded_broker(port: int = 0) -> AsyncIterator[Address]:
    """Run a broker on this port, or on a free one, and give its address."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    broker = Broker(CONFIG)
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")

    # We listen ourselves, as the broker would not tell which free port it took.
    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        host, port = server.sockets[0].getsockname()
        yield Address("mqtt", host, port)
    finally:
        server.close()
        await broker.shutdown()
