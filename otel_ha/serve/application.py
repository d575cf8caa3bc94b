"""Endpoint: the responses of /, /healthz, /metrics and /summary."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder

from otel_ha.delivery import Delivery
from otel_ha.serve.adapters import AsgiApplication, Response, WsgiApplication

_logger = logging.getLogger("otel_ha.endpoint")

PATIENCE = 10.0
"""Seconds that a scrape waits for the previous one: Prometheus' default scrape timeout."""

_TEXT = "text/plain; charset=utf-8"
_INDEX = """otel-ha

metrics   the metrics for Prometheus, as text or OpenMetrics
healthz   the state of telemetry, as JSON: 200 if it is ok or degraded, 503 if it has failed
summary   current values, those of the last collections, and roll-ups by minutes and hours, as JSON
"""


Encode = Callable[[Any], bytes]
"""A function of prometheus_client that renders a registry."""
Body = TypeVar("Body", str, bytes)

# zlib's code for the format of gzip with the largest window.
_GZIP = 16 + zlib.MAX_WBITS


class _BusyError(TimeoutError):
    """The previous scrape takes too long."""


class Endpoint:
    """Answers requests for the metrics and the state of telemetry.

    /metrics renders `registry` (None: there is no such page), which may be replaced; its method `stream`, if it has
    one, yields the text in pieces. /healthz returns `health`, with "status" ok, degraded, disabled or failed; /summary
    returns `summary`. With a username or a password, every path requires both by basic authentication, even /healthz,
    because it names hosts and errors. A scrape waits `patience` seconds for the previous one. `wsgi_app` and `asgi_app`
    are the endpoint as applications, to serve or to mount.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None,
        health: Callable[[], Mapping[str, object]],
        summary: Callable[[], Mapping[str, object]],
        *,
        username: str | None,
        password: str | None,
        patience: float = PATIENCE,
    ) -> None:
        self.registry = registry
        self._health = health
        self._summary = summary
        self._patience = patience
        open_to_all = username is None and password is None
        self._credentials = None if open_to_all else f"{username or ''}:{password or ''}".encode()
        self._pages: dict[str, Callable[[Mapping[str, str]], Response]] = {
            "/": _index,
            "/healthz": self._healthz,
            "/metrics": self._metrics,
            "/summary": self._summarize,
        }
        # A reader queues its collections: two concurrent scrapes would mix them.
        self._rendering = threading.Lock()
        self.delivery = Delivery("prometheus", "scrapers")
        """The state of the scrapes."""
        self.wsgi_app = WsgiApplication(self.respond)
        self.asgi_app = AsgiApplication(self.respond)

    def respond(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """Return the response to a request; `path` is relative to the mount point. Never raises."""
        headers = {name.lower(): value for name, value in headers.items()}
        if not self._is_authorized(headers.get("authorization", "")):
            challenge = ("WWW-Authenticate", 'Basic realm="otel-ha", charset="UTF-8"')
            return _plain(HTTPStatus.UNAUTHORIZED, "A username and a password are required.", challenge)
        pages = {path: page for path, page in self._pages.items() if path != "/metrics" or self.registry is not None}
        page = pages.get(path.rstrip("/") or "/")
        if page is None:
            return _plain(HTTPStatus.NOT_FOUND, f"Not found; try {', '.join(pages)}.")
        if method not in {"GET", "HEAD"}:
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD"))
        try:
            response = page(headers)
        except Exception as error:  # noqa: BLE001 - exceptions of a health function must not reach the client
            _logger.error("cannot answer %s: %r", path, error)  # noqa: TRY400 - one line
            response = _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; see the service's log.")
        response.headers.append(("Content-Length", str(len(response.body))))
        return Response(response.status, response.headers) if method == "HEAD" else response

    def text(self) -> str:
        """Return the metrics as Prometheus text; empty without a registry.

        Raises the exceptions of collectors, and TimeoutError if the previous scrape hangs.
        """
        return self._render(generate_latest, "".join)

    def after_fork_in_child(self) -> None:
        """Forget a scrape that was running in the parent at the fork."""
        self._rendering = threading.Lock()

    def _is_authorized(self, header: str) -> bool:
        if self._credentials is None:
            return True
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            given = b""
        return hmac.compare_digest(given, self._credentials) and scheme.lower() == "basic"

    def _healthz(self, _: Mapping[str, str]) -> Response:
        health = self._health()
        alive = health.get("status") in {"ok", "degraded", "disabled"}
        return _json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, health)

    def _summarize(self, _: Mapping[str, str]) -> Response:
        return _json(HTTPStatus.OK, self._summary())

    def _metrics(self, headers: Mapping[str, str]) -> Response:
        encode, content_type = _encoder(headers.get("accept", ""))
        packed = _accepts_gzip(headers.get("accept-encoding", ""))
        try:
            body = self._render(encode, _packed if packed else _plain_bytes)
        except _BusyError as error:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 - _render() has logged it; it must not reach the client
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Rendering the metrics failed; see the service's log.")
        sent_as = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
        return Response(HTTPStatus.OK, [*sent_as, ("Content-Encoding", "gzip")] if packed else sent_as, body)

    def _render(self, encode: Encode, joined: Callable[[Iterable[str]], Body]) -> Body:
        """Render the registry, one at a time; the first failure and the first success after it are logged."""
        registry = self.registry
        if registry is None:
            return joined(())
        rendering = self._rendering
        if not rendering.acquire(timeout=self._patience):
            raise _BusyError(f"Another scrape has been running for {self._patience:g} s; try again later.")
        try:
            body = joined(_pieces(registry, encode))
        except Exception as error:
            if self.delivery.failed(repr(error)):
                _logger.error("cannot render the metrics: %r", error)  # noqa: TRY400 - one line
            raise
        else:
            if self.delivery.succeeded():
                _logger.warning("the metrics can be rendered again")
            return body
        finally:
            rendering.release()


def _plain(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, [("Content-Type", _TEXT), *headers], f"{text}\n".encode())


def _json(status: HTTPStatus, data: Mapping[str, object]) -> Response:
    body = json.dumps(dict(data), indent=2, default=str).encode() + b"\n"
    return Response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)


def _index(_: Mapping[str, str]) -> Response:
    return _plain(HTTPStatus.OK, _INDEX.rstrip())


def _pieces(registry: CollectorRegistry, encode: Encode) -> Iterable[str]:
    """Return the text of a registry, in pieces if it can yield them."""
    stream: Callable[[Encode], Iterable[str]] | None = getattr(registry, "stream", None)
    return [encode(registry).decode()] if stream is None else stream(encode)


def _plain_bytes(pieces: Iterable[str]) -> bytes:
    return b"".join(piece.encode() for piece in pieces)


def _packed(pieces: Iterable[str]) -> bytes:
    """Return the text as gzip, compressed piece by piece: the whole text is never in memory."""
    # Level 1: the text is so repetitive that higher levels gain little.
    packing = zlib.compressobj(1, wbits=_GZIP)

    def parts() -> Iterator[bytes]:
        for piece in pieces:
            yield packing.compress(piece.encode())
        yield packing.flush()

    return b"".join(parts())


def _encoder(accept: str) -> tuple[Encode, str]:
    """Return the encoder for an Accept header, and its content type; plain text for an invalid header."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is not a number
        return choose_encoder("")


def _accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: a quality of 0 refuses it (RFC 9110, section 12.5.3)."""
    qualities: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            qualities[coding] = float(quality)
        except ValueError:
            qualities[coding] = 0.0
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0
