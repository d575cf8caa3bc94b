"""Web applications that handle an event for each request, for servers of WSGI and of ASGI, which have many processes.

They set telemetry up when they are imported, as a user's module does.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from otel_ha import setup_telemetry
from tests.faults.events import handle_events

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
setup_telemetry("faults")


def wsgi_application(_: Any, start_response: Any) -> list[bytes]:
    """Handle an event, and answer with the process's number."""
    handle_events(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    """Handle an event for each request, and a last one when the server ends."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        handle_events(1)
        await send({"type": "lifespan.shutdown.complete"})
    else:
        handle_events(1)
        body = str(os.getpid()).encode()
        headers = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
