"""Server: a small built-in HTTP server for the endpoint, with TLS."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
from contextlib import suppress
from io import StringIO
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_logger = logging.getLogger("otel_ha.endpoint")

TIMEOUT = 10.0
"""Seconds that a client may be silent before its connection is closed."""

_LONGEST_REQUEST_LINE = 65536


class Application(Protocol):
    """An object that can be served."""

    @property
    def wsgi_app(self) -> WSGIApplication:
        """The WSGI application."""


class Server:
    """Serves `endpoint` at `host` and `port` (0: any free one), each request in a thread, from start() to stop().

    With `certificate` (and `key`, unless the same file holds it) it speaks TLS 1.2 or later; with `client_ca`, it
    requires clients to have a certificate of that authority. All three are paths of PEM files. A client that is silent
    for `timeout` seconds is disconnected.
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
        timeout: float = TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._timeout = timeout
        self._listener: _Listener | None = None

    @property
    def port(self) -> int:
        """The port; before start(), the requested one."""
        return self._port if self._listener is None else self._listener.server_port

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
        self._listener = _Listener(self._endpoint, self._host, self._port, context, self._timeout)
        self._listener.start()

    def stop(self) -> None:
        """Stop listening immediately, without waiting for running requests; may be repeated."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def after_fork_in_child(self) -> None:
        """Close a forked child's copy of the listening socket; the parent continues to use it."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.socket.close()


def _tls_context(certificate: Path | str, key: Path | str | None, client_ca: Path | str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # With an empty password, an encrypted key is an error; without one, OpenSSL would ask at the terminal.
    context.load_cert_chain(certificate, key, password="")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Listener(ThreadingMixIn, WSGIServer):
    """A listening socket and the thread-per-request server behind it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    # Otherwise a second process could listen at the same port on some platforms.
    allow_reuse_port = False
    # Seconds after which it checks whether to stop, on platforms where stop() cannot wake it.
    timeout = 0.5

    def __init__(
        self, endpoint: Application, host: str, port: int, context: ssl.SSLContext | None, client_timeout: float
    ) -> None:
        self._context = context
        self._client_timeout = client_timeout
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__(address, _RequestHandler)  # type: ignore[arg-type]  # an IPv6 address has four parts
        self.set_app(endpoint.wsgi_app)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="otel-ha-endpoint", daemon=True)

    def start(self) -> None:
        """Serve in a thread."""
        self.socket.settimeout(self.timeout)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind, without WSGIServer's look-up of the host's name, which depends on a name server."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        self._stopping.set()
        # On Linux this wakes the thread in accept().
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(2 * self.timeout)
        self.server_close()

    def get_request(self) -> Any:
        """Accept a connection; pause after a failure, for example for lack of file descriptors."""
        try:
            return super().get_request()
        except TimeoutError:  # no client connected
            raise
        except OSError:
            self._stopping.wait(0.1)
            raise

    def _serve(self) -> None:
        # It waits in accept(); the public handle_request() would create a selector each time.
        handle = getattr(self, "_handle_request_noblock", self.handle_request)
        while not self._stopping.is_set():
            handle()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer a request, in its thread, including the TLS handshake, which a client can delay."""
        request.settimeout(self._client_timeout)
        if self._context is None:
            super().finish_request(request, client_address)
            return
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)
            # Marks the response as complete.
            connection.unwrap()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a new thread, or in this one if Python no longer starts threads, after the main thread's end."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as in BaseServer
        """Log a broken connection at debug level: clients cause them."""
        _logger.debug("connection from %s ended early: %r", client_address, sys.exc_info()[1])


class _RequestHandler(WSGIRequestHandler):
    """Answers one request; it logs instead of writing to standard error."""

    # Status and headers are five writes: without a buffer, their packets would dominate the time of a small response.
    wbufsize = -1
    server_version = "otel-ha"
    sys_version = ""

    def handle(self) -> None:
        """Answer one request like WSGIRequestHandler, but with _ResponseWriter."""
        self.raw_requestline = self.rfile.readline(_LONGEST_REQUEST_LINE + 1)
        if len(self.raw_requestline) > _LONGEST_REQUEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif self.parse_request():
            writer = _ResponseWriter(self.rfile, self.wfile, StringIO(), self.get_environ(), multithread=True)  # type: ignore[arg-type]  # typeshed requires more of a file than is used
            writer.request_handler = self  # type: ignore[attr-defined]  # wsgiref sets it in the same way
            writer.run(self.server.get_app())  # type: ignore[attr-defined]  # the server is a _Listener

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in BaseHTTPRequestHandler
        """Log at debug level."""
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug("%s %r", self.address_string(), format % args)


class _ResponseWriter(ServerHandler):
    server_software = "otel-ha"

    def log_exception(self, exc_info: tuple[type[BaseException], BaseException, TracebackType] | Any) -> None:
        """Log at debug level; the endpoint logs its own failures."""
        _logger.debug("writing a response failed", exc_info=exc_info)
