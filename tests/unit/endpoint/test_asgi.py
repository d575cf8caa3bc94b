"""The endpoint as an ASGI application."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_ha.serve.application import Endpoint
from otel_ha.serve.server import Server
from tests.unit.endpoint.conftest import Calling, endpoint, fetch


async def ask_asgi(served: Endpoint, path: str, root_path: str = "", **scope: object) -> tuple[int, dict, bytes]:
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(dict(message))

    async def receive():
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": [], **scope}
    await served.asgi_app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("", "/metrics"),
        ("/telemetry", "/telemetry/metrics"),
        ("/telemetry/", "/telemetry/metrics"),
        ("/telemetry", "/metrics"),  # as a server that does not repeat the root path in the path
        ("/met", "/metrics"),
        ("/metrics", "/metrics/"),
        ("/metrics", "/metrics"),
        ("/metrics", "/metrics/metrics"),
    ],
)
async def test_the_asgi_application_finds_the_metrics_under_a_prefix(registry, root_path, path):
    status, headers, body = await ask_asgi(endpoint(registry), path, root_path)
    assert status == 200
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"event_total{" in body


async def test_the_loop_keeps_running_while_the_metrics_are_rendered():
    loop = asyncio.get_running_loop()
    rendering, released = asyncio.Event(), threading.Event()

    def collect():
        loop.call_soon_threadsafe(rendering.set)
        assert released.wait(10)
        return []

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Calling(collect))
    scrape = asyncio.create_task(ask_asgi(endpoint(registry), "/metrics"))
    await rendering.wait()  # the loop runs while the scrape does
    released.set()
    assert (await scrape)[0] == 200


async def test_the_lifespan_is_acknowledged():
    sent: list[str] = []
    received = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive():
        return {"type": next(received)}

    async def send(message) -> None:
        sent.append(message["type"])

    await endpoint().asgi_app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed():
    sent: list[str] = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message) -> None:
        sent.append(message["type"])

    await endpoint().asgi_app({"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]


@contextmanager
def uvicorn_serving(app) -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{listening.getsockname()[1]}", port=listening.getsockname()[1])
    finally:
        running.should_exit = True
        thread.join()
        listening.close()


@pytest.mark.parametrize(
    ("mounted_at", "path"),
    [("/telemetry", "/telemetry/metrics"), ("/", "/metrics"), ("/metrics", "/metrics/"), ("", "/metrics")],
)
def test_a_starlette_application_can_mount_it(registry, mounted_at, path):
    app = Starlette(routes=[Mount(mounted_at, app=endpoint(registry).asgi_app)])
    with uvicorn_serving(app) as server:
        status, _, body = fetch(server, path)
    assert status == 200
    assert b"event_total{" in body


def test_uvicorn_can_serve_it_directly(registry):
    with uvicorn_serving(endpoint(registry).asgi_app) as server:
        assert fetch(server, "/metrics")[0] == 200
        assert fetch(server, "/metrics", "HEAD")[2] == b""
        assert fetch(server, "/healthz")[0] == 200
