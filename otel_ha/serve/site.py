"""Site: the status page for browsers with its files, and an index in text for other clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import parse_qs

from otel_ha.serve.adapters import Response, plain
from otel_ha.serve.negotiation import prefers_html

_INDEX = """otel-ha

/         for browsers, the status page: charts and tables of the same figures
metrics   the metrics for Prometheus, as text or OpenMetrics; ?name[]=… selects some
healthz   the state of telemetry, as JSON: 200 if it is ok or degraded, 503 if it has failed
health    200 while the process answers, for liveness probes
ready     200 from setup_telemetry() to shutdown(), else 503, for readiness probes
summary   current values, those of the last collections, and roll-ups by minutes and hours, as JSON
"""

FILES = {
    "page.css": "text/css; charset=utf-8",
    "charts.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
}
"""The files of the status page, with their types."""

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SAFE = [
    ("Content-Security-Policy", _CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
]
_NOT_KEPT = [("Vary", "Accept"), ("Cache-Control", "no-store")]


class Site:
    """Answers requests for the status page of a summary, and for the page's files."""

    def __init__(self, summary: Callable[[], Mapping[str, Any]]) -> None:
        self._summary = summary

    def root(self, headers: Mapping[str, str], query: str) -> Response:
        """Return the status page if the client names HTML, or the index."""
        if not prefers_html(headers.get("accept", "")):
            return plain(HTTPStatus.OK, _INDEX.rstrip(), *_NOT_KEPT, *_SAFE)
        # A service whose page nobody opens does not load it.
        from otel_ha.serve.page.page import render  # noqa: PLC0415

        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        text = render(self._summary(), asked.get("range", ""), asked.get("search", ""))
        return Response(
            HTTPStatus.OK,
            [("Content-Type", "text/html; charset=utf-8"), *_NOT_KEPT, *_SAFE],
            text.encode(),
        )

    def file(self, name: str) -> Callable[[Mapping[str, str], str], Response]:
        """Return the function that answers requests for one of FILES."""

        def answer(_: Mapping[str, str], __: str) -> Response:
            content = resources.files("otel_ha.serve.page").joinpath(name).read_bytes()
            # Small, and asked for once by each visitor: asking again is simpler than recognizing another version.
            kept = ("Cache-Control", "no-cache")
            return Response(HTTPStatus.OK, [("Content-Type", FILES[name]), kept, *_SAFE], content)

        return answer
