"""Endpoint: the responses of /, /healthz, /metrics and /summary."""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, generate_latest

from otel_ha.delivery import Delivery
from otel_ha.serve.adapters import AsgiApplication, Response, WsgiApplication, plain
from otel_ha.serve.hosts import Hosts
from otel_ha.serve.negotiation import Encode, coding, encoder, refuses_type
from otel_ha.turn import Turn, is_working

_logger = logging.getLogger("otel_ha.endpoint")

PATIENCE = 10.0
"""Seconds that a scrape waits for the previous one: Prometheus' default scrape timeout."""

_INDEX = """otel-ha

metrics   the metrics for Prometheus, as text or OpenMetrics; ?name[]=… selects some
healthz   the state of telemetry, as JSON: 200 if it is ok or degraded, 503 if it has failed
summary   current values, those of the last collections, and roll-ups by minutes and hours, as JSON
"""

Body = TypeVar("Body", str, bytes)

_GZIPPED = ("Content-Encoding", "gzip")
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
    are the endpoint as applications, to mount; they answer only to `allowed_hosts`, unless that is empty.
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
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self.registry = registry
        self._health = health
        self._summary = summary
        self._patience = patience
        open_to_all = username is None and password is None
        self._credentials = None if open_to_all else f"{username or ''}:{password or ''}".encode()
        self._pages: dict[str, Callable[[Mapping[str, str], str], Response]] = {
            "/": _index,
            "/healthz": self._healthz,
            "/metrics": self._metrics,
            "/summary": self._summarize,
        }
        # A reader queues its collections: two concurrent scrapes would mix them.
        self._rendering = Turn()
        self.delivery = Delivery("prometheus", "scrapers")
        """The state of the scrapes."""
        names = tuple(allowed_hosts)
        # Without names, the user's server alone judges a Host.
        self._hosts = Hosts(names) if names else None
        self.wsgi_app = WsgiApplication(self._respond_mounted)
        self.asgi_app = AsgiApplication(self._respond_mounted)

    def respond(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Response:
        """Return the response to a request; `path` is relative to the mount point. Never raises."""
        headers = {name.lower(): value for name, value in headers.items()}
        response = self._answer(method, path, headers, query)
        if response.status == HTTPStatus.OK:
            response = _as_accepted(response, headers)
        return response.to(method)

    def _respond_mounted(self, method: str, path: str, headers: Mapping[str, str], query: str) -> Response:
        """Return the response to a request that the user's server has received."""
        host = next((value for name, value in headers.items() if name.lower() == "host"), None)
        refusal = self._hosts.refusal(host) if self._hosts else None
        return self.respond(method, path, headers, query) if refusal is None else refusal.to(method)

    def _answer(self, method: str, path: str, headers: Mapping[str, str], query: str) -> Response:
        if not self._is_authorized(headers.get("authorization", "")):
            challenge = ("WWW-Authenticate", 'Basic realm="otel-ha", charset="UTF-8"')
            return plain(HTTPStatus.UNAUTHORIZED, "A username and a password are required.", challenge)
        pages = {path: page for path, page in self._pages.items() if path != "/metrics" or self.registry is not None}
        page = pages.get(path.rstrip("/") or "/")
        if page is None:
            return plain(HTTPStatus.NOT_FOUND, f"Not found; try {', '.join(pages)}.")
        if method not in {"GET", "HEAD"}:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD"))
        try:
            return page(headers, query)
        except Exception as error:  # noqa: BLE001 - exceptions of a health function must not reach the client
            _logger.error("cannot answer %s: %r", path, error)  # noqa: TRY400 - one line
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; see the service's log.")

    def text(self) -> str:
        """Return the metrics as Prometheus text; empty without a registry.

        Raises the exceptions of collectors, and TimeoutError if the previous scrape hangs.
        """
        return self._render(self.registry, generate_latest, "".join)

    def after_fork_in_child(self) -> None:
        """Forget a scrape that was running in the parent at the fork."""
        self._rendering = Turn()

    def _is_authorized(self, header: str) -> bool:
        if self._credentials is None:
            return True
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            given = b""
        return hmac.compare_digest(given, self._credentials) and scheme.lower() == "basic"

    def _healthz(self, _: Mapping[str, str], __: str) -> Response:
        health = self._health()
        alive = health.get("status") in {"ok", "degraded", "disabled"}
        return _json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, health)

    def _summarize(self, _: Mapping[str, str], __: str) -> Response:
        return _json(HTTPStatus.OK, self._summary())

    def _metrics(self, headers: Mapping[str, str], query: str) -> Response:
        chosen = encoder(headers.get("accept", ""))
        coded = coding(headers.get("accept-encoding", ""), prefer_gzip=True)
        if chosen is None or coded is None:
            return _not_acceptable()
        encode, content_type = chosen
        try:
            body = self._render(self._selected(query), encode, _packed if coded == "gzip" else _plain_bytes)
        except _BusyError as error:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 - _render() has logged it; it must not reach the client
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Rendering the metrics failed; see the service's log.")
        sent_as = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
        return Response(HTTPStatus.OK, [*sent_as, _GZIPPED] if coded == "gzip" else sent_as, body)

    def _selected(self, query: str) -> Any:
        """Return the registry, or the part of it that parameters `name[]` of a query name."""
        registry = self.registry
        names = parse_qs(query).get("name[]")
        return registry.restricted_registry(names) if names and registry is not None else registry

    def _render(self, registry: Any, encode: Encode, joined: Callable[[Iterable[str]], Body]) -> Body:
        """Render a registry, one at a time; the first failure and the first success after it are logged."""
        if registry is None:
            return joined(())
        rendering = self._rendering
        if is_working():
            raise _BusyError("This thread is busy with another collection; try again later.")
        if not rendering.take(self._patience):
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
            rendering.give_back()


def _json(status: HTTPStatus, data: Mapping[str, object]) -> Response:
    body = json.dumps(dict(data), indent=2, default=str).encode() + b"\n"
    return Response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)


def _index(_: Mapping[str, str], __: str) -> Response:
    return plain(HTTPStatus.OK, _INDEX.rstrip())


def _not_acceptable() -> Response:
    return plain(HTTPStatus.NOT_ACCEPTABLE, "Accept or Accept-Encoding refuses every form of this page.")


def _as_accepted(response: Response, headers: Mapping[str, str]) -> Response:
    """Return a page in a form that the client has not refused."""
    sent_as = dict(response.headers)
    if refuses_type(headers.get("accept", ""), sent_as["Content-Type"]):
        return _not_acceptable()
    if "Content-Encoding" in sent_as:
        return response
    coded = coding(headers.get("accept-encoding", ""), prefer_gzip=False)
    if coded == "gzip":
        return Response(response.status, [*response.headers, _GZIPPED], gzip.compress(response.body, 1))
    return _not_acceptable() if coded is None else response


def _pieces(registry: Any, encode: Encode) -> Iterable[str]:
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
