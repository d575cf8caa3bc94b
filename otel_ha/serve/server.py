"""Server: a small HTTP server of our own for the endpoint, with TLS."""

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
    """What is served."""

    @property
    def wsgi_app(self) -> WSGIApplication:
        """It, as a WSGI application."""


class Server:
    """Serves `endpoint` at `host` and `port` (0: any free one), each request in a thread, from start() to stop().

    With `certificate` (and `key`, unless the same file holds it) it speaks TLS 1.2 or later; with `client_ca` as well,
    to clients with a certificate from there only. All three are paths of PEM files.
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
    ) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._listener: _Listener | None = None

    @property
    def port(self) -> int:
        """The port that it listens at; the one asked for while it does not."""
        return self._port if self._listener is None else self._listener.server_port

    @property
    def url(self) -> str:
        """Its address without a path, for example http://127.0.0.1:9464."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._certificate else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Listen and serve; does nothing where it does already.

        Raises OSError where the address is taken or wrong, or a certificate, key or CA cannot be used.
        """
        if self._listener is not None:
            return
        context = _tls_context(self._certificate, self._key, self._client_ca) if self._certificate else None
        self._listener = _Listener(self._endpoint, self._host, self._port, context)
        self._listener.start()

    def stop(self) -> None:
        """Stop listening, at once; requests that are being answered are not waited for. Again it does nothing."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def after_fork_in_child(self) -> None:
        """Close what a forked child has of the listening socket; the parent goes on with it."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.socket.close()


def _tls_context(certificate: Path | str, key: Path | str | None, client_ca: Path | str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An empty password makes an encrypted key an error, where otherwise the terminal would be asked for one.
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
    # Otherwise a second process could listen at the same port, where the platform knows how.
    allow_reuse_port = False
    # Seconds after which it looks whether it should end, where stop() cannot wake it.
    timeout = 0.5

    def __init__(self, endpoint: Application, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._context = context
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
        """Bind. WSGIServer would look its own name up, which takes a name server that answers."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        self._stopping.set()
        # On Linux this wakes who waits for a connection.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(2 * self.timeout)
        self.server_close()

    def get_request(self) -> Any:
        """Accept a connection; where that fails for want of file descriptors, not at once again."""
        try:
            return super().get_request()
        except TimeoutError:  # nobody came
            raise
        except OSError:
            self._stopping.wait(0.1)
            raise

    def _serve(self) -> None:
        # It waits in accept(); the public handle_request() would make a selector each time.
        handle = getattr(self, "_handle_request_noblock", self.handle_request)
        while not self._stopping.is_set():
            handle()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one request; runs in its thread, and so does the TLS handshake, which a client can hold up."""
        request.settimeout(TIMEOUT)
        if self._context is None:
            super().finish_request(request, client_address)
            return
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)
            # Tells the client that the answer is whole.
            connection.unwrap()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; in this one where Python starts none any more, as when the main thread has ended."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as in BaseServer
        """Say at debug level that a connection broke: what clients do is their affair."""
        _logger.debug("connection from %s ended early: %r", client_address, sys.exc_info()[1])


class _RequestHandler(WSGIRequestHandler):
    """Answers one request; nothing it has to say goes to the standard error stream."""

    timeout = TIMEOUT
    # Status and headers come in five writes; as many packets would be most of what a small answer takes.
    wbufsize = -1
    server_version = "otel-ha"
    sys_version = ""

    def handle(self) -> None:
        """Answer one request: as WSGIRequestHandler does, with another answerer."""
        self.raw_requestline = self.rfile.readline(_LONGEST_REQUEST_LINE + 1)
        if len(self.raw_requestline) > _LONGEST_REQUEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif self.parse_request():
            answerer = _Answerer(self.rfile, self.wfile, StringIO(), self.get_environ(), multithread=True)  # type: ignore[arg-type]  # typeshed asks for more of a file than is used
            answerer.request_handler = self  # type: ignore[attr-defined]  # wsgiref sets it in the same way
            answerer.run(self.server.get_app())  # type: ignore[attr-defined]  # the server is a _Listener

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in BaseHTTPRequestHandler
        """Log at debug level."""
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug("%s %r", self.address_string(), format % args)


class _Answerer(ServerHandler):
    server_software = "otel-ha"

    def log_exception(self, exc_info: tuple[type[BaseException], BaseException, TracebackType] | Any) -> None:
        """Log at debug level; what the endpoint itself has to report, it does."""
        _logger.debug("answering failed", exc_info=exc_info)
