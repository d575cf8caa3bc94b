"""The faults of a receiver of OTLP, by HTTP and by gRPC: its behaviour, and what the log says of it."""

from __future__ import annotations

import datetime as dt
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate

import grpc
import trustme
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.faults.otlp_server import Behaviour, Refusal, after, over, reset
from tests.faults.resolving import FAILS, HANGS
from tests.receivers import DRIPPING, ENDLESS, HOST, OK_CHUNKED, Reply, answer, hanging_up, silent

AUTHORITY = trustme.CA()
"""The authority that the measured program trusts."""


@dataclass(frozen=True)
class Fault:
    """A fault: its row in the table, the behaviour of the receiver, and words of the log (a regular expression).

    If it `pauses`, the receiver asks for a pause that is longer than the test, so that only the last push comes in
    time. Without words, nothing is logged: the receiver stores everything. If it is found `by_name`, the behaviour is
    that of the resolver.
    """

    row: str
    behaviours: Sequence[Behaviour | Refusal | str]
    says: str
    pauses: bool = False
    by_grpc: bool = False
    tls: bool = False
    by_name: bool = False


def _refused(status: str, row: str, **headers: str) -> Fault:
    """The fault of a receiver that answers every push with a status."""
    reply = answer(status, b"not today", **headers)
    return Fault(row, [Behaviour(reply)], f"failed: {status}")


def _at(moment: str, reply: Reply, row: str, says: str, **more: bool) -> Fault:
    return Fault(row, [Behaviour(reply, moment)], says, **more)  # type: ignore[arg-type]  # one of the moments


def _partial(rejected: int, message: str) -> bytes:
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


STATUSES = {
    f"status {status[:3]}": _refused(status, row)
    for row, statuses in {
        "400, 401, 404, 413": ("400 Bad Request", "401 Unauthorized", "404 Not Found", "413 Content Too Large"),
        "500": ("500 Internal Server Error",),
        "429 or 503 without Retry-After; 502, 504": (
            "429 Too Many Requests",
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Timeout",
        ),
    }.items()
    for status in statuses
}

_LIMITED, _BUSY = "429 Too Many Requests", "503 Service Unavailable"
_SOON = "429 or 503 with a short Retry-After (seconds, a date, negative, not a time)"
_LATE = "429 or 503 with a Retry-After of hours, or absurd"
PAUSES = {
    f"{status[:3]} with {name}": _refused(status, _SOON, Retry_After=value)
    for status, name, value in (
        (_LIMITED, "a second", "1"),
        (_BUSY, "a date that is past", formatdate(time.time() - 3600, usegmt=True)),
        (_BUSY, "a negative pause", "-5"),
        (_LIMITED, "a hostile text", "'; DROP TABLE metrics; --\x1b[2J"),
        (_LIMITED, "not a number", "nan"),
        (_BUSY, "no time", ""),
    )
} | {
    f"{status[:3]} with {name}": Fault(
        _LATE,
        [Behaviour(answer(status, b"not today", Retry_After=value))],
        rf"failed: {status}.*no push for the next 300 s|last push to .* failed: {status}",
        pauses=True,
    )
    for status, name, value in (
        (_LIMITED, "two hours", "7200"),
        (_BUSY, "a date in two hours", formatdate(time.time() + 7200, usegmt=True)),
        (_BUSY, "an absurd number", "9" * 300),
        (_LIMITED, "infinity", "inf"),
    )
}

_REDIRECT = "301, 302, 307, 308 (to another host, to itself, to http, without Location)"
REDIRECTS = {
    f"{status[:3]} to {name}": _refused(status, _REDIRECT, Location=to)
    for status, name, to in (
        ("301 Moved Permanently", "another host", "http://elsewhere.invalid:4318/v1/metrics"),
        ("302 Found", "a file", "file:///etc/passwd"),
        ("307 Temporary Redirect", "itself", "/v1/metrics"),
        ("308 Permanent Redirect", "nowhere", ""),
    )
} | {
    "307 without a Location": _refused("307 Temporary Redirect", _REDIRECT),
    "307 from https to http": replace(
        _refused("307 Temporary Redirect", _REDIRECT, Location=f"http://{HOST}:1/v1/metrics"), tls=True
    ),
}

_REJECTED = "Partial success: 3 data points rejected"
PARTIAL = {
    "rejected points": Fault(
        _REJECTED, [Behaviour(answer(body=_partial(3, "too old")))], "rejected 3 data points: too old"
    ),
    "rejected points without a reason": Fault(
        _REJECTED, [Behaviour(answer(body=_partial(3, "")))], "rejected 3 data points: no reason given"
    ),
    "a message only": Fault(
        "Partial success with a message only",
        [Behaviour(answer(body=_partial(0, "deprecated")), stores=True)],
        "accepted a push with a warning: deprecated",
    ),
}

