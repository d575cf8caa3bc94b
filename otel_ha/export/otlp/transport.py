"""The lighter of OpenTelemetry's two HTTP transports, urllib3's, for pushes that need no more.

The exporter's usual one, requests, looks through the environment for proxies at each push, and its import is a quarter
of setting up. It stays where it is needed: over TLS, for which it brings certificates of its own, and by way of a
proxy.
"""

from __future__ import annotations

import inspect
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from opentelemetry.exporter.http.transport._base import BaseHTTPTransport

# Their value names what gives the exporter a session of requests.
_SESSION_VARIABLES = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER",
)


def transport_arguments(exporter: type, url: str) -> dict[str, Any]:
    """Return what an exporter is to be made with so that it pushes to `url` by urllib3; nothing where it is not to."""
    parts = urlsplit(url)
    proxied = bool(getproxies().keys() & {parts.scheme, "all"}) and not proxy_bypass(parts.hostname or "")
    if parts.scheme != "http" or proxied or any(os.environ.get(name) for name in _SESSION_VARIABLES):
        return {}
    # It is no part of the exporter's public interface yet.
    return {"_transport": _Urllib3()} if "_transport" in inspect.signature(exporter).parameters else {}


class _Urllib3:
    """The transport over urllib3, which is imported and made by the first push."""

    @cached_property
    def _transport(self) -> BaseHTTPTransport:
        from opentelemetry.exporter.http.transport._urllib3 import Urllib3HTTPTransport  # noqa: PLC0415 - as said above

        return Urllib3HTTPTransport()

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; see BaseHTTPTransport."""
        return self._transport.request(*args, **kwargs)

    def is_connection_error(self, exception: Exception | None) -> bool:
        """Whether the connection was at fault."""
        return self._transport.is_connection_error(exception)

    def close(self) -> None:
        """Let go of the connections, if there are any."""
        if "_transport" in self.__dict__:
            self._transport.close()
