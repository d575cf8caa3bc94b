"""Speech: the first bytes that are said to a server, and what its first bytes say about it."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack, suppress
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

from otel_ha.cli.doctor.way import Way, left

__all__ = ["CLOSED", "Tongue", "heard", "speaks_other", "speaks_plain", "speaks_tls", "tongue_of"]

# Source: RFC 9113, sections 3.4 and 4.1: the preface, an empty SETTINGS frame, and the header of a frame.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME: Final = 9
_SETTINGS, _GOAWAY = 4, 7
_ALERT: Final = b"\x15\x03"
"""The first bytes of an alert of TLS."""
_ENOUGH: Final = 512


CLOSED: Final = "see the Collector's log; a proxy or a load balancer in between may have no Collector behind it"
"""The remedy for a server that ends the connection without an answer."""


class Tongue(StrEnum):
    """The protocol that a server's first bytes belong to."""

    HTTP_1 = "HTTP/1"
    HTTP_2 = "HTTP/2"
    TLS = "TLS"
    NOTHING = "nothing"
    OTHER = "another protocol"


def heard(way: Way, sock: socket.socket, deadline: float, *, as_grpc: bool | None = None) -> bytes:
    """Say the first words of the configured protocol, and return the first bytes of the answer, empty if it is none.

    `as_grpc` chooses the protocol instead.

    Raises TimeoutError if there is none in time, and SSLError if TLS refuses only now, as it does without a client's
    certificate.
    """
    received = b""
    try:
        sock.settimeout(left(deadline))
        sock.sendall(_PREFACE if (way.is_grpc if as_grpc is None else as_grpc) else _request(way))
        while len(received) < _ENOUGH and not _is_enough(received):
            sock.settimeout(left(deadline))
            if not (piece := sock.recv(_ENOUGH)):
                break
            received += piece
    except (ConnectionError, ssl.SSLEOFError):
        pass  # the server has said all that it wants to say
    except TimeoutError:
        if not received:
            raise
    return received


def tongue_of(received: bytes) -> Tongue:
    """Return the protocol that the first bytes of an answer belong to."""
    if not received:
        return Tongue.NOTHING
    if received.startswith(b"HTTP/1"):
        return Tongue.HTTP_1
    if len(received) >= _FRAME and received[3] in {_SETTINGS, _GOAWAY} and not any(received[5:_FRAME]):
        return Tongue.HTTP_2
    return Tongue.TLS if received.startswith(_ALERT) else Tongue.OTHER


def speaks_tls(way: Way) -> bool:
    """Whether the server, which does not answer plain text, shakes hands by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing secret is sent
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        suppress(OSError),
        way.connected(way.places[0], time.monotonic() + way.limit) as sock,
        context.wrap_socket(sock, server_hostname=way.address.host if way.address else None),
    ):
        return True
    return False


def speaks_plain(way: Way) -> bool:
    """Whether the server, which does not shake hands by TLS, answers the configured protocol in plain text."""
    deadline = time.monotonic() + way.limit
    with suppress(OSError), way.connected(way.places[0], deadline) as sock:
        return tongue_of(heard(way, sock, deadline)) in {Tongue.HTTP_1, Tongue.HTTP_2}
    return False


def speaks_other(way: Way) -> bool:
    """Whether the server, which does not answer the configured protocol, answers the other one of the two."""
    deadline = time.monotonic() + way.limit
    with suppress(OSError), ExitStack() as opened:
        sock = opened.enter_context(way.connected(way.places[0], deadline))
        if way.context is not None:
            way.context.set_alpn_protocols(["http/1.1"] if way.is_grpc else ["h2"])
            host = way.address.host if way.address else None
            sock = opened.enter_context(way.context.wrap_socket(sock, server_hostname=host))
        expected = Tongue.HTTP_1 if way.is_grpc else Tongue.HTTP_2
        return tongue_of(heard(way, sock, deadline, as_grpc=not way.is_grpc)) is expected
    return False


def _is_enough(received: bytes) -> bool:
    return tongue_of(received) not in {Tongue.NOTHING, Tongue.OTHER} and (
        not received.startswith(b"HTTP/") or b"\n" in received
    )


def _request(way: Way) -> bytes:
    """Return a request that changes nothing; the answer's status does not matter."""
    path = quote(urlsplit(way.otlp.url).path or "/", safe="/%:@!$&'()*+,;=~")
    return f"HEAD {path} HTTP/1.1\r\nHost: {way.address}\r\nConnection: close\r\n\r\n".encode("ascii", "replace")