_DRIPS = "Answer byte by byte (status, header, body, chunks, redirect)"
SLOW = {
    "no answer": Fault("Receiver that hangs", [Behaviour(silent)], "no response within"),
    "half of the headers": Fault(
        "Receiver that hangs after half of its headers",
        [Behaviour(after(b"HTTP/1.1 200 OK\r\nContent-Ty", silent))],
        "failed: ",
    ),
    "headers without a body": Fault(
        "Receiver that hangs after its headers",
        [Behaviour(after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", silent))],
        "failed: ",
    ),
    "100 Continue, then nothing": Fault(
        "100 Continue without an answer",
        [Behaviour(after(b"HTTP/1.1 100 Continue\r\n\r\n", silent))],
        "failed: ",
    ),
    **{name: Fault(_DRIPS, [Behaviour(reply)], "failed: ") for name, reply in DRIPPING.items() if reply is not silent},
}

_CLOSED = "Connection reset or closed: at once, in mid-request, before or in the answer"
CLOSED = {
    "reset at once": _at("connection", reset, _CLOSED, "failed: "),
    "closed at once": _at("connection", hanging_up, _CLOSED, "failed: "),
    "reset in the middle of the request": _at("headers", reset, _CLOSED, "failed: "),
    "reset after the request": _at("request", reset, _CLOSED, "failed: "),
    "closed after the request": _at("request", hanging_up, _CLOSED, "failed: "),
    "reset after the headers": _at(
        "request", after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", reset), _CLOSED, "failed: "
    ),
    "closed in the headers": _at("request", after(b"HTTP/1.1 200 OK\r\nConte", hanging_up), _CLOSED, "failed: "),
    "reset in the headers": _at("request", after(b"HTTP/1.1 200 OK\r\nConte", reset), _CLOSED, "failed: "),
    "refused": _at("never", reset, "Connection refused", "Connection refused"),
    "black hole": _at(
        "full",
        silent,
        "Black hole: no connection comes about",
        "failed: (no connection|the response did not end) within",
    ),
}

_LARGE = "Endless answer (body, header, chunks, provisional answers), gzip bomb"
_FALSE = "Answer that is not HTTP, or whose length is false"
_FOREIGN = "200 with a body that is not an answer of OTLP"
BODIES = {
    **{name: Fault(_LARGE, [Behaviour(reply)], "failed: ") for name, reply in ENDLESS.items()},
    "a length that is too long": _at(
        "request", after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", hanging_up), _FALSE, "failed: "
    ),
    "a length that is absurd": _at(
        "request",
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", hanging_up),
        _FALSE,
        "failed: ",
    ),
    "two lengths": _at(
        "request",
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", hanging_up),
        _FALSE,
        "failed: ",
    ),
    "a chunk of a false size": _at(
        "request", after(OK_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", hanging_up), _FALSE, "failed: "
    ),
    "no HTTP": _at("request", after(b"SSH-2.0-OpenSSH_9.2p1\r\n", hanging_up), _FALSE, "failed: "),
    "binary": _at("request", after(bytes(range(256)), hanging_up), _FALSE, "failed: "),
    "invalid protobuf": Fault(
        _FOREIGN,
        [Behaviour(answer(body=b"\xff\xff\xff", Content_Type="application/x-protobuf"))],
        "not an answer of OTLP",
    ),
    "a page": Fault(
        _FOREIGN,
        [Behaviour(answer(body=b"<html>Welcome</html>", Content_Type="text/html"))],
        "not an answer of OTLP.*Welcome",
    ),
    "JSON of another service": Fault(
        _FOREIGN, [Behaviour(answer(body=b'{"ok": true}', Content_Type="application/json"))], "not an answer of OTLP"
    ),
    "the answer of another signal's type": Fault(
        _FOREIGN, [Behaviour(answer(body=b"\x08\x0e", Content_Type="application/x-protobuf"))], "not an answer of OTLP"
    ),
}

_STORED = "Success without a body (200, 204), or with 100 Continue before it"
SUCCESSES = {
    "an empty 200": Fault(_STORED, [Behaviour(answer(), stores=True)], ""),
    "a 204": Fault(_STORED, [Behaviour(answer("204 No Content"), stores=True)], ""),
    "an empty page": Fault(_STORED, [Behaviour(answer(Content_Type="text/html"), stores=True)], ""),
    "100 Continue first": Fault(
        _STORED, [Behaviour(after(b"HTTP/1.1 100 Continue\r\n\r\n", answer()), stores=True)], ""
    ),
}

CHANGING = {
    "another fault each time": Fault(
        "Another fault at every push",
        [Behaviour(answer("503 Service Unavailable")), Behaviour(reset), Behaviour(answer("400 Bad Request"))],
        "failed: ",
    )
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
    "not trusted": _at("connection", over(_context(trustme.CA(), HOST)), _PEER, "CERTIFICATE_VERIFY_FAILED", tls=True),
    "expired": _at(
        "connection", over(_context(AUTHORITY, HOST, not_after=_LONG_AGO)), _PEER, "certificate has expired", tls=True
    ),
    "another host": _at(
        "connection", over(_context(AUTHORITY, "elsewhere.invalid")), _PEER, "certificate is not valid for", tls=True
    ),
    "plain HTTP at a port of TLS": _at(
        "connection", _plain, "Plain HTTP at a port of TLS, and the reverse", "http:// in place of https://", tls=True
    ),
    "TLS at a plain port": _at(
        "connection", over(trusted()), "Plain HTTP at a port of TLS, and the reverse", "failed: "
    ),
}


def _aborted(code: grpc.StatusCode, *metadata: tuple[str, bytes]) -> Refusal:
    def refuse(context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(metadata)
        context.abort(code, "not today")

    return refuse


def _retry_info(seconds: int) -> tuple[str, bytes]:
    info = RetryInfo()
    info.retry_delay.seconds = seconds
    return "google.rpc.retryinfo-bin", info.SerializeToString()


def _hang(context: grpc.ServicerContext) -> bytes:
    while context.is_active():
        time.sleep(0.02)
    return b""


def _by_grpc(row: str, behaviour: Behaviour | Refusal, says: str, **more: bool) -> Fault:
    return Fault(f"gRPC: {row}", [behaviour], says, by_grpc=True, **more)


_CODE = grpc.StatusCode
_LATER = "UNAVAILABLE, RESOURCE_EXHAUSTED (without RetryInfo, with a short or a negative one)"
_NEVER = "UNAUTHENTICATED, INVALID_ARGUMENT, UNIMPLEMENTED, INTERNAL"
_BROKEN = "connection refused or reset; port of HTTP/1.1"
_SILENT = "receiver that hangs, before or after it accepts; black hole"
GRPC = {
    **{
        f"gRPC {code.name}": _by_grpc(row, _aborted(code), f"failed: {code.name}")
        for row, codes in {
            _LATER: (_CODE.UNAVAILABLE, _CODE.RESOURCE_EXHAUSTED),
            _NEVER: (_CODE.UNAUTHENTICATED, _CODE.INVALID_ARGUMENT, _CODE.UNIMPLEMENTED, _CODE.INTERNAL),
        }.items()
        for code in codes
    },
    **{
        f"gRPC with {name} RetryInfo": _by_grpc(
            _LATER, _aborted(_CODE.RESOURCE_EXHAUSTED, _retry_info(seconds)), f"RetryInfo: {max(seconds, 0)} s"
        )
        for name, seconds in {"a short": 1, "a negative": -5}.items()
    },
    "gRPC with a RetryInfo of hours": _by_grpc(
        "UNAVAILABLE with a RetryInfo of hours",
        _aborted(_CODE.UNAVAILABLE, _retry_info(7200)),
        "no push for the next 300 s",
        pauses=True,
    ),
    "gRPC rejected points": _by_grpc(
        "partial success: 3 data points rejected", lambda _: _partial(3, "too old"), "rejected 3 data points"
    ),
    "gRPC another answer": _by_grpc(
        "OK with an answer of another service", lambda _: b"\x12\x07Welcome", "not an answer of OTLP"
    ),
    "gRPC no answer": _by_grpc(_SILENT, _hang, "DEADLINE_EXCEEDED"),
    "gRPC silent connection": _by_grpc(_SILENT, Behaviour(silent, "connection"), "failed: "),
    "gRPC black hole": _by_grpc(_SILENT, Behaviour(silent, "full"), "failed: "),
    "gRPC refused": _by_grpc(_BROKEN, Behaviour(reset, "never"), "UNAVAILABLE"),
    "gRPC reset": _by_grpc(_BROKEN, Behaviour(reset, "connection"), "UNAVAILABLE"),
    "gRPC no gRPC": _by_grpc(_BROKEN, Behaviour(answer(), "connection"), "UNAVAILABLE"),
}

NAMES = {
    "a name that is unknown": Fault("DNS failure", [FAILS], r"failed: \[Errno -\d\]|failed: .*resolve", by_name=True),
    "a resolver that hangs": Fault("Resolver that hangs", [HANGS], "failed: the response did not end", by_name=True),
}

FAULTS: dict[str, Fault] = {
    **STATUSES,
    **PAUSES,
    **REDIRECTS,
    **PARTIAL,
    **SLOW,
    **CLOSED,
    **BODIES,
    **SUCCESSES,
    **CHANGING,
    **PEERS,
    **GRPC,
    **NAMES,
}
