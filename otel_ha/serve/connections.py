"""Connections: a limited number of places for clients, and the threads that serve them.

Anybody who reaches the port can open connections and send nothing, or a byte now and then, long before a password is
asked for. So there are few places, each connection has a deadline for its request and its response, and if all places
are taken, a client that has been waited for makes room for a new one.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_logger = logging.getLogger("otel_ha.endpoint")

GRACE = 0.1
"""Seconds for which a connection is safe from giving way: a client sends its request at once."""

GRACE_TO_READ = 1.0
"""Seconds for which it is safe while the client reads the response."""

_LEAST_GRACE = 0.01
_PIECE = 65_536
# Seconds after which the state is looked at again in any case.
_PAUSE = 0.5

# The states of a connection, in the order in which they give way; while the response is made, it does not.
ANSWERED, REQUESTING, SENDING, ANSWERING = range(4)


class Connection:
    """The connection of a client, which has to be over within `seconds`; only the thread that serves it does I/O."""

    def __init__(self, connected: socket.socket, client: Any, seconds: float) -> None:
        self.socket = connected
        self.client = client
        self.state = REQUESTING
        self.since = time.monotonic()
        """The time at which the state began."""
        self.is_cut = False
        """Whether it was cut or had to give way in this state."""
        self._deadline = self.since + seconds

    def receive(self) -> bytes:
        """Return the next bytes; nothing at the end. Raises OSError, also when the time is over."""
        self.limit()
        return self.socket.recv(_PIECE)

    def send(self, data: bytes) -> None:
        """Send everything. Raises OSError, also when the time is over."""
        view = memoryview(data)
        while view:
            self.limit()
            view = view[self.socket.send(view[:_PIECE]) :]

    def limit(self, seconds: float | None = None) -> None:
        """Give the next operation of the socket the rest of the time; with `seconds`, no more than those remain."""
        now = time.monotonic()
        if seconds is not None:
            self._deadline = min(self._deadline, now + seconds)
        if now >= self._deadline:
            raise TimeoutError
        self.socket.settimeout(self._deadline - now)

    def cut(self) -> None:
        """End the connection from another thread, which wakes the thread that serves it."""
        self._shut(socket.SHUT_RDWR)

    def give_way(self) -> None:
        """Stop reading from the client, from another thread; a request that has arrived can still be answered."""
        self._shut(socket.SHUT_RD)

    def _shut(self, how: int) -> None:
        self.is_cut = True
        # Not SSLSocket.shutdown(), which changes what the other thread is using.
        with suppress(OSError):
            socket.socket.shutdown(self.socket, how)


class Connections:
    """Serves connections, at most `most` at once, each with `serve` in a thread.

    One thread waits for the next connection, because a process whose main thread has ended may be unable to start
    threads; there are then as many places as threads. stop() may be called in a signal handler.
    """

    def __init__(self, most: int, serve: Callable[[Connection, Connections], None]) -> None:
        self._most = most
        self._serve = serve
        # With a lock that its own thread can take again, as a signal handler may do.
        self._changed = threading.Condition(threading.RLock())
        self._taken: set[Connection] = set()
        self._waiting: deque[Connection] = deque()
        self._idle = 0
        self._stopped = False

    def start(self) -> None:
        """Start the thread that waits."""
        with self._changed:
            self._start_thread()

    def make_room(self) -> None:
        """Wait until there is a free place; if there is none, make a connection give way. Ends at once after stop()."""
        with self._changed:
            while not self._stopped and not self._has_room():
                self._changed.wait(self._give_way())

    def add(self, connection: Connection) -> None:
        """Serve a connection, for which make_room() has made room."""
        with self._changed:
            if self._stopped:
                connection.socket.close()
                return
            self._taken.add(connection)
            self._waiting.append(connection)
            self._changed.notify_all()

    def enter(self, connection: Connection, state: int) -> None:
        """Note the state of a connection. Raises OSError if it is about to be answered after stop()."""
        with self._changed:
            if self._stopped and state == ANSWERING:
                raise ConnectionAbortedError
            connection.state, connection.since, connection.is_cut = state, time.monotonic(), False
            self._changed.notify_all()

    def stop(self) -> None:
        """End the threads and the connections, except those that are being answered; does not wait."""
        with self._changed:
            self._stopped = True
            for connection in self._taken:
                if connection.state not in {ANSWERING, SENDING}:
                    connection.cut()
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Close a forked child's copies of the connections; the lock may be held by a thread that is gone."""
        for connection in list(self._taken):
            connection.socket.close()

    def _has_room(self) -> bool:
        if len(self._taken) >= self._most:
            return False
        return self._idle > len(self._waiting) or self._start_thread()

    def _give_way(self) -> float:
        """Let the connection give way that is the first to do so; return the seconds until looking again.

        On a busy machine its request may have arrived before its thread could read it: then it is answered.
        """
        candidates = [one for one in self._taken if one.state != ANSWERING and not one.is_cut]
        if not candidates:
            return _PAUSE
        first = min(candidates, key=lambda one: (one.state, one.since))
        # With few threads instead of `most`, each place changes more often, or a flood would last too long.
        grace = GRACE_TO_READ if first.state == SENDING else GRACE
        safe_for = first.since + max(_LEAST_GRACE, grace * len(self._taken) / self._most) - time.monotonic()
        if safe_for > 0:
            return safe_for
        _logger.debug("connection from %s gives way to another", first.client)
        if first.state == SENDING:
            first.cut()
        else:
            first.give_way()
        return _PAUSE

    def _start_thread(self) -> bool:
        """Start a thread, which counts as idle; return whether Python could."""
        try:
            threading.Thread(target=self._work, name="otel-ha-endpoint-worker", daemon=True).start()
        except RuntimeError:
            return False
        self._idle += 1
        return True

    def _work(self) -> None:
        while (connection := self._next()) is not None:
            try:
                self._serve(connection, self)
            except BaseException as error:  # noqa: BLE001 - clients cause them, and the thread is needed
                _logger.debug("connection from %s ended early: %r", connection.client, error)
            finally:
                self._leave(connection)

    def _next(self) -> Connection | None:
        """Return the next connection; None if this thread should end."""
        with self._changed:
            while not self._waiting:
                if self._stopped or self._idle > 1:
                    self._idle -= 1
                    return None
                self._changed.wait()
            self._idle -= 1
            return self._waiting.popleft()

    def _leave(self, connection: Connection) -> None:
        with self._changed:
            self._taken.discard(connection)
            # Within the lock, so that cut() never reaches another file of the same number.
            connection.socket.close()
            self._idle += 1
            self._changed.notify_all()
