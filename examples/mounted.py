"""The metrics within a web service of your own: `python -m examples.mounted [port]` needs starlette and uvicorn.

It takes events by POST /events, as a rest_command of Home Assistant sends them, and shows /metrics and /healthz on the
same port.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from otel_ha import Telemetry, TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest


async def receive(request: Request) -> JSONResponse:
    """Take an event."""
    with measured(ingest.EVENT, source="webhook") as event:
        try:
            entity_id = str((await request.json())["entity_id"])
        except (ValueError, TypeError, KeyError):
            event.discard("invalid")
            return JSONResponse({"error": "an event is a JSON object with an entity_id"}, status_code=400)
        event.set(domain=entity_id.partition(".")[0], entity=entity_id)
        return JSONResponse({"received": entity_id})


def application(telemetry: Telemetry) -> Starlette:
    """Return the service: its own routes, and below them those of telemetry."""
    return Starlette(routes=[Route("/events", receive, methods=["POST"]), Mount("/", telemetry.asgi_app)])


async def main(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with setup_telemetry("ha-webhook", config=TelemetryConfig(endpoint_server=False)) as telemetry:
        await uvicorn.Server(uvicorn.Config(application(telemetry), port=port)).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
