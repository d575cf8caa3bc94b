"""An MQTT broker inside this process, on a port of the loopback interface."""

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
    """Run a broker on `port`, or on a free port for 0, and yield its address."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    broker = Broker(CONFIG)
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")

    # The broker does not report the free port that it takes, so the demo opens the socket.
    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        host, port = server.sockets[0].getsockname()
        yield Address("mqtt", host, port)
    finally:
        server.close()
        await broker.shutdown()
