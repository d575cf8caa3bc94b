"""Clients that attack an HTTP server. A behaviour is the use of one connection, until it or the attack is over."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket, threading.Event], object]
"""Uses a connection until the event is set; may raise OSError, as the server may end the connection at any moment."""

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
# With a zero timeout, closing sends a reset instead of an end.
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@contextmanager
def attacking(port: int, clients: int, *behaviours: Behaviour) -> Iterator[None]:
    """Let so many clients behave in turn like this; one whose connection is over opens another one."""
    ended = threading.Event()

    def attack(behaviour: Behaviour) -> None:
        while not ended.is_set():
            with suppress(OSError), socket.socket() as client:
                # Before connecting, as it limits the window that is offered.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(0.2)
                client.connect(("127.0.0.1", port))
                behaviour(client, ended)

    threads = [
        threading.Thread(target=attack, args=(behaviours[number % len(behaviours)],)) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def answer_to(port: int, sent: bytes) -> bytes:
    """Send only this, and return everything until the server ends the connection. Raises TimeoutError."""
    found = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            with suppress(ConnectionError):  # it may refuse before it has read everything
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65_536):
                found += piece
    except TimeoutError:
        raise
    except OSError:  # the server has broken the connection
        pass
    return found


def says_nothing(client: socket.socket, ended: threading.Event) -> None:
    """Connect, and wait."""
    _until_closed(client, ended)


def drips(client: socket.socket, ended: threading.Event) -> None:
    """Send a request, a byte a second."""
    for byte in SCRAPE * 100:
        client.sendall(bytes([byte]))
        if ended.wait(1) or _is_closed(client):
            return


def reads_nothing(client: socket.socket, ended: threading.Event) -> None:
    """Ask for an answer, and leave it unread."""
    client.sendall(SCRAPE)
    while not ended.wait(0.2):
        # A failure means that the server has ended the connection; further requests are data that it does not expect.
        client.sendall(b"\n")


def reads_slowly(client: socket.socket, ended: threading.Event) -> None:
    """Read an answer, a few bytes at a time."""
    client.sendall(SCRAPE)
    while not ended.wait(0.05) and not _is_closed(client):
        pass


def keeps_an_answered_connection(client: socket.socket, ended: threading.Event) -> None:
    """Read an answer, and keep the connection open."""
    client.sendall(SCRAPE.replace(b"metrics", b"health"))
    _until_closed(client, ended)
    while not ended.wait(0.2):
        client.sendall(b"\n")


def half_closes(client: socket.socket, ended: threading.Event) -> None:
    """Ask, send nothing else, and read the answer."""
    client.sendall(SCRAPE)
    client.shutdown(socket.SHUT_WR)
    _until_closed(client, ended)


def half_closes_in_the_middle(client: socket.socket, ended: threading.Event) -> None:
    """Send half a request and then nothing more, and wait for an answer."""
    client.sendall(SCRAPE[:20])
    client.shutdown(socket.SHUT_WR)
    _until_closed(client, ended)


def resets_at_once(client: socket.socket, ended: threading.Event) -> None:
    """Connect and break the connection."""
    ended.wait(0.02)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def resets_in_the_middle_of_the_request(client: socket.socket, ended: threading.Event) -> None:
    """Break the connection when half of the request is sent."""
    client.sendall(SCRAPE[:20])
    resets_at_once(client, ended)


def resets_before_the_answer(client: socket.socket, ended: threading.Event) -> None:
    """Break the connection when the request is sent."""
    client.sendall(SCRAPE)
    resets_at_once(client, ended)


def resets_in_the_middle_of_the_answer(client: socket.socket, ended: threading.Event) -> None:
    """Break the connection at the first bytes of the answer."""
    client.sendall(SCRAPE)
    client.recv(10)
    resets_at_once(client, ended)


def _until_closed(client: socket.socket, ended: threading.Event) -> None:
    while not ended.is_set() and not _is_closed(client):
        pass


def _is_closed(client: socket.socket) -> bool:
    """Whether the server has ended the connection; reads a few bytes."""
    try:
        return client.recv(64) == b""
    except TimeoutError:
        return False
