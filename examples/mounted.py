"""Metrics mounted in your own web service: `python -m examples.mounted [port]`; needs starlette and uvicorn.

The service accepts events by POST /events, as Home Assistant's rest_command sends them, and serves the pages of
telemetry on the same port: / for browsers, /metrics, /summary, /healthz, and for probes /health and /ready.
"""

from __future__ import annotations

import argparse
import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest

FROM_WEBHOOK = ingest.EVENT.bind(source="webhook")


async def receive(request: Request) -> JSONResponse:
    """Accept an event."""
    with FROM_WEBHOOK.measured() as event:
        try:
            entity_id = str((await request.json())["entity_id"])
        except (ValueError, TypeError, KeyError):
            event.discard("invalid")
            return JSONResponse({"error": "the body must be a JSON object with an entity_id"}, status_code=400)
        event.set(domain=entity_id.partition(".")[0], entity=entity_id)
        return JSONResponse({"received": entity_id})


def application(telemetry: Telemetry) -> Starlette:
    """Return the service: its own routes first, then those of telemetry."""
    return Starlette(routes=[Route("/events", receive, methods=["POST"]), Mount("/", telemetry.asgi_app)])


async def main(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with setup_telemetry("ha-webhook", config=TelemetryConfig(endpoint_server=False)) as telemetry:
        await uvicorn.Server(uvicorn.Config(application(telemetry), port=port)).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Accept events over HTTP and serve their metrics on the same port.")
    parser.add_argument("port", nargs="?", type=int, default=8080, help="port to listen on (default 8080)")
    asyncio.run(main(parser.parse_args().port))
