"""HTTP requests to the endpoint: each is answered or its connection is closed, and the next valid one is answered."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st

from otel_ha import Telemetry, setup_telemetry
from otel_ha.serve.server import Server
from otel_ha.vocabulary import ingest
from tests.fuzz.budget import Fuzz
from tests.fuzz.instruments import CATALOG, CONFIG

METHODS = ["GET", "HEAD", "POST", "OPTIONS", "PRI", "get", "", "G" * 70_000, "GET\x00", "CONNECT", "\x16\x03\x01"]
TARGETS = [
    *(
        "/",
        "/metrics",
        "/summary",
        "/healthz",
        "/health",
        "/ready",
        "/page.css",
        "/page.js",
        "/charts.css",
        "//metrics/",
    ),
    *("*", "", "/%", "/%00", "/%ff%fe", "/../../etc/passwd", "/metrics?name[]=a&name[]=%ff", "/metrics?" + "&" * 2000),
    *(
        "http://127.0.0.1/metrics",
        "http://evil/metrics",
        "http://[::1/",
        "/metrics#x",
        "/é",
        "/a b",
        "/" + "x" * 70_000,
    ),
    *("/metrics?name[]=homeassistant_event_received_total", "/?theme=<script>", "/summary?x=" + "%0d%0a" * 9),
]
VERSIONS = [
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/1.999999999999",
    "HTTP/x",
    "",
    "http/1.1",
    "HTTP/1.1 x",
]
NAMES = [
    *("Host", "host", "Accept", "Accept-Encoding", "Authorization", "Content-Length", "Transfer-Encoding", "Expect"),
    *("Connection", "User-Agent", "If-None-Match", "Range", "Upgrade", "X-\x00", "", " ", "Host ", "é", "X" * 5000),
]
VALUES = [
    *(
        "127.0.0.1",
        "localhost:9464",
        "evil.example",
        "[::1]",
        "[::1",
        "a b",
        "",
        "*",
        "127.0.0.1:99999999",
        "x" * 70_000,
    ),
    *("text/html", "text/plain;version=0.0.4;q=nan", "application/openmetrics-text;version=1.0.0,*/*;q=0.1", ",,,;;q="),
    *(
        "application/openmetrics-text;version=abc;escaping=allow-utf-8",
        "*/*;q=0",
        "gzip;q=1,identity;q=0",
        "gzip;q=inf",
    ),
    *(
        "Basic",
        "Basic !!!",
        "Basic dXNlcjo=",
        "Bearer x",
        "-1",
        "99999999999999999999",
        "chunked",
        "100-continue",
        "é\udc80",
    ),
    *("otel-ha/1", "close", "keep-alive", "websocket", "bytes=0-", "q=" + "9" * 5000, "text/html;q=1e400", "\x00\x7f"),
]
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20)), max_size=6)
ENDS = st.sampled_from(["\r\n", "\n", "\r", "\n\r", "\r\n ", "\x00"])
BODIES = st.sampled_from(
    [b"", b"x" * 10, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\r\n" * 50, bytes(range(256))]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return the bytes of a request by the grammar, some parts of which are broken, and perhaps cut or turned over."""
    end = draw(st.just("\r\n") | ENDS)
    line = " ".join([draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS))])
    colon = draw(st.just(": ") | st.sampled_from([":", " : ", "", "\x00"]))
    lines = [line, *(f"{name}{colon}{value}" for name, value in draw(HEADERS))]
    if draw(st.booleans()):
        lines.insert(1, "Host: 127.0.0.1")
    head = f"{end.join(lines)}{end}{end}".encode(
        "utf-8", "surrogateescape" if "\udc80" in "".join(lines) else "replace"
    )
    whole = head + draw(BODIES)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 3)) == 0 else whole


RAW = requests() | st.binary(max_size=100)
ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [ -~]+\r\n(?:[!-9;-~]+: [ -~]*\r\n)*\r\n")


