"""Server: a small built-in HTTP server for the endpoint, with TLS."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from otel_ha.config.hosts import host_name, is_loopback
from otel_ha.serve.connections import Connection, Connections
from otel_ha.serve.exchange import Application, Exchange
from otel_ha.serve.hosts import Hosts

_logger = logging.getLogger("otel_ha.endpoint")

CONNECTIONS = 32
"""Connections at once."""

TIMEOUT = 20.0
"""Seconds for a whole request and its response: a scrape may wait 10 s for the previous one."""

_QUIET = 60.0
"""Seconds from the end of a lack of descriptors to the next log line about one."""

# Connections that the system keeps until there is a place: more than a flood of slow clients opens at once.
_BACKLOG = 1024


class Server:
    """Serves `endpoint` at `host` and `port` (0: any free one), from start() to stop().

    With `certificate` (and `key`, unless the same file holds it) it speaks TLS 1.2 or later; with `client_ca`, it
    requires clients to have a certificate of that authority. All three are paths of PEM files. At most `connections`
    are served at once, and each is over after `timeout` seconds. On loopback, only names of this machine and
    `allowed_hosts` may be in a request's Host; elsewhere only `allowed_hosts`, or every name if that is empty.
    """

    def __init__(
        self,
        endpoint: Application,
        host: str,
        port: int,
        *,
        certificate: Path | str | None = None,
        key: Path | str | None = None,
        client_ca: Path | str | None = None,
        allowed_hosts: Collection[str] = (),
        connections: int = CONNECTIONS,
        timeout: float = TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._allowed_hosts = allowed_hosts
        self._connections = connections
        self._timeout = timeout
        self._listener: _Listener | None = None

    @property
    def port(self) -> int:
        """The port; before start(), the requested one."""
        return self._port if self._listener is None else self._listener.port

    @property
    def url(self) -> str:
        """The address without a path, for example http://127.0.0.1:9464."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._certificate else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Listen and serve; may be repeated.

        Raises OSError if the address is in use or wrong, or a certificate, key or CA is unusable.
        """
        if self._listener is not None:
            return
        context = _tls_context(self._certificate, self._key, self._client_ca) if self._certificate else None
        listening = _listening(self._host, self._port)
        try:
            address = str(listening.getsockname()[0]).partition("%")[0]
            local = is_loopback(host_name(f"[{address}]" if ":" in address else address))
            exchange = Exchange(self._endpoint, Hosts(self._allowed_hosts, local=local))
            self._listener = _Listener(listening, exchange, context, self._connections, self._timeout)
            self._listener.start()
        except BaseException:
            listening.close()
            self._listener = None
            raise

    def stop(self) -> None:
        """Stop listening immediately, without waiting for running requests; may be repeated."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def after_fork_in_child(self) -> None:
        """Close a forked child's copy of the listening socket; the parent continues to use it."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.after_fork_in_child()


def _tls_context(certificate: Path | str, key: Path | str | None, client_ca: Path | str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # With an empty password, an encrypted key is an error; without one, OpenSSL would ask at the terminal.
    context.load_cert_chain(certificate, key, password="")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError for an address that is in use or wrong."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # For a port whose last connections are ending; elsewhere, it would let others listen at the same port.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        # A client may be gone before it is accepted.
        listening.settimeout(0)
    except OSError:
        listening.close()
        raise
    return listening


class _Listener:
    """The thread that accepts connections; others answer them."""

    # Seconds after which it checks whether to stop, on platforms where stop() cannot wake it.
    _pause = 0.5

    def __init__(
        self,
        listening: socket.socket,
        exchange: Exchange,
        context: ssl.SSLContext | None,
        connections: int,
        timeout: float,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self._socket = listening
        self._context = context
        self._timeout = timeout
        self._connections = Connections(connections, exchange.serve)
        self._process = os.getpid()
        self._is_stopping = False
        self._lack = Lack(self.port)
        self._thread = threading.Thread(target=self._accept_all, name="otel-ha-endpoint", daemon=True)

    def start(self) -> None:
        """Accept connections in a thread."""
        self._connections.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting, and close the socket."""
        if os.getpid() != self._process:
            self.after_fork_in_child()
            return
        self._is_stopping = True
        # On Linux this wakes the thread.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connections.stop()
        with suppress(RuntimeError):  # a signal has interrupted start()
            self._thread.join(2 * self._pause)
        self._socket.close()

    def after_fork_in_child(self) -> None:
        """Close a forked child's copies of the sockets, which the parent continues to use."""
        self._socket.close()
        self._connections.after_fork_in_child()

    def _accept_all(self) -> None:
        with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
            with suppress(ValueError):  # stopped already
                selector.register(self._socket, selectors.EVENT_READ)
            while not self._is_stopping:
                if selector.select(self._pause):
                    # Room first: a connection that is not accepted yet costs no file descriptor.
                    self._connections.make_room()
                    self._accept()

    def _accept(self) -> None:
        try:
            connected, client = self._socket.accept()
        except (BlockingIOError, ConnectionError):  # the client is gone
            return
        except OSError as error:  # for example for lack of file descriptors
            if not self._is_stopping:
                self._lack.began(error)
                time.sleep(0.1)
            return
        self._lack.ended()
        try:
            connected.settimeout(None)
            if self._context is not None:
                connected = self._context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            connected.close()
            _logger.debug("connection from %s ended early: %r", client, error)
            return
        self._connections.add(Connection(connected, client, self._timeout))


class Lack:
    """One log line when the process lacks what a connection needs, and one when it no longer does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_told = False
        self._not_before = 0.0

    def began(self, error: OSError) -> None:
        """Note that a connection could not be accepted."""
        if self._is_told or time.monotonic() < self._not_before:
            return
        self._is_told = True
        with suppress(Exception):  # a handler of the program that raises must not end the thread that accepts
            _logger.warning(
                "the endpoint cannot accept connections at port %s: %s; trying again, and logging when it works "
                "(find the files that the program leaves open, or raise `ulimit -n`)",
                self._port,
                error.strerror or error,
            )

    def ended(self) -> None:
        """Note that a connection was accepted."""
        if self._is_told:
            self._is_told = False
            self._not_before = time.monotonic() + _QUIET
            with suppress(Exception):
                _logger.warning("the endpoint accepts connections at port %s again", self._port)
