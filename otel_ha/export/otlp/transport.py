"""The OTLP exporter's private parts: the lighter of its HTTP transports, and the headers that it sends.

By default the exporter sends by requests, which searches the environment for proxies at each push, and whose import
takes a quarter of the time of setting up. For plain HTTP without a proxy, urllib3 is enough. Over TLS, through a proxy
and with a session from the environment, the exporter keeps requests, which has certificates and proxy support.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from opentelemetry.exporter.http.transport._base import BaseHTTPTransport

# Variables that name a provider of a requests session for the exporter.
_SESSION_VARIABLES = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER",
)


def transport_arguments(exporter: type, url: str, omit: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments that make an exporter push to `url` by urllib3; none if its own transport is needed.

    The transport leaves out the headers named in `omit`, in lower case.
    """
    parts = urlsplit(url)
    proxied = bool(getproxies().keys() & {parts.scheme, "all"}) and not proxy_bypass(parts.hostname or "")
    if parts.scheme != "http" or proxied or any(os.environ.get(name) for name in _SESSION_VARIABLES):
        return {}
    # Neither the argument nor the transport is public yet.
    if "_transport" not in inspect.signature(exporter).parameters:
        return {}
    try:
        from opentelemetry.exporter.http.transport._urllib3 import Urllib3HTTPTransport  # noqa: PLC0415
    except ImportError:
        return {}
    return {"_transport": _LateTransport(Urllib3HTTPTransport, omit)}


def omit_headers(exporter: object, names: Collection[str]) -> bool:
    """Make an exporter leave out headers that it took from the environment; return whether that was possible."""
    headers = getattr(getattr(exporter, "_client", None), "_headers", None)
    if not isinstance(headers, dict):
        return False
    for name in names:
        headers.pop(name, None)
    return True


class _LateTransport:
    """A transport that the first push makes, as making it imports urllib3; see BaseHTTPTransport."""

    def __init__(self, make: type[BaseHTTPTransport], omit: Collection[str]) -> None:
        self._make = make
        self._omit = frozenset(omit)

    @cached_property
    def _transport(self) -> BaseHTTPTransport:
        return self._make()

    def request(self, method: str, url: str, *, headers: dict[str, str] | None = None, **kwargs: Any) -> Any:
        """Send a request."""
        sent = {name: value for name, value in (headers or {}).items() if name.lower() not in self._omit}
        return self._transport.request(method, url, headers=sent, **kwargs)

    def is_connection_error(self, exception: Exception | None) -> bool:
        """Whether the connection was at fault."""
        return self._transport.is_connection_error(exception)

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_transport" in self.__dict__:
            self._transport.close()
