"""Faults of a connection: refused, reset, ignored, to a wrong peer, or to a name that cannot be looked up."""

from __future__ import annotations

import datetime as dt
import ssl

import trustme

from tests.faults.fault import AUTHORITY, Fault, at
from tests.faults.otlp_server import after, over, reset
from tests.faults.resolving import FAILS, HANGS
from tests.receivers import HOST, hanging_up, silent

_CLOSED = "Connection reset or closed: at once, in mid-request, before or in the answer"
CLOSED = {
    "reset at once": at("connection", reset, _CLOSED, "failed: "),
    "closed at once": at("connection", hanging_up, _CLOSED, "failed: "),
    "reset in the middle of the request": at("headers", reset, _CLOSED, "failed: "),
    "reset after the request": at("request", reset, _CLOSED, "failed: "),
    "closed after the request": at("request", hanging_up, _CLOSED, "failed: "),
    "reset after the headers": at(
        "request", after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", reset), _CLOSED, "failed: "
    ),
    "closed in the headers": at("request", after(b"HTTP/1.1 200 OK\r\nConte", hanging_up), _CLOSED, "failed: "),
    "reset in the headers": at("request", after(b"HTTP/1.1 200 OK\r\nConte", reset), _CLOSED, "failed: "),
    "refused": at("never", reset, "Connection refused", "Connection refused"),
    "black hole": at(
        "full",
        silent,
        "Black hole: no connection comes about",
        "failed: (no connection|the response did not end) within",
    ),
}


def _context(authority: trustme.CA, *names: str, not_after: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


def trusted() -> ssl.SSLContext:
    """The context of a server that the measured program trusts."""
    return _context(AUTHORITY, HOST)


def _plain(connection: object, _: object) -> None:
    connection.recv(1)  # type: ignore[attr-defined]  # a socket
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nhttps, please")  # type: ignore[attr-defined]


_PEER = "TLS by a wrong peer (not trusted, expired, another host)"
_LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
PEERS = {
    "not trusted": at("connection", over(_context(trustme.CA(), HOST)), _PEER, "CERTIFICATE_VERIFY_FAILED", tls=True),
    "expired": at(
        "connection", over(_context(AUTHORITY, HOST, not_after=_LONG_AGO)), _PEER, "certificate has expired", tls=True
    ),
    "another host": at(
        "connection", over(_context(AUTHORITY, "elsewhere.invalid")), _PEER, "certificate is not valid for", tls=True
    ),
    "plain HTTP at a port of TLS": at(
        "connection", _plain, "Plain HTTP at a port of TLS, and the reverse", "http:// in place of https://", tls=True
    ),
    "TLS at a plain port": at(
        "connection", over(trusted()), "Plain HTTP at a port of TLS, and the reverse", "failed: "
    ),
}

NAMES = {
    "a name that is unknown": Fault("DNS failure", [FAILS], r"failed: \[Errno -\d\]|failed: .*resolve", by_name=True),
    "a resolver that hangs": Fault("Resolver that hangs", [HANGS], "failed: the response did not end", by_name=True),
}

CONNECTIONS = {**CLOSED, **PEERS, **NAMES}
