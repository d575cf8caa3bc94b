"""Endpoint: the pages, and who may read them."""

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

Page = Callable[[Mapping[str, str], str], Response]
"""A function that answers a request for a page: headers by name in lower case, query."""


class Endpoint:
    """Answers requests for the metrics and the state of telemetry.

    / is the status page, or an index for clients other than browsers. /metrics renders `registry` (None: there is no
    such page), which may be replaced; its method `stream`, if it has one, yields the text in pieces. /healthz returns
    `health`, with "status" ok, degraded, disabled or failed; /summary returns `summary`. For probes, /health answers
    200 always, and /ready while `ready` returns True, else 503. With a username or a password, every path requires both
    by basic authentication, even /healthz, because it names hosts and errors. A scrape waits `patience` seconds for the
    previous one. `wsgi_app` and `asgi_app` are the endpoint as applications, to mount; they answer only to
    `allowed_hosts`, unless that is empty.
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
        self._ready = ready
        open_to_all = username is None and password is None
        self._credentials = None if open_to_all else f"{username or ''}:{password or ''}".encode()
        site = Site(summary)
        self._pages: dict[str, Page] = {
            "/": site.root,
            "/healthz": self._healthz,
            "/health": _alive,
            "/ready": self._readiness,
            "/metrics": self._scrapes.answer,
            "/summary": self._summarize,
        }
        self._files: dict[str, Page] = {f"/{name}": site.file(name) for name in FILES}
        self._failing: dict[str, object] = {}
        """The pages that raised when they were asked for last."""
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
        name = f"/{path.strip('/')}"
        page = (pages | self._files).get(name)
        if page is None:
            return plain(HTTPStatus.NOT_FOUND, f"Not found; try {', '.join(pages)}.")
        if method not in {"GET", "HEAD"}:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD"))
        lacks_slash = not path and mounted_at and not mounted_at.endswith("/")
        try:
            response = _with_slash(mounted_at, query) if lacks_slash else page(headers, query)
        except Exception as error:  # noqa: BLE001 - exceptions of a health function must not reach the client
            # Once: clients, who may ask at any rate, must not fill the log.
            mine = object()
            if self._failing.setdefault(name, mine) is mine:
                _logger.error("cannot answer %s: %r", name, error)  # noqa: TRY400 - one line
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; see the service's log.")
        if self._failing.pop(name, None):
            _logger.warning("%s can be answered again", name)
        return response

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
            return as_json(HTTPStatus.OK, {"status": "ready"})
        return as_json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready"})

    def _summarize(self, _: Mapping[str, str], __: str) -> Response:
        return as_json(HTTPStatus.OK, self._summary())


def _alive(_: Mapping[str, str], __: str) -> Response:
    return as_json(HTTPStatus.OK, {"status": "alive"})


def _with_slash(mounted_at: str, query: str) -> Response:
    """Redirect to the same page with a slash at the end, without which the page's relative links lead elsewhere.

    The new location is relative as well: a proxy may have removed a part of the path that the client sees.
    """
    # Quoted, so that no colon in the name makes a scheme of it.
    location = f"{quote(mounted_at.rpartition('/')[2], errors='surrogateescape')}/"
    if query:
        location += f"?{quote(query, safe=_OF_QUERIES, errors='surrogateescape')}"
    text = f"The page is at {location}."
    return plain(HTTPStatus.TEMPORARY_REDIRECT, text, ("Location", location), ("Cache-Control", "no-store"))
