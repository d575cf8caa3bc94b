"""Many clients at once, slow ones above all: places, deadlines, and connections that give way."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily

from otel_ha.serve import server as server_module
from otel_ha.serve.connections import Connection
from otel_ha.serve.server import Server
from tests.certificates import trusting
from tests.unit.endpoint.conftest import (
    HEALTHY,
    Calling,
    basic,
    descriptors,
    endpoint,
    fetch,
    fork_and_run,
    serving,
    wait_for,
)


@contextmanager
def dripping(port: int, clients: int, *, again: bool) -> Iterator[None]:
    """Hold connections that send a byte now and then; `again`: open a new one for each that the server ends."""
    ended = threading.Event()

    def connected() -> socket.socket:
        client = socket.socket()
        client.settimeout(0)
        client.connect_ex(("127.0.0.1", port))
        return client

    def drip() -> None:
        while not ended.wait(0.05):
            for number, client in enumerate(held):
                try:
                    client.send(b"G")
                    gone = client.recv(100) == b""
                except BlockingIOError:
                    gone = False
                except OSError:
                    gone = True
                if gone and again:
                    client.close()
                    held[number] = connected()

    held = [connected() for _ in range(clients)]
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for client in held:
            client.close()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("with_tls", [False, True])
def test_a_scrape_succeeds_while_500_clients_drip_and_the_service_keeps_its_descriptors(pem, again, with_tls):
    settings = {"certificate": str(pem.server), "key": str(pem.server_key)} if with_tls else {}
    command = [sys.executable, "-m", "tests.unit.endpoint.limited", json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        server = Server(endpoint(), "127.0.0.1", port)
        with dripping(port, 500, again=again):
            for _ in range(3):
                context = trusting(pem) if with_tls else None
                assert fetch(server, "/metrics", headers=basic("a", "b"), context=context)[0] == 200
        most = json.loads(process.communicate("\n")[0])
    assert most["failures"] == 0
    assert most["threads"] <= 32 + 4
    assert most["descriptors"] <= 32 + 12


def test_connections_that_never_shake_hands_give_way(pem):
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(endpoint(), certificate=pem.server, key=pem.server_key, connections=2, timeout=60)
        )
        for sent in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01") * 3:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(sent)
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200


def test_clients_that_keep_a_finished_connection_open_give_way():
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), connections=2, timeout=60))
        for _ in range(10):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert fetch(server, "/healthz")[0] == 200


def test_a_finished_connection_gives_way_before_one_whose_request_is_incomplete():
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), connections=2, timeout=60))
        slow, finished = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(2)
        )
        slow.sendall(b"GET /healthz HTTP/1.0\r\n")
        finished.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert finished.recv(1000)
        assert fetch(server, "/healthz")[0] == 200
        slow.sendall(b"\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.0 200")


def test_the_connection_that_has_been_incomplete_for_longest_gives_way():
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), connections=2, timeout=60))
        first, second = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(2)
        )
        time.sleep(0.3)
        assert fetch(server, "/healthz")[0] == 200
        assert first.recv(1000).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert first.recv(1) == b""
        second.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert second.recv(1000).startswith(b"HTTP/1.0 200")


def test_a_request_that_has_arrived_is_answered_even_if_its_thread_was_too_busy_to_read_it(monkeypatch):
    reading, receive, give_way, gave_way = threading.Event(), Connection.receive, Connection.give_way, threading.Event()
    monkeypatch.setattr(Connection, "receive", lambda self: reading.wait(20) and receive(self))
    monkeypatch.setattr(Connection, "give_way", lambda self: (give_way(self), gave_way.set()))
    with serving(endpoint(), connections=1) as server, ExitStack() as stack:
        first, second = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(2)
        )
        for client in (first, second):
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert gave_way.wait(20)
        reading.set()
        for client in (first, second):
            assert client.recv(1000).startswith(b"HTTP/1.0 200")


def test_a_connection_that_is_being_answered_does_not_give_way():
    inside, release = threading.Event(), threading.Event()

    def health():
        if not inside.is_set():
            inside.set()
            release.wait(20)
        return HEALTHY

    with (
        serving(endpoint(health=health), connections=2, timeout=60) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as answered,
    ):
        answered.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        inside.wait(10)
        with dripping(server.port, 20, again=True):
            assert fetch(server, "/healthz")[0] == 200
        release.set()
        assert answered.recv(1000).startswith(b"HTTP/1.0 200")


def test_more_clients_at_once_than_places_are_all_answered():
    statuses = []
    with serving(endpoint(), connections=3) as server:
        clients = [threading.Thread(target=lambda: statuses.append(fetch(server, "/metrics")[0])) for _ in range(100)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert statuses == [200] * 100


def test_a_request_that_drips_ends_at_the_deadline():
    with (
        serving(endpoint(), timeout=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=0.05) as client,
    ):
        for _ in range(400):
            try:
                client.sendall(b"G")
                assert client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                pass
            break
        else:
            pytest.fail("the connection is still open")


def big() -> CollectorRegistry:
    registry = CollectorRegistry()
    family = GaugeMetricFamily("big", "Big.", labels=["number"])
    for number in range(1000):
        family.add_metric([str(number) * 5000], number)
    registry.register(Calling(lambda: [family]))
    return registry


def reads_nothing(_: socket.socket) -> None:
    """Leave the response unread."""


def drips(client: socket.socket) -> None:
    with suppress(OSError):
        while client.recv(1):
            time.sleep(0.02)


@pytest.mark.parametrize("reading", [reads_nothing, drips])
def test_a_response_that_is_not_read_ends_at_the_deadline(reading: Callable[[socket.socket], None]):
    with serving(endpoint(big()), connections=1, timeout=1) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(1)
        reader = threading.Thread(target=reading, args=(client,), daemon=True)
        reader.start()
        assert fetch(server, "/healthz")[0] == 200


def test_clients_that_do_not_read_their_responses_give_way():
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(big()), connections=2, timeout=60))
        clients = [stack.enter_context(socket.socket()) for _ in range(2)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(10)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert client.recv(1)
        assert fetch(server, "/healthz")[0] == 200


def test_without_new_threads_the_slow_clients_still_give_way(monkeypatch):
    with serving(endpoint(), timeout=60) as server:

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", start)
        # The one thread that waits answers each, between clients that send nothing.
        with ExitStack() as stack:
            for _ in range(500):
                client = stack.enter_context(socket.socket())
                client.settimeout(0)
                client.connect_ex(("127.0.0.1", server.port))
            for _ in range(3):
                assert fetch(server, "/healthz")[0] == 200
        monkeypatch.undo()


def test_a_page_that_ends_its_thread_costs_no_place():
    def health():
        sys.exit(1)

    with serving(endpoint(health=health), connections=1) as server:
        for _ in range(3):
            with pytest.raises(http.client.RemoteDisconnected):
                fetch(server, "/healthz")
        assert fetch(server, "/metrics")[0] == 200


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("otel-ha-endpoint")]


def test_stop_ends_unfinished_connections_and_all_threads():
    with ExitStack() as stack:
        server = Server(endpoint(), "127.0.0.1", 0, timeout=60)
        before = descriptors()
        server.start()
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(40)
        ]
        wait_for(lambda: len(ours()) == 33)
        server.stop()
        for client in clients:
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
            client.close()
        wait_for(lambda: not ours())
        wait_for(lambda: descriptors() <= before)


def test_after_a_crowd_only_two_threads_remain():
    with serving(endpoint()) as server:
        with dripping(server.port, 40, again=False):
            wait_for(lambda: len(ours()) == 33)
        wait_for(lambda: len(ours()) == 2)


def test_stop_in_a_signal_handler_does_not_wait_for_itself():
    server = Server(endpoint(), "127.0.0.1", 0)
    previous = signal.signal(signal.SIGALRM, lambda *_: server.stop())
    try:
        for number in range(30):
            server.start()
            signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 0.0001)
            for _ in range(20):
                server.stop()
                server.start()
            signal.setitimer(signal.ITIMER_REAL, 0)
            server.stop()
    finally:
        signal.signal(signal.SIGALRM, previous)
    wait_for(lambda: not ours())


def test_a_forked_child_closes_its_copies_of_the_connections():
    def in_child() -> None:
        before = descriptors()
        server.after_fork_in_child()
        assert descriptors() <= before - 3

    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), timeout=60))
        before = descriptors()
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            client.sendall(b"GET /healthz HTTP/1.0\r\n")
        # Both ends of both.
        wait_for(lambda: descriptors() == before + 4)
        # A connection that has just been accepted is not known to the server yet.
        wait_for(lambda: os.waitpid(fork_and_run(in_child), 0)[1] == 0)
        client.sendall(b"\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.0 200")


def test_the_deadline_leaves_time_to_wait_for_another_scrape():
    assert server_module.TIMEOUT > 10
