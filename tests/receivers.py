"""Receivers of pushes that misbehave, on real sockets: endless, dripping, compressed without measure, silent."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest as LogsRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as TraceRequest

HOST = "127.0.0.1"
MIB = 1 << 20


@dataclass(frozen=True)
class Request:
    """A request that arrived: its target, its headers with names in lower case, its body."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Sent:
    """A span or a log record that arrived, with the attributes of its resource and the name of its scope."""

    resource: dict[str, object]
    scope: str
    item: Any

    @property
    def attributes(self) -> dict[str, object]:
        return _plain(self.item.attributes)


def _plain(attributes: Any) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


@dataclass
class Receiver:
    """A listening server and the requests that it got; `ended` is set when it is to stop."""

    port: int
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    def spans(self) -> list[Sent]:
        """The spans that arrived by HTTP."""
        pushed = [TraceRequest.FromString(each) for each in self.bodies("/v1/traces")]
        return [
            Sent(_plain(group.resource.attributes), scope.scope.name, span)
            for request in pushed
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def records(self) -> list[Sent]:
        """The log records that arrived by HTTP."""
        pushed = [LogsRequest.FromString(each) for each in self.bodies("/v1/logs")]
        return [
            Sent(_plain(group.resource.attributes), scope.scope.name, record)
            for request in pushed
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]

    def bodies(self, target: str) -> list[bytes]:
        """The uncompressed bodies of the requests with this target."""
        found = [each for each in list(self.requests) if each.target == target]
        return [gzip.decompress(each.body) if "content-encoding" in each.headers else each.body for each in found]

    def total(self, name: str) -> float:
        """The last values of a sum in pushes by HTTP, added up over the instances of the service."""
        last: dict[str, float] = {}
        for request in list(self.requests):
            body = gzip.decompress(request.body) if "content-encoding" in request.headers else request.body
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                metrics = (metric for scope in resource.scope_metrics for metric in scope.metrics)
                for points in (metric.sum.data_points for metric in metrics if metric.name == name):
                    last[attributes["service.instance.id"]] = sum(point.as_int or point.as_double for point in points)
        return sum(last.values())


Reply = Callable[[socket.socket, threading.Event], object]


@contextmanager
def receiving(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A server that gives each request the next reply, and the last one for good; a connection serves one request."""
    with socket.create_server((HOST, 0), backlog=64) as listener:
        receiver = Receiver(listener.getsockname()[1], tls=tls is not None)
        threading.Thread(target=_accept, args=(listener, receiver, replies, tls), daemon=True).start()
        yield receiver
        receiver.ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, receiver: Receiver, replies: tuple[Reply, ...], tls: ssl.SSLContext | None
) -> None:
    while not receiver.ended.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, receiver, replies, tls), daemon=True).start()


def _serve(
    connection: socket.socket, receiver: Receiver, replies: tuple[Reply, ...], tls: ssl.SSLContext | None
) -> None:
    with suppress(OSError):
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        elif connection.recv(1, socket.MSG_PEEK) == b"\x16":  # the hello of TLS
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()
            return
        with connection, connection.makefile("rb") as stream:
            line = stream.readline()
            if not line:
                return
            headers = dict(_headers(stream))
            body = stream.read(int(headers.get("content-length", 0)))
            receiver.requests.append(Request(line.split()[1].decode(), headers, body))
            reply = replies[min(len(receiver.requests), len(replies)) - 1]
            reply(connection, receiver.ended)


def _headers(stream: object) -> Iterator[tuple[str, str]]:
    while (line := stream.readline().strip()) != b"":  # type: ignore[attr-defined]
        name, _, value = line.decode("latin-1").partition(":")
        yield name.lower(), value.strip()


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> Reply:
    """Reply with a status line, a body and headers, whose underscores are hyphens."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{named}\r\n"
    return lambda connection, _: connection.sendall(head.encode() + body)


def late(seconds: float) -> Reply:
    """Reply with success after so many seconds."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        time.sleep(seconds)
        answer()(connection, ended)

    return reply


def endless(head: bytes, piece: bytes) -> Reply:
    """Reply with `head`, then with `piece` again and again."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        while not ended.is_set():
            connection.sendall(piece)

    return reply


def dripping(head: bytes, pause: float = 0.2, drop: bytes = b"a") -> Reply:
    """Reply with `head`, then with `drop` after each pause of so many seconds."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        while not ended.wait(pause):
            connection.sendall(drop)

    return reply


def silent(_: socket.socket, ended: threading.Event) -> None:
    """Do not reply: a black hole."""
    ended.wait()


def hanging_up(connection: socket.socket, _: threading.Event) -> None:
    """Close the connection without a reply."""
    connection.shutdown(socket.SHUT_RDWR)


OK_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(16 * MIB)) * 40
"""640 MiB of zeros, compressed to less than 1 MiB."""

ENDLESS = {
    "endless chunks": endless(OK_CHUNKED, b"100000\r\n" + bytes(MIB) + b"\r\n"),
    "an endless body": endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(MIB)),
    "an endless redirect": endless(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\n\r\n", bytes(MIB)),
    "an endless error": endless(b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(MIB)),
    "an endless chunk size": endless(OK_CHUNKED, b"0" * MIB),
    "an endless header": endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a" * MIB),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n" * 10_000),
    "endless provisional answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a gzip bomb": answer(body=BOMB, Content_Encoding="gzip"),
    "a gzip bomb in an error": answer("500 Internal Server Error", body=BOMB, Content_Encoding="gzip"),
}
DRIPPING = {
    "a dripping body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
    "dripping chunks": dripping(OK_CHUNKED, drop=b"1\r\na\r\n"),
    "a dripping header": dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\n", drop=b"X-More: 1\r\n"),
    "a dripping status": dripping(b"", drop=b"H"),
    "a dripping redirect": dripping(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: 1000000\r\n\r\n"
    ),
    "no answer": silent,
}
