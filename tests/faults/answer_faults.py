"""Faults of a receiver by HTTP that answers: with a status, in part, slowly, without end, or as another service."""

from __future__ import annotations

import time
from dataclasses import replace
from email.utils import formatdate

from tests.faults.fault import Fault, at, partial, refused
from tests.faults.otlp_server import Behaviour, after, reset
from tests.receivers import DRIPPING, ENDLESS, HOST, OK_CHUNKED, answer, hanging_up, silent

STATUSES = {
    f"status {status[:3]}": refused(status, row)
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
    f"{status[:3]} with {name}": refused(status, _SOON, Retry_After=value)
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
    f"{status[:3]} to {name}": refused(status, _REDIRECT, Location=to)
    for status, name, to in (
        ("301 Moved Permanently", "another host", "http://elsewhere.invalid:4318/v1/metrics"),
        ("302 Found", "a file", "file:///etc/passwd"),
        ("307 Temporary Redirect", "itself", "/v1/metrics"),
        ("308 Permanent Redirect", "nowhere", ""),
    )
} | {
    "307 without a Location": refused("307 Temporary Redirect", _REDIRECT),
    "307 from https to http": replace(
        refused("307 Temporary Redirect", _REDIRECT, Location=f"http://{HOST}:1/v1/metrics"), tls=True
    ),
}

_REJECTED = "Partial success: 3 data points rejected"
PARTIAL = {
    "rejected points": Fault(
        _REJECTED, [Behaviour(answer(body=partial(3, "too old")))], "rejected 3 data points: too old"
    ),
    "rejected points without a reason": Fault(
        _REJECTED, [Behaviour(answer(body=partial(3, "")))], "rejected 3 data points: no reason given"
    ),
    "a message only": Fault(
        "Partial success with a message only",
        [Behaviour(answer(body=partial(0, "deprecated")), stores=True)],
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

_LARGE = "Endless answer (body, header, chunks, provisional answers), gzip bomb"
_FALSE = "Answer that is not HTTP, or whose length is false"
_FOREIGN = "200 with a body that is not an answer of OTLP"
BODIES = {
    **{name: Fault(_LARGE, [Behaviour(reply)], "failed: ") for name, reply in ENDLESS.items()},
    "a length that is too long": at(
        "request", after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", hanging_up), _FALSE, "failed: "
    ),
    "a length that is absurd": at(
        "request",
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", hanging_up),
        _FALSE,
        "failed: ",
    ),
    "two lengths": at(
        "request",
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", hanging_up),
        _FALSE,
        "failed: ",
    ),
    "a chunk of a false size": at(
        "request", after(OK_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", hanging_up), _FALSE, "failed: "
    ),
    "no HTTP": at("request", after(b"SSH-2.0-OpenSSH_9.2p1\r\n", hanging_up), _FALSE, "failed: "),
    "binary": at("request", after(bytes(range(256)), hanging_up), _FALSE, "failed: "),
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

ANSWERS = {**STATUSES, **PAUSES, **REDIRECTS, **PARTIAL, **SLOW, **BODIES, **SUCCESSES, **CHANGING}
