"""The endpoint: its answers, as WSGI, ASGI and in its own server."""

import asyncio
import base64
import gzip
import http.client
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from wsgiref.validate import validator

import pytest
import trustme
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_ha.serve import server
from otel_ha.serve.adapters import Response
from otel_ha.serve.application import Endpoint
from otel_ha.serve.server import Server

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
HEALTHY = {"status": "ok", "service": "test"}


def endpoint(
    registry: CollectorRegistry | None = None, health=lambda: HEALTHY, username=None, password=None
) -> Endpoint:
    return Endpoint(registry or CollectorRegistry(), health, dict, username=username, password=password)


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """A registry that a real PrometheusMetricReader feeds with one counter of 3 events."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("event", unit="{event}").add(3, {"kind": "a"})
    yield registry
    provider.shutdown()


@contextmanager
def serving(served: Endpoint, host: str = "127.0.0.1", **tls: object) -> Iterator[Server]:
    server = Server(served, host, 0, **tls)
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


# Answers


def test_metrics_are_text_unless_openmetrics_is_asked_for(registry):
    response = endpoint(registry).respond("GET", "/metrics", {})
    assert response.status == 200
    assert header(response, "Content-Type").startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parse_text(response.body.decode())}
    assert families["event"].samples[0].value == 3


def test_metrics_are_openmetrics_when_the_client_prefers_that(registry):
    response = endpoint(registry).respond("GET", "/metrics", {"accept": OPENMETRICS})
    assert header(response, "Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    assert [family.name for family in parse_openmetrics(response.body.decode())] == ["target", "event"]


@given(accept=st.one_of(st.text(), st.from_regex(r"application/openmetrics-text; ?version=.*", fullmatch=True)))
def test_any_accept_header_gets_the_metrics(accept):
    assert endpoint().respond("GET", "/metrics", {"Accept": accept}).status == 200


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "br;q=1.0, *;q=0.1"])
def test_a_client_that_takes_gzip_gets_it(registry, accepted):
    response = endpoint(registry).respond("GET", "/metrics", {"Accept-Encoding": accepted})
    assert header(response, "Content-Encoding") == "gzip"
    assert b"event_total{" in gzip.decompress(response.body)
    assert header(response, "Content-Length") == str(len(response.body))


@pytest.mark.parametrize("accepted", ["", "gzip;q=0", "gzip; q=0.0, *", "deflate", "*;q=0", "gzip;q=much"])
def test_a_client_that_refuses_gzip_gets_plain_text(registry, accepted):
    response = endpoint(registry).respond("GET", "/metrics", {"Accept-Encoding": accepted})
    assert header(response, "Content-Encoding") is None
    assert b"event_total{" in response.body


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_concurrent_scrapes_are_each_whole():
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    points = [Observation(number, {"number": number}) for number in range(200)]
    provider.get_meter("test").create_observable_gauge("many", callbacks=[lambda _: points])
    served = endpoint(registry)
    bodies: list[bytes] = []
    gate = threading.Barrier(8)

    def scrape() -> None:
        gate.wait()
        bodies.extend(served.respond("GET", "/metrics", {}).body for _ in range(5))

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    provider.shutdown()
    assert len(bodies) == 40
    assert {body.count(b"\nmany{") for body in bodies} == {200}


def test_a_head_request_gets_the_headers_alone(registry):
    response = endpoint(registry).respond("HEAD", "/metrics", {})
    assert (response.status, response.body) == (200, b"")
    assert int(header(response, "Content-Length")) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_a_method_that_does_not_read_is_not_allowed(method):
    response = endpoint().respond(method, "/metrics", {})
    assert (response.status, header(response, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("health", "status"),
    [({"status": "ok"}, 200), ({"status": "degraded"}, 200), ({"status": "failed"}, 503), ({}, 503)],
)
def test_health_is_json_and_failed_is_unavailable(health, status):
    response = endpoint(health=lambda: health).respond("GET", "/healthz", {})
    assert response.status == status
    assert json.loads(response.body) == health


def test_a_health_function_that_raises_is_an_error_of_the_server(caplog):
    def broken():
        raise RuntimeError("secret detail")

    response = endpoint(health=broken).respond("GET", "/healthz", {})
    assert response.status == 500
    assert b"secret" not in response.body
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_root_lists_the_paths():
    response = endpoint().respond("GET", "/", {})
    assert response.status == 200
    assert b"metrics" in response.body
    assert b"healthz" in response.body


def test_an_unknown_path_is_not_found():
    assert endpoint().respond("GET", "/nothing", {}).status == 404


def test_without_a_registry_there_is_no_page_of_metrics():
    served = Endpoint(None, lambda: HEALTHY, dict, username=None, password=None)
    assert served.respond("GET", "/metrics", {}).status == 404
    assert served.respond("GET", "/healthz", {}).status == 200
    assert served.text() == ""


def test_the_text_equals_a_scrape(registry):
    served = endpoint(registry)
    assert served.text() == served.respond("GET", "/metrics", {}).body.decode()


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_every_request_is_answered(method, path, headers):
    assert endpoint(username="a", password="b").respond(method, path, headers).status == 401
    assert 200 <= endpoint().respond(method, path, headers).status < 500


# A collector that fails


class Calling:
    """A collector that calls a function."""

    describe = list

    def __init__(self, collect):
        self.collect = collect


class Flaky:
    """A collector that raises while it is broken."""

    broken = True
    describe = list

    def collect(self):
        if self.broken:
            raise ValueError("secret detail")
        yield GaugeMetricFamily("fine", "Fine.", 1)


@pytest.fixture
def flaky() -> tuple[Flaky, Endpoint]:
    collector = Flaky()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return collector, endpoint(registry)


def test_a_collector_that_raises_is_an_error_without_a_traceback(flaky):
    _, served = flaky
    response = served.respond("GET", "/metrics", {})
    assert response.status == 500
    assert b"secret" not in response.body
    assert b"Traceback" not in response.body


def test_an_outage_of_the_metrics_is_one_line_and_its_end_another(flaky, caplog):
    collector, served = flaky
    for _ in range(3):
        served.respond("GET", "/metrics", {})
    collector.broken = False
    for _ in range(3):
        assert served.respond("GET", "/metrics", {}).status == 200
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert all(record.exc_info is None for record in caplog.records)


def test_there_is_one_scrape_at_a_time():
    inside, seen = [], []

    def collect():
        inside.append(1)
        time.sleep(0.005)  # the best chance for other threads to enter
        seen.append(len(inside))
        inside.pop()
        return []

    registry = CollectorRegistry()
    registry.register(Calling(collect))
    served = endpoint(registry)
    scrapes = [
        *(threading.Thread(target=served.respond, args=("GET", "/metrics", {})) for _ in range(4)),
        *(threading.Thread(target=served.text) for _ in range(4)),
    ]
    for scrape in scrapes:
        scrape.start()
    for scrape in scrapes:
        scrape.join()
    assert seen == [1] * 8


def test_a_scrape_behind_one_that_hangs_is_unavailable(monkeypatch):
    monkeypatch.setattr("otel_ha.serve.application.PATIENCE", 0.01)
    going_on, release = threading.Event(), threading.Event()

    def collect():
        going_on.set()
        release.wait()
        return []

    registry = CollectorRegistry()
    registry.register(Calling(collect))
    served = endpoint(registry)
    first = threading.Thread(target=served.respond, args=("GET", "/metrics", {}))
    first.start()
    going_on.wait()
    assert served.respond("GET", "/metrics", {}).status == 503
    release.set()
    first.join()
    assert served.respond("GET", "/metrics", {}).status == 200


def test_a_forked_child_does_not_wait_for_the_parents_scrape(monkeypatch, registry):
    monkeypatch.setattr("otel_ha.serve.application.PATIENCE", 0.01)
    served = endpoint(registry)
    served._rendering.acquire()
    assert served.respond("GET", "/metrics", {}).status == 503
    served.after_fork_in_child()
    assert served.respond("GET", "/metrics", {}).status == 200


# Authentication


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/summary", "/nothing"])
def test_every_path_asks_for_the_credentials(path):
    response = endpoint(username="prometheus", password="s3cret").respond("GET", path, {})
    assert response.status == 401
    assert header(response, "WWW-Authenticate").startswith("Basic realm=")


def test_the_right_credentials_are_let_in():
    served = endpoint(username="prometheus", password="pass:wörd")
    assert served.respond("GET", "/metrics", basic("prometheus", "pass:wörd")).status == 200


@given(username=st.text(), password=st.text())
def test_other_credentials_are_refused(username, password):
    status = endpoint(username="prometheus", password="s3cret").respond("GET", "/", basic(username, password)).status
    assert (status == 200) == (f"{username}:{password}" == "prometheus:s3cret")


@pytest.mark.parametrize(
    "value", ["", "Basic", "Basic !!!", "Bearer abc", "Digest cHJvbWV0aGV1czpzM2NyZXQ=", "Basic é"]
)
def test_a_header_other_than_basic_authentication_is_refused(value):
    served = endpoint(username="prometheus", password="s3cret")
    assert served.respond("GET", "/metrics", {"Authorization": value}).status == 401


def test_no_repr_shows_the_credentials():
    assert "s3cret" not in repr(endpoint(username="prometheus", password="s3cret"))


# As a WSGI application


def ask_wsgi(served: Endpoint, path: str, script_name: str = "") -> tuple[str, bytes]:
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": SimpleNamespace(read=bytes, readline=bytes, readlines=list, __iter__=iter),
        "wsgi.errors": SimpleNamespace(flush=list, write=list, writelines=list),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    result = validator(served.wsgi_app)(environ, lambda status, *_: statuses.append(status) or list)
    with closing(result):
        return statuses[0], b"".join(result)


@pytest.mark.parametrize("script_name", ["", "/telemetry", "/a/b"])
def test_the_wsgi_application_is_valid_and_works_under_a_prefix(registry, script_name):
    status, body = ask_wsgi(endpoint(registry), "/metrics", script_name)
    assert status == "200 OK"
    assert b"event_total{" in body


def test_a_wsgi_application_mounted_at_metrics_answers_with_the_metrics(registry):
    assert b"event_total{" in ask_wsgi(endpoint(registry), "", "/metrics")[1]


# As an ASGI application


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

    registry = CollectorRegistry()
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


async def test_a_websocket_is_turned_away():
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


def test_uvicorn_serves_it_alone(registry):
    with uvicorn_serving(endpoint(registry).asgi_app) as server:
        assert fetch(server, "/metrics")[0] == 200
        assert fetch(server, "/metrics", "HEAD")[2] == b""
        assert fetch(server, "/healthz")[0] == 200


# Our own server


def test_the_server_serves_the_metrics(registry):
    with serving(endpoint(registry)) as server:
        status, headers, body = fetch(server, "/metrics", headers={"Accept-Encoding": "gzip"})
    assert status == 200
    assert headers["Server"] == "otel-ha"
    assert b"event_total{" in gzip.decompress(body)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_server_knows_its_address(host):
    with serving(endpoint(), host) as server:
        shown = f"[{host}]" if ":" in host else host
        assert server.url == f"http://{shown}:{server.port}"
        assert fetch(server, "/healthz")[0] == 200


def test_every_method_reaches_the_endpoint():
    with serving(endpoint()) as server:
        assert fetch(server, "/metrics", "POST")[0] == 405
        assert fetch(server, "/metrics", "BREW")[0] == 405
        status, _, body = fetch(server, "/metrics", "HEAD")
        assert (status, body) == (200, b"")


def test_the_server_asks_for_the_credentials():
    with serving(endpoint(username="prometheus", password="s3cret")) as server:
        assert fetch(server, "/metrics")[0] == 401
        assert fetch(server, "/metrics", headers=basic("prometheus", "s3cret"))[0] == 200


def test_a_taken_port_is_an_error_of_start():
    with serving(endpoint()) as server:
        second = Server(endpoint(), "127.0.0.1", server.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()
        assert fetch(server, "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "256.0.0.1", "no such host"])
def test_an_address_that_is_not_ours_is_an_error_of_start(host):
    with pytest.raises(OSError, match=r".+"):
        Server(endpoint(), host, 0).start()


def test_after_stop_nothing_listens_and_the_port_is_free():
    server = Server(endpoint(), "127.0.0.1", 0)
    server.start()
    port = server.port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    again = Server(endpoint(), "127.0.0.1", port)
    again.start()
    assert fetch(again, "/healthz")[0] == 200
    again.stop()


def test_start_and_stop_can_be_repeated():
    server = Server(endpoint(), "127.0.0.1", 0)
    server.stop()
    server.start()
    port = server.port
    server.start()
    assert server.port == port
    server.stop()
    server.stop()
    server.start()
    assert fetch(server, "/healthz")[0] == 200
    server.stop()


def test_stop_does_not_wait_for_a_request_that_hangs():
    hanging, release = threading.Event(), threading.Event()

    def health():
        hanging.set()
        release.wait()
        return HEALTHY

    server = Server(endpoint(health=health), "127.0.0.1", 0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        hanging.wait()
        server.stop()
        release.set()
        assert client.recv(100).startswith(b"HTTP/1.0 200")


def test_a_silent_client_does_not_keep_others_waiting():
    with serving(endpoint()) as server, socket.create_connection(("127.0.0.1", server.port)):
        assert fetch(server, "/healthz")[0] == 200


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.0\r\nAccept"])
def test_a_client_that_falls_silent_is_cut_off(monkeypatch, sent):
    monkeypatch.setattr(server, "TIMEOUT", 0.05)
    monkeypatch.setattr(server._RequestHandler, "timeout", 0.05)
    with serving(endpoint()) as running, socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(sent)
        assert client.recv(1) == b""


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00", b"nonsense\r\n\r\n", b"GET " + b"x" * 70_000 + b"\r\n\r\n", b""])
def test_a_broken_request_is_logged_only_at_debug_level(capfd, caplog, sent):
    with serving(endpoint()) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )  # ends in a reset
            client.sendall(sent)
        assert fetch(server, "/healthz")[0] == 200
    assert capfd.readouterr().err == ""
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_a_client_that_goes_away_before_the_answer_leaves_no_trace(capfd):
    gone = threading.Event()

    def collect():
        gone.wait()
        family = GaugeMetricFamily("big", "Big.", labels=["number"])
        for number in range(50_000):
            family.add_metric([str(number)], number)
        return [family]

    registry = CollectorRegistry()
    registry.register(Calling(collect))
    served = endpoint(registry)
    with serving(served) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        gone.set()
        assert fetch(server, "/metrics")[0] == 200
    assert capfd.readouterr().err == ""


def test_requests_are_logged_at_debug_level(caplog):
    caplog.set_level(logging.DEBUG, "otel_ha.endpoint")
    with serving(endpoint()) as server:
        fetch(server, "/healthz", headers=basic("prometheus", "s3cret"))
        wait_for(lambda: "GET /healthz" in caplog.text)
    assert "s3cret" not in caplog.text
    assert base64.b64encode(b"prometheus:s3cret").decode() not in caplog.text


def test_a_forked_child_closes_its_copy_and_the_parent_keeps_serving():
    with serving(endpoint()) as server:
        pid = fork_and_run(lambda: (server.after_fork_in_child(), server.stop()))
        assert os.waitpid(pid, 0)[1] == 0
        assert fetch(server, "/healthz")[0] == 200
        port = server.port
    again = Server(endpoint(), "127.0.0.1", port)
    again.start()
    again.stop()


def test_a_server_can_be_stopped_in_a_forked_child_without_a_fork_hook():
    with serving(endpoint()) as server:
        pid = fork_and_run(server.stop)
        assert os.waitpid(pid, 0)[1] == 0


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


# TLS


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> SimpleNamespace:
    """A certificate authority, a server's certificate for localhost and a client's, as files."""
    folder: Path = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    made = SimpleNamespace(ca=folder / "ca.pem", folder=folder)
    ca.cert_pem.write_to_path(made.ca)
    for name, identity in (("server", "127.0.0.1"), ("client", "prometheus.example")):
        issued = ca.issue_cert(identity)
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-both.pem")
        setattr(made, name, certificate)
        setattr(made, f"{name}_key", key)
    return made


def trusting(pem: SimpleNamespace) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pem.ca)


def test_with_a_certificate_it_speaks_tls(registry, pem):
    with serving(endpoint(registry), certificate=pem.server, key=pem.server_key) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        status, _, body = fetch(server, "/metrics", context=trusting(pem))
    assert status == 200
    assert b"event_total{" in body


def test_one_file_can_hold_key_and_certificate(pem):
    with serving(endpoint(), certificate=str(pem.folder / "server-both.pem")) as server:
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200


def test_the_end_of_a_tls_answer_is_marked(pem):
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key) as server,
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        trusting(pem).wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        while client.recv(1000):
            pass  # an unmarked end raises SSLEOFError


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_older_than_1_2_is_refused(pem):
    old = trusting(pem)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        fetch(server, "/healthz", context=old)


def test_a_client_with_a_certificate_of_the_authority_is_let_in(pem):
    context = trusting(pem)
    context.load_cert_chain(pem.client, pem.client_key)
    with serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server:
        assert fetch(server, "/healthz", context=context)[0] == 200


def test_a_client_without_a_certificate_is_kept_out(pem):
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)),
    ):
        fetch(server, "/healthz", context=trusting(pem))


def test_a_client_with_a_certificate_of_another_authority_is_kept_out(pem, tmp_path):
    context = trusting(pem)
    trustme.CA().issue_cert("prometheus.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "other.pem")
    context.load_cert_chain(tmp_path / "other.pem")
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)),
    ):
        fetch(server, "/healthz", context=context)


def test_a_client_that_never_shakes_hands_does_not_keep_others_waiting(pem):
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), certificate=pem.server, key=pem.server_key))
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200


def test_plain_http_to_a_tls_port_leaves_no_trace(pem, capfd):
    with serving(endpoint(), certificate=pem.server, key=pem.server_key) as server:
        with pytest.raises((http.client.HTTPException, OSError)):
            fetch(server, "/healthz")
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200
    assert capfd.readouterr().err == ""


def test_a_missing_certificate_is_an_error_of_start(pem):
    with pytest.raises(OSError, match="No such file"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.folder / "none.pem", key=pem.server_key).start()


def test_a_key_of_another_certificate_is_an_error_of_start(pem):
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.server, key=pem.client_key).start()


def test_an_encrypted_key_is_an_error_of_start(pem, tmp_path):
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = serialization.load_pem_private_key(pem.server_key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"phrase"),
    )
    (tmp_path / "encrypted.key").write_bytes(encrypted)
    with pytest.raises(OSError, match=r".+"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.server, key=tmp_path / "encrypted.key").start()
