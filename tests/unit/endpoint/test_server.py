"""The endpoint in its own server."""

import base64
import gzip
import logging
import os
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily

from otel_ha.serve.server import Server
from tests.unit.endpoint.conftest import HEALTHY, Calling, basic, endpoint, fetch, fork_and_run, serving, wait_for


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


def test_the_server_requires_the_credentials():
    with serving(endpoint(username="prometheus", password="s3cret")) as server:
        assert fetch(server, "/metrics")[0] == 401
        assert fetch(server, "/metrics", headers=basic("prometheus", "s3cret"))[0] == 200


def test_start_raises_if_the_port_is_in_use():
    with serving(endpoint()) as server:
        second = Server(endpoint(), "127.0.0.1", server.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()
        assert fetch(server, "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "256.0.0.1", "no such host"])
def test_start_raises_for_an_address_of_another_host(host):
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
def test_a_client_that_falls_silent_is_disconnected(sent):
    with serving(endpoint(), timeout=0.05) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
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


def test_a_client_that_disconnects_before_the_response_is_not_reported(capfd):
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
