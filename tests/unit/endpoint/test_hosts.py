"""The names under which the endpoint answers, and other rules of HTTP, on real sockets."""

import socket
from wsgiref.simple_server import make_server

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.unit.endpoint.conftest import endpoint, header, in_thread, serving
from tests.unit.endpoint.test_asgi import uvicorn_serving

SETTING = b"OTEL_HA_ENDPOINT_ALLOWED_HOSTS"


def sent(port: int, request: bytes, host: str = "127.0.0.1") -> tuple[int, bytes, bytes]:
    """Send bytes and return status, head and body of the response."""
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(request)
        received = b""
        while piece := client.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


def asked(port: int, named: str, target: str = "/healthz") -> tuple[int, bytes, bytes]:
    return sent(port, f"GET {target} HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n".encode())


OF_THIS_MACHINE = [
    "localhost",
    "LocalHost",
    "localhost.",
    "localhost:9464",
    "localhost.:9464",
    "localhost:",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.8.9.10",
    "[::1]",
    "[::1]:9464",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "host.docker.internal",
    "HOST.containers.internal.:80",
]
OTHERS = [
    "evil.example",
    "evil.example:9464",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "128.0.0.1",
    "0.0.0.0",
    "[::]",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "xlocalhost",
    "localhost..",
    "",
]
INVALID = ["evil.example/localhost", "user@localhost", "localhost:port", "a b", "[::1", "[localhost]", "localhost,evil"]


@pytest.mark.parametrize("named", OF_THIS_MACHINE)
def test_a_server_on_loopback_answers_to_the_names_of_this_machine(named):
    with serving(endpoint()) as server:
        assert asked(server.port, named)[0] == 200
        assert asked(server.port, "evil.example", f"http://{named}/healthz")[0] == 200


@pytest.mark.parametrize("named", OTHERS)
def test_a_server_on_loopback_refuses_other_names_and_names_the_setting(named):
    with serving(endpoint(username="a", password="b")) as server:
        for status, _, body in (
            asked(server.port, named),
            asked(server.port, "localhost", f"http://{named}/metrics"),
        ):
            assert status == 421
            assert SETTING in body
            assert body.count(b"\n") == 1


@pytest.mark.parametrize("named", INVALID)
def test_a_host_that_is_not_valid_is_a_bad_request(named):
    with serving(endpoint()) as server:
        assert asked(server.port, named)[0] == 400


def test_a_server_on_loopback_answers_to_the_names_of_the_setting():
    with serving(endpoint(), allowed_hosts=["metrics.example", "10.0.0.1", "fd00::1"]) as server:
        for named in ("metrics.example", "Metrics.Example.:443", "10.0.0.1", "[fd00::1]:1", "localhost"):
            assert asked(server.port, named)[0] == 200
        assert asked(server.port, "x.metrics.example")[0] == 421


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_every_loopback_address_is_protected(host):
    with serving(endpoint(), host) as server:
        request = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        assert sent(server.port, request, host)[0] == 421


def test_a_server_on_another_address_answers_to_every_name():
    with serving(endpoint(), "0.0.0.0") as server:
        for named in ("evil.example", "localhost", "[fe80::1%25eth0]:9464", ""):
            assert asked(server.port, named)[0] == 200
        assert asked(server.port, "a b")[0] == 400


def test_on_another_address_the_setting_restricts_the_names():
    with serving(endpoint(), "0.0.0.0", allowed_hosts=["metrics.example"]) as server:
        assert asked(server.port, "metrics.example")[0] == 200
        assert asked(server.port, "evil.example")[0] == 421


HEADS = [
    (b"HTTP/1.1\r\n", 400),
    (b"HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
    (b"HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n", 400),
    (b"HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n", 400),
    (b"HTTP/1.0\r\n", 200),
    (b"HTTP/1.0\r\nHost: evil.example\r\n", 421),
    (b"HTTP/2.0\r\nHost: localhost\r\n", 505),
    (b"HTTP/0.9\r\nHost: localhost\r\n", 400),
    (b"HTTP/1.1 x\r\nHost: localhost\r\n", 400),
    (b"HTTP/1.1\r\nHost : localhost\r\n", 400),
    (b"HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n", 200),
    (b"HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200, 431),
    (b"HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000 + b"\r\n", 431),
]


@pytest.mark.parametrize(("rest", "status"), HEADS)
@pytest.mark.parametrize("target", ["/", "http://localhost/"])
def test_the_head_of_a_request_decides_the_status_and_head_has_no_body(rest, status, target):
    # The authority of a whole URL counts.
    expected = 200 if status == 421 and target != "/" else status
    with serving(endpoint()) as server:
        got, _, body = sent(server.port, f"GET {target} ".encode() + rest + b"\r\n")
        assert (got, bool(body)) == (expected, True)
        got, head, body = sent(server.port, f"HEAD {target} ".encode() + rest + b"\r\n")
        assert (got, body) == (expected, b"")
        assert b"\r\nContent-Length: " in head


def test_a_request_line_that_is_too_long_has_a_status_of_its_own():
    with serving(endpoint()) as server:
        assert sent(server.port, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n")[0] == 414
        assert sent(server.port, b"HEAD /" + b"x" * 70_000)[::2] == (414, b"")


@pytest.mark.parametrize(
    ("method", "path", "credentials", "status"),
    [("HEAD", "/nothing", (None, None), 404), ("HEAD", "/", ("a", "b"), 401), ("HEAD", "/healthz", (None, None), 500)],
)
def test_head_never_has_a_body(method, path, credentials, status):
    def broken():
        raise RuntimeError

    response = endpoint(health=broken, username=credentials[0], password=credentials[1]).respond(method, path, {})
    assert (response.status, response.body) == (status, b"")
    assert int(header(response, "Content-Length")) > 0


@pytest.mark.parametrize("target", ["http://localhost", "HTTP://LOCALHOST?x", "http://[::1]:9464/", "//", "/?a#b"])
def test_a_target_may_be_a_whole_url(target):
    with serving(endpoint()) as server:
        assert b"healthz" in asked(server.port, "localhost", target)[2]


def test_bytes_after_a_request_do_not_lose_its_response():
    with serving(endpoint()) as server:
        for garbage in (b"\x00\xff" * 100_000, b"GET / HTTP/1.1\r\n\r\n" * 1000, b"POST / HTTP/1.1\r\n" + b"a" * 10):
            status, head, body = sent(server.port, b"\r\n\nGET / HTTP/1.1\nHost: localhost\n\n" + garbage)
            assert status == 200
            assert b"Connection: close" in head
            assert body.endswith(b"JSON\n")


def test_mounted_in_another_server_every_name_is_answered_until_the_setting_restricts_them():
    for names, status in ((), 200), (("metrics.example",), 421):
        served = endpoint(allowed_hosts=names)
        for app in (served.asgi_app, Starlette(routes=[Mount("/", app=served.asgi_app)])):
            with uvicorn_serving(app) as server:
                assert asked(server.port, "evil.example")[0] == status
                assert asked(server.port, "localhost")[0] == status
                assert asked(server.port, "Metrics.Example.:80")[0] == 200
        with make_server("127.0.0.1", 0, served.wsgi_app) as server, in_thread(server):
            assert asked(server.server_port, "evil.example")[0] == status
            assert asked(server.server_port, "metrics.example:1")[0] == 200
            assert sent(server.server_port, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")[::2] == (status, b"")


def test_two_hosts_are_refused_when_mounted_with_the_setting():
    with uvicorn_serving(endpoint(allowed_hosts=["a"]).asgi_app) as server:
        request = b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert sent(server.port, request)[0] == 400
