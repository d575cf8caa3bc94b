"""Scrapes: the metrics of a registry as text, one scrape at a time."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, generate_latest

from otel_ha.delivery import Delivery
from otel_ha.serve.adapters import Response, plain
from otel_ha.serve.bodies import GZIPPED, not_acceptable
from otel_ha.serve.negotiation import Encode, coding, encoder
from otel_ha.turn import Turn, is_working
from otel_ha.version import DISTRO

_logger = logging.getLogger("otel_ha.endpoint")

PATIENCE = 10.0
"""Seconds that a scrape waits for the previous one: Prometheus' default scrape timeout."""

Body = TypeVar("Body", str, bytes)

# zlib's code for the format of gzip with the largest window.
_GZIP = 16 + zlib.MAX_WBITS


class _BusyError(TimeoutError):
    """The previous scrape takes too long."""


class Scrapes:
    """Renders `registry`, which may be replaced; None has no metrics.

    The registry's method `stream`, if it has one, yields the text in pieces. A scrape waits `patience` seconds for the
    previous one.
    """

    def __init__(self, registry: CollectorRegistry | None, patience: float) -> None:
        self.registry = registry
        self._patience = patience
        # A reader queues its collections: two concurrent scrapes would mix them.
        self._rendering = Turn()
        self.delivery = Delivery("prometheus", "scrapers")
        """The state of the scrapes."""

    def text(self) -> str:
        """Return the metrics as Prometheus text; empty without a registry.

        Raises the exceptions of collectors, and TimeoutError if the previous scrape hangs.
        """
        return self._render(self.registry, generate_latest, "".join)

    def after_fork_in_child(self) -> None:
        """Forget a scrape that was running in the parent at the fork."""
        self._rendering = Turn()

    def answer(self, headers: Mapping[str, str], query: str) -> Response:
        """Return the response to a scrape in the form that its headers accept."""
        chosen = encoder(headers.get("accept", ""))
        coded = coding(headers.get("accept-encoding", ""), prefer_gzip=True)
        if chosen is None or coded is None:
            return not_acceptable()
        encode, content_type = chosen
        # The doctor's scrape must not look like one of Prometheus.
        is_ours = headers.get("user-agent", "").startswith(f"{DISTRO}/")
        joined = _packed if coded == "gzip" else _plain_bytes
        try:
            body = self._render(self._selected(query), encode, joined, is_ours=is_ours)
        except _BusyError as error:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 - _render() has logged it; it must not reach the client
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Rendering the metrics failed; see the service's log.")
        sent_as = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
        return Response(HTTPStatus.OK, [*sent_as, GZIPPED] if coded == "gzip" else sent_as, body)

    def _selected(self, query: str) -> Any:
        """Return the registry, or the part of it that parameters `name[]` of a query name."""
        registry = self.registry
        names = parse_qs(query).get("name[]")
        return registry.restricted_registry(names) if names and registry is not None else registry

    def _render(
        self, registry: Any, encode: Encode, joined: Callable[[Iterable[str]], Body], *, is_ours: bool = False
    ) -> Body:
        """Render a registry, one at a time; the first failure and the first success after it are logged.

        A success of the command otel-ha (`is_ours`) counts only after a failure.
        """
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
            if (self.delivery.failures or not is_ours) and self.delivery.succeeded():
                _logger.warning("the metrics can be rendered again")
            return body
        finally:
            rendering.give_back()


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
