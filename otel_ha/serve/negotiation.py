"""Negotiation: the headers Accept and Accept-Encoding (RFC 9110, section 12.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prometheus_client.exposition import choose_encoder

Encode = Callable[[Any], bytes]
"""A function of prometheus_client that renders a registry."""

_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"

_MOST_HEADERS = 8
"""Headers whose choice is kept: a scraper sends the same ones each time."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a header: its name and parameters, and its quality, NaN if that is not a number."""

    text: str
    name: str
    parameters: frozenset[str]
    quality: float


@lru_cache(maxsize=_MOST_HEADERS)
def encoder(accept: str) -> tuple[Encode, str] | None:
    """Return the encoder for an Accept header, and its content type; None if the header refuses every format.

    prometheus_client chooses. It ignores qualities, so it is not shown the formats of quality 0.
    """
    wanted = ",".join(item.text for item in _items(accept) if item.quality != 0)
    for header in (wanted, "", _OPENMETRICS):
        encode, content_type = _chosen(header)
        if not refuses_type(accept, content_type):
            return encode, content_type
    return None


def refuses_type(accept: str, content_type: str) -> bool:
    """Whether an Accept header gives a content type the quality 0; the most specific item that matches counts."""
    found = _best_match(accept, content_type)
    return found is not None and found.quality == 0


def prefers_html(accept: str) -> bool:
    """Whether to answer an Accept header with HTML rather than plain text.

    The header must name text/html with at least the quality of plain text, as browsers do: a client that accepts
    everything gets text. One that refuses plain text gets HTML unless it refuses that as well.
    """
    html, text = _best_match(accept, _HTML), _best_match(accept, _TEXT)
    if html is None or not html.quality > 0:
        return False
    of_text = 0.0 if text is None or math.isnan(text.quality) else text.quality
    is_named = html.name == _item(_HTML).name
    return (is_named and html.quality >= of_text) or (text is not None and text.quality == 0)


@lru_cache(maxsize=_MOST_HEADERS)
def coding(accept_encoding: str, *, prefer_gzip: bool) -> str | None:
    """Return the coding for an Accept-Encoding header, gzip or identity; None if the header refuses both.

    Without `prefer_gzip`, gzip is only for clients that refuse an answer without a coding, by "identity;q=0".
    """
    qualities = {item.name: item.quality for item in _items(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0)) > 0
    identity = qualities.get("identity") != 0
    if gzip and (prefer_gzip or not identity):
        return "gzip"
    return "identity" if identity else None


def _best_match(accept: str, content_type: str) -> _Item | None:
    """Return the most specific item of an Accept header that matches a content type."""
    offered = _item(content_type)
    ranges = ("*/*", f"{offered.name.partition('/')[0]}/*", offered.name)
    matching = [item for item in _items(accept) if item.name in ranges and item.parameters <= offered.parameters]
    return max(matching, key=lambda item: (ranges.index(item.name), len(item.parameters)), default=None)


def _chosen(accept: str) -> tuple[Encode, str]:
    """Return the choice of prometheus_client; plain text for a header that it cannot read."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is not a number
        return choose_encoder("")


def _items(header: str) -> list[_Item]:
    return [_item(text) for text in header.split(",")]


def _item(text: str) -> _Item:
    name, *parameters = (part.strip() for part in text.lower().split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        number = float(quality)
    except ValueError:
        number = math.nan
    return _Item(text, name, frozenset(part for part in parameters if not part.startswith("q=")), number)
