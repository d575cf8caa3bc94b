"""An OTLP server by HTTP that follows a script: requests meet its behaviours in turn, until it recovers."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from tests.receivers import HOST, Receiver, Reply, Request, answer
from tests.servers.running import free_ports

Moment = Literal["never", "full", "connection", "headers", "request"]
_BACKLOG = 64


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of a server by HTTP: its reply, and the moment of a connection at which it comes.

    A moment is an open `connection`, the `headers` of a request, or the whole `request`, which the server `stores` or
    not. A server that `never` accepts refuses connections; one whose queue of connections is `full` ignores them, as a
    black hole does.
    """

    reply: Reply
    moment: Moment = "request"
    stores: bool = False


_NORMAL = Behaviour(
    lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), stores=True
)


@dataclass
class ScriptedServer(Receiver):
    """A server by HTTP: `requests` are those that it stored, `met` counts those that met a behaviour.

    It answers over TLS with `context`, if there is one.
    """

    context: ssl.SSLContext | None = None
    met: int = 0
    _script: deque[Behaviour] = field(default_factory=deque)
    _open: set[socket.socket] = field(default_factory=set)
    _held: list[socket.socket] = field(default_factory=list)
    """The listening socket, and the connections that fill its queue."""

    def fail(self, *behaviours: Behaviour) -> None:
        """Behave like this until recover(): a request each, in turn."""
        self._script = deque(behaviours)
        moment = behaviours[0].moment
        if moment in {"never", "full", "connection"}:
            self._close_all(self._open)
        if moment in {"never", "full"}:
            self._stop_listening()
        if moment == "full":
            self._listen(backlog=0)

    def recover(self) -> None:
        """Store every request from now on."""
        script, self._script = self._script, deque()
        if script and script[0].moment in {"never", "full"}:
            self._stop_listening()
            self.start()

    def start(self) -> None:
        """Accept connections."""
        listener = self._listen(_BACKLOG)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """End, with all connections."""
        self.ended.set()
        self._stop_listening()
        self._close_all(self._open)

    def _listen(self, backlog: int) -> socket.socket:
        listener = socket.create_server((HOST, self.port), backlog=backlog)
        self._held = [listener]
        while backlog == 0 and len(self._held) < _BACKLOG:
            filling = socket.socket()
            self._held.append(filling)
            filling.settimeout(0.2)
            try:
                filling.connect((HOST, self.port))
            except TimeoutError:  # the queue is full
                break
        return listener

    def _stop_listening(self) -> None:
        self._close_all(self._held)
        self._held = []

    @staticmethod
    def _close_all(sockets: set[socket.socket] | list[socket.socket]) -> None:
        for each in list(sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError, IndexError), connection:
            script = self._script
            if script and script[0].moment == "connection":
                self._next(script).reply(connection, self.ended)
            elif self.context is None:
                self._converse(connection)
            else:
                with self.context.wrap_socket(connection, server_side=True) as encrypted:
                    self._converse(encrypted)

    def _converse(self, connection: socket.socket) -> None:
        """Serve the requests of a connection until a behaviour ends it."""
        self._open.add(connection)
        try:
            with connection.makefile("rb") as stream:
                while self._is_served(connection, stream):
                    pass
        finally:
            self._open.discard(connection)

    def _is_served(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Serve a request; return whether the connection stays open."""
        line = stream.readline()
        headers = dict(_headers(stream))
        if not line:
            return False
        script = self._script
        if script and script[0].moment == "connection":  # this connection has been opened before
            return False
        behaviour = self._next(script) if script else _NORMAL
        if behaviour.moment != "headers":
            request = Request(line.split()[1].decode(), headers, stream.read(int(headers.get("content-length", 0))))
            if behaviour.stores:
                self.requests.append(request)
        behaviour.reply(connection, self.ended)
        return behaviour is _NORMAL

    def _next(self, script: deque[Behaviour]) -> Behaviour:
        self.met += 1
        script.rotate(-1)
        return script[-1]


def _headers(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        yield name.lower(), value.strip()


@contextmanager
def scripted(context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A server by HTTP on a port that it keeps when it stops listening."""
    [port] = free_ports(1)
    server = ScriptedServer(port, tls=context is not None, context=context)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def reset(connection: socket.socket, _: threading.Event) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def after(head: bytes, then: Reply) -> Reply:
    """Reply with these bytes, and then like `then`."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        then(connection, ended)

    return reply


def over(context: ssl.SSLContext) -> Reply:
    """Begin TLS with `context`, in which a client should not trust."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            answer()(encrypted, ended)

    return reply
