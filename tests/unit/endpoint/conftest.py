"""Shared by the tests of the endpoint: a registry, an endpoint on it, and a server."""

import base64
import http.client
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from otel_ha.serve.adapters import Response
from otel_ha.serve.application import Endpoint
from otel_ha.serve.server import Server
from tests.certificates import Certificates, certificates

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
HEALTHY = {"status": "ok", "service": "test"}


def endpoint(
    registry: CollectorRegistry | None = None, health=lambda: HEALTHY, username=None, password=None, **more: object
) -> Endpoint:
    return Endpoint(registry or CollectorRegistry(), health, dict, username=username, password=password, **more)


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """A registry that a real PrometheusMetricReader feeds with one counter of 3 events."""
    registry = CollectorRegistry(auto_describe=False)
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("event", unit="{event}").add(3, {"kind": "a"})
    yield registry
    provider.shutdown()


@contextmanager
def serving(served: Endpoint, host: str = "127.0.0.1", **more: object) -> Iterator[Server]:
    server = Server(served, host, 0, **more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def fetch(server: Server, path: str, method: str = "GET", headers=None, context: ssl.SSLContext | None = None):
    host = server.url.split("//")[1].rpartition(":")[0].strip("[]")
    connection = (
        http.client.HTTPSConnection(host, server.port, context=context, timeout=10)
        if context
        else http.client.HTTPConnection(host, server.port, timeout=10)
    )
    with closing(connection):
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@contextmanager
def in_thread(server) -> Iterator[None]:
    """Run a server of socketserver's in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> Certificates:
    """A certificate authority, a server's certificate for localhost and a client's, as files."""
    return certificates(tmp_path_factory.mktemp("tls"))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Calling:
    """A collector that calls a function."""

    describe = list

    def __init__(self, collect):
        self.collect = collect


def fork_and_run(action: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(20)
    try:
        action()
    except BaseException:  # noqa: BLE001 - the child's exit status reports it
        os._exit(1)
    os._exit(0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
