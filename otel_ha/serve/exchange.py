"""Exchange: one HTTP request of a client and its response (RFC 9112).

There is one request per connection: a connection that waits for a next one would take a place and a thread, and
scrapes are seconds apart.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Protocol
from urllib.parse import unquote

from otel_ha.serve.adapters import Response, joined, plain
from otel_ha.serve.connections import ANSWERED, ANSWERING, SENDING, Connection, Connections
from otel_ha.serve.hosts import Hosts

_logger = logging.getLogger("otel_ha.endpoint")

LONGEST_HEAD = 65_536
"""Bytes of a request line and its headers."""

_LONGEST_LOGGED = 200
# Seconds in which a client closes the connection after a response.
_LINGER = 2.0
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TOO_LATE = plain(HTTPStatus.REQUEST_TIMEOUT, "The request was not complete in time, and other clients wait.")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Application(Protocol):
    """An object that can be served."""

    def respond(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Response:
        """Return the response to a request; never raises."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Serves a connection: reads a request, and writes the response of `application` if `hosts` allow it."""

    application: Application
    hosts: Hosts

    def serve(self, connection: Connection, connections: Connections) -> None:
        """Serve a connection. Raises OSError if it is broken or too slow."""
        if isinstance(connection.socket, ssl.SSLSocket):
            connection.limit()
            connection.socket.do_handshake()
        head = _read_head(connection)
        if not head:
            if connection.is_cut:
                connection.send(_encoded(_TOO_LATE.to("GET"), "HTTP/1.1"))
            return
        connections.enter(connection, ANSWERING)
        response = self._answer(connection, head)
        connections.enter(connection, SENDING)
        connection.send(response)
        connections.enter(connection, ANSWERED)
        _finish(connection)

    def _answer(self, connection: Connection, head: bytes) -> bytes:
        """Return the bytes of the response to a request."""
        request = _Request(head)
        if request.refusal is not None:
            response = request.refusal.to("HEAD" if head.startswith(b"HEAD ") else "GET")
            return _encoded(response, request.request_version)
        method, target = request.command, _Target.of(request.path)
        refusal = self._refusal(request, target)
        if refusal is not None:
            response = refusal.to(method)
        else:
            response = self.application.respond(method, target.path, joined(request.headers.items()), target.query)
        # Without the query, which may hold a secret.
        asked = f"{method} {target.path}"[:_LONGEST_LOGGED]
        _logger.debug("%s: %r %d", connection.client, asked, response.status)
        return _encoded(response, request.request_version)

    def _refusal(self, request: _Request, target: _Target) -> Response | None:
        hosts = request.headers.get_all("Host", [])
        if len(hosts) > 1 or (not hosts and request.request_version != "HTTP/1.0"):
            return plain(HTTPStatus.BAD_REQUEST, "A request has exactly one header Host.")
        named = hosts[0].strip() if hosts else None
        return self.hosts.refusal(named if target.authority is None else target.authority)


class _Request(BaseHTTPRequestHandler):
    """The request that a head contains, read by the standard library."""

    def __init__(self, head: bytes) -> None:
        self.refusal: Response | None = None
        self.rfile = BytesIO(head)
        self.raw_requestline = self.rfile.readline(LONGEST_HEAD + 1)
        self.request_version = "HTTP/1.1"
        if not _END_OF_HEAD.search(head):
            is_line = b"\n" in head
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_line else HTTPStatus.REQUEST_URI_TOO_LONG)
        elif not self.parse_request() or not self.request_version.startswith("HTTP/1."):
            self.send_error(HTTPStatus.BAD_REQUEST)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - as in BaseHTTPRequestHandler
        """Note the response to a request that cannot be read."""
        if self.refusal is None:
            status = HTTPStatus(code)
            self.refusal = plain(status, f"{status.phrase}.")

    def handle_expect_100(self) -> bool:
        """Do not ask for the body of a request: no page reads one."""
        return True


@dataclass(frozen=True, slots=True)
class _Target:
    """The target of a request: a path with a query, or a whole URL, whose authority counts instead of Host."""

    authority: str | None
    path: str
    query: str

    @classmethod
    def of(cls, target: str) -> _Target:
        found = _ABSOLUTE.fullmatch(target)
        authority, rest = found.groups() if found else (None, target)
        path, _, query = rest.partition("#")[0].partition("?")
        return cls(authority, unquote(path), query)


def _read_head(connection: Connection) -> bytes:
    """Return a request line and headers, or LONGEST_HEAD bytes without an end; nothing if the client gives up."""
    head = b""
    while len(head) < LONGEST_HEAD:
        received = connection.receive()
        if not received:
            return b""
        # Empty lines may precede a request.
        searched = max(0, len(head) - 3)
        head = (head + received).lstrip(b"\r\n") if searched == 0 else head + received
        if found := _END_OF_HEAD.search(head, searched):
            return head[: found.end()]
    return head


def _encoded(response: Response, version: str) -> bytes:
    status = HTTPStatus(response.status)
    lines = [
        f"{'HTTP/1.0' if version == 'HTTP/1.0' else 'HTTP/1.1'} {status.value} {status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Server: otel-ha",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    return b"".join([*(f"{line}\r\n".encode("latin-1") for line in lines), b"\r\n", response.body])


def _finish(connection: Connection) -> None:
    """Mark the response as complete, and wait until the client has closed the connection.

    Closing while bytes of the client are unread would reset the connection, and the client could lose the response.
    """
    with suppress(OSError):
        connection.limit(_LINGER)
        if isinstance(connection.socket, ssl.SSLSocket):
            with suppress(ssl.SSLError):
                connection.socket.unwrap()
        socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        connection.limit()
        while socket.socket.recv(connection.socket, LONGEST_HEAD) and not connection.is_cut:
            connection.limit()