@pytest.fixture
def running() -> Iterator[Telemetry]:
    """Telemetry that has something to show."""
    with setup_telemetry("fuzz", config=CONFIG, catalog=CATALOG) as telemetry:
        ingest.EVENT.record(0.1, source="mqtt")
        yield telemetry


@pytest.fixture
def server(running: Telemetry) -> Iterator[Server]:
    """The endpoint in its own server."""
    server = Server(running._endpoint._endpoint, "127.0.0.1", 0, connections=8, timeout=60.0)
    server.start()
    yield server
    server.stop()


def asked(port: int, request: bytes) -> bytes:
    """Send a request, close the sending side, and return all that comes back."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, suppress(ConnectionError):
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65_536):
            received += piece
    return bytes(received)


def check_answer(answer: bytes) -> None:
    """Check that an answer is HTTP, and that exactly one came."""
    if not answer:
        return
    head = ANSWER.match(answer)
    assert head, answer[:300]
    assert 200 <= int(head[1]) < 600
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head[0])
    if length:
        assert len(answer) - head.end() in {0, int(length[1])}


def test_requests_to_the_server(fuzz: Fuzz, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def check(request: bytes) -> None:
        check_answer(asked(server.port, request))
        good = asked(server.port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert good.startswith(b"HTTP/1.1 200 OK\r\n"), good[:300]
        assert not [each for each in caplog.records if each.exc_info or each.levelno >= logging.WARNING]

    fuzz(check, RAW, most=25)


SCOPES = st.fixed_dictionaries(
    {
        "method": st.sampled_from(METHODS),
        "path": st.sampled_from(TARGETS) | st.text(max_size=20),
        "root_path": st.sampled_from(["", "/", "/metrics", "/a b", "//x", "/é", "http://x", "/\udc80"]),
        "query_string": st.binary(max_size=30) | st.sampled_from([b"name[]=%ff", b"&" * 500, b"name[]=" * 200]),
        "headers": st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=3)
        | st.lists(
            st.tuples(
                st.sampled_from(["accept", "host", "authorization", "accept-encoding"]), st.sampled_from(VALUES)
            ).map(lambda pair: (pair[0].encode(), pair[1].encode("utf-8", "surrogateescape"))),
            max_size=3,
        ),
    }
)


def test_requests_to_the_asgi_application(fuzz: Fuzz, running: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(scope: dict[str, Any]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(dict(message))

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        await running.asgi_app({"type": "http", **scope}, receive, send)
        return sent

    def check(scope: dict[str, Any]) -> None:
        start, body = asyncio.run(ask(scope))
        assert 200 <= start["status"] < 500, (start, body)
        assert all(b"\n" not in name + value and b"\r" not in name + value for name, value in start["headers"])
        assert isinstance(body["body"], bytes)
        assert not [each for each in caplog.records if each.exc_info or each.levelno >= logging.WARNING]

    fuzz(check, SCOPES)


def test_requests_to_the_wsgi_application(fuzz: Fuzz, running: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    def check(scope: dict[str, Any]) -> None:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started.append((status, headers))

        headers = {
            f"HTTP_{k.decode('latin-1').upper().replace('-', '_')}": v.decode("latin-1") for k, v in scope["headers"]
        }
        environ = {
            "REQUEST_METHOD": scope["method"],
            "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
            "SCRIPT_NAME": scope["root_path"].encode("utf-8", "surrogateescape").decode("latin-1"),
            "QUERY_STRING": scope["query_string"].decode("latin-1"),
            **headers,
        }
        body = b"".join(running.wsgi_app(environ, start))
        ((status, answered),) = started
        assert re.fullmatch(r"[2-4]\d\d [ -~]+", status), (status, body)
        assert all("\n" not in name + value and "\r" not in name + value for name, value in answered)
        assert not [each for each in caplog.records if each.exc_info or each.levelno >= logging.WARNING]

    fuzz(check, SCOPES.filter(lambda scope: "\ud800" not in ascii(scope["path"])))
