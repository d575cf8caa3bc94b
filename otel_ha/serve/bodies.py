"""Bodies: data as JSON, and every answer in a form that its client accepts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from http import HTTPStatus

from otel_ha.serve.adapters import Response, plain
from otel_ha.serve.negotiation import coding, refuses_type
from otel_ha.turn import giving_way

GZIPPED = ("Content-Encoding", "gzip")


def as_json(status: HTTPStatus, data: Mapping[str, object]) -> Response:
    """Return a response with data as JSON."""
    # In pieces of some tens of kB, of which none holds up an event loop.
    pieces = giving_way(json.JSONEncoder(indent=2, default=str).iterencode(dict(data)), 1000)
    body = "".join(pieces).encode() + b"\n"
    return Response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)


def not_acceptable() -> Response:
    """Return the response to a client that refuses every form of a page."""
    return plain(HTTPStatus.NOT_ACCEPTABLE, "Accept or Accept-Encoding refuses every form of this page.")


def as_accepted(response: Response, headers: Mapping[str, str]) -> Response:
    """Return a page in a form that the client has not refused."""
    sent_as = dict(response.headers)
    if refuses_type(headers.get("accept", ""), sent_as["Content-Type"]):
        return not_acceptable()
    if "Content-Encoding" in sent_as:
        return response
    coded = coding(headers.get("accept-encoding", ""), prefer_gzip=False)
    if coded == "gzip":
        return Response(response.status, [*response.headers, GZIPPED], gzip.compress(response.body, 1))
    return not_acceptable() if coded is None else response
