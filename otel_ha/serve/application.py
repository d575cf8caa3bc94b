"""Endpoint: the responses of /, /health, /healthz, /metrics, /ready and /summary."""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import quote

from prometheus_client import CollectorRegistry

from otel_ha.delivery import Delivery
from otel_ha.serve.adapters import AsgiApplication, Response, WsgiApplication, plain
from otel_ha.serve.bodies import as_accepted, as_json
from otel_ha.serve.hosts import Hosts
from otel_ha.serve.scrapes import PATIENCE, Scrapes
from otel_ha.serve.site import FILES, Site

_logger = logging.getLogger("otel_ha.endpoint")

# The characters of a query, of which "%" marks those that are quoted already.
_OF_QUERIES = "%&=+;/?:@!$'()*,[]"

_INDEX = """otel-ha

metrics   the metrics for Prometheus, as text or OpenMetrics; ?name[]=… selects some
healthz   the state of telemetry, as JSON: 200 if it is ok or degraded, 503 if it has failed
health    200 while the process answers, for liveness probes
ready     200 from setup_telemetry() to shutdown(), else 503, for readiness probes
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
    returns `summary`. For probes, /health answers 200 always, and /ready while `ready` returns True, else 503. With a
    username or a password, every path requires both by basic authentication, even /healthz, because it names hosts and
    errors. A scrape waits `patience` seconds for the previous one. `wsgi_app` and `asgi_app` are the endpoint as
    applications, to mount; they answer only to `allowed_hosts`, unless that is empty.
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
        ready: Callable[[], bool] = lambda: True,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self._scrapes = Scrapes(registry, patience)
        self._health = health
        self._summary = summary
        self._patience = patience
        self._ready = ready
        open_to_all = username is None and password is None
        self._credentials = None if open_to_all else f"{username or ''}:{password or ''}".encode()
        site = Site(summary)
        self._pages: dict[str, Page] = {
            "/": site.root,
            "/healthz": self._healthz,
            "/health": _alive,
            "/ready": self._readiness,
            "/metrics": self._metrics,
            "/summary": self._summarize,
        }
        self._files: dict[str, Page] = {f"/{name}": site.file(name) for name in FILES}
        names = tuple(allowed_hosts)
        # Without names, the user's server alone judges a Host.
        self._hosts = Hosts(names) if names else None
        self.wsgi_app = WsgiApplication(self._respond_mounted)
        self.asgi_app = AsgiApplication(self._respond_mounted)

    @property
    def registry(self) -> CollectorRegistry | None:
        """The registry whose metrics are served."""
        return self._scrapes.registry

    @registry.setter
    def registry(self, registry: CollectorRegistry | None) -> None:
        self._scrapes.registry = registry

    @property
    def delivery(self) -> Delivery:
        """The state of the scrapes."""
        return self._scrapes.delivery

    def text(self) -> str:
        """Return the metrics as Prometheus text; empty without a registry.

        Raises the exceptions of collectors, and TimeoutError if the previous scrape hangs.
        """
        return self._scrapes.text()

    def after_fork_in_child(self) -> None:
        """Forget a scrape that was running in the parent at the fork."""
        self._scrapes.after_fork_in_child()

    def respond(
        self, method: str, path: str, headers: Mapping[str, str], query: str = "", mounted_at: str = ""
    ) -> Response:
        """Return the response to a request; `path` is relative to the path at which the endpoint is mounted.

        Never raises.
        """
        headers = {name.lower(): value for name, value in headers.items()}
        response = self._answer(method, path, headers, query, mounted_at)
        if response.status == HTTPStatus.OK:
            response = as_accepted(response, headers)
        return response.to(method)

    def _respond_mounted(
        self, method: str, path: str, headers: Mapping[str, str], query: str, mounted_at: str
    ) -> Response:
        """Return the response to a request that the user's server has received."""
        host = next((value for name, value in headers.items() if name.lower() == "host"), None)
        refusal = self._hosts.refusal(host) if self._hosts else None
        return self.respond(method, path, headers, query, mounted_at) if refusal is None else refusal.to(method)

    def _answer(self, method: str, path: str, headers: Mapping[str, str], query: str, mounted_at: str) -> Response:
        if not self._is_authorized(headers.get("authorization", "")):
            challenge = ("WWW-Authenticate", 'Basic realm="otel-ha", charset="UTF-8"')
            return plain(HTTPStatus.UNAUTHORIZED, "A username and a password are required.", challenge)
        pages = {path: page for path, page in self._pages.items() if path != "/metrics" or self.registry is not None}
        page = (pages | self._files).get(f"/{path.strip('/')}")
        if page is None:
            return plain(HTTPStatus.NOT_FOUND, f"Not found; try {', '.join(pages)}.")
        if method not in {"GET", "HEAD"}:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD"))
        lacks_slash = not path and mounted_at and not mounted_at.endswith("/")
        try:
            return _with_slash(mounted_at, query) if lacks_slash else page(headers, query)
        except Exception as error:  # noqa: BLE001 - exceptions of a health function must not reach the client
            _logger.error("cannot answer %s: %r", path, error)  # noqa: TRY400 - one line
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; see the service's log.")

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
        return as_json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, health)

    def _readiness(self, _: Mapping[str, str], __: str) -> Response:
        if self._ready():
            return _json(HTTPStatus.OK, {"status": "ready"})
        return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready"})

    def _summarize(self, _: Mapping[str, str], __: str) -> Response:
        return as_json(HTTPStatus.OK, self._summary())


def _with_slash(mounted_at: str, query: str) -> Response:
    """Redirect to the same page with a slash at the end, without which the page's relative links lead elsewhere.


def _alive(_: Mapping[str, str], __: str) -> Response:
    return _json(HTTPStatus.OK, {"status": "alive"})


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
