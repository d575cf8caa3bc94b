"""The transports of pushes by HTTP: urllib3, or requests if TLS, a proxy or a session of the environment needs it.

requests searches the environment for proxies at each push, and importing it takes a quarter of the time of setting up;
so plain HTTP without a proxy uses urllib3. Both hand out a response that has not been read yet, and remember their
connections, so that a request can be cut off while it waits for a receiver that never finishes.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    import requests
    import urllib3

# Variables that name a provider of a requests session: that of all signals, and that of one.
_SESSION_VARIABLES = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}_CREDENTIAL_PROVIDER",
)
_SESSION_GROUP = "opentelemetry_otlp_credential_provider"


class Transport(Protocol):
    """A way to post by HTTP."""

    def load(self) -> None:
        """Import the modules that the first request imports otherwise."""

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> urllib3.BaseHTTPResponse:
        """Return the response, unread; redirects are not followed."""

    def proxy(self, url: str) -> str | None:
        """Return the URL of the proxy to `url`, if there is one."""

    def cut_off(self) -> None:
        """End requests that are waiting."""

    def close(self) -> None:
        """Close all connections."""


def transport_to(
    url: str, verify: str | None, cert: str | tuple[str, str] | None, signal: str = "metrics"
) -> Transport:
    """Return the transport for `url`; `verify` is a file of certificates to trust, `cert` the client's own.

    Raises ValueError if the environment names a provider of sessions that cannot be used.
    """
    parts = urlsplit(url)
    variables = [each.format(signal.upper()) for each in _SESSION_VARIABLES]
    provider = next((name for each in variables if (name := os.environ.get(each))), "")
    proxied = bool(getproxies().keys() & {parts.scheme, "all"}) and not proxy_bypass(parts.hostname or "")
    if parts.scheme == "http" and not proxied and not provider:
        return Urllib3Transport()
    return RequestsTransport(_session_of(provider, variables) if provider else None, verify, cert)


def _session_of(provider: str, variables: Sequence[str]) -> requests.Session:
    import requests  # noqa: PLC0415 - only when used

    found = next(iter(metadata.entry_points(group=_SESSION_GROUP, name=provider)), None)
    session = found.load()() if found else None
    if not isinstance(session, requests.Session):
        raise ValueError(  # noqa: TRY004 - a setting
            f"{' or '.join(variables)} does not name an entry point of {_SESSION_GROUP} that makes a session"
        )
    return session


class Connections:
    """Remembers the connections of pool managers."""

    def __init__(self) -> None:
        self._open: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def watch(self, manager: urllib3.PoolManager) -> None:
        """Remember the connections that `manager` will make."""
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._remembering(pool) for scheme, pool in pools.items()}

    def cut_off(self) -> None:
        """Make all reads and writes of these connections fail."""
        # A list of references: another thread may connect meanwhile.
        for sock in [getattr(each(), "sock", None) for each in self._open.valuerefs()]:
            if not isinstance(sock, socket.socket):
                continue
            with suppress(OSError):
                # That of the plain socket: over TLS, the other thread still uses the rest.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _remembering(self, pool: Any) -> Any:
        opened = self._open

        class Connection(pool.ConnectionCls):  # type: ignore[misc]  # the class is only known here
            def connect(self) -> None:
                opened[id(self)] = self
                super().connect()

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


class Urllib3Transport:
    """Plain HTTP without a proxy; the first push imports urllib3."""

    def __init__(self) -> None:
        self._connections = Connections()
        self._manager: urllib3.PoolManager | None = None

    def load(self) -> None:
        """Import urllib3."""
        import encodings.idna  # noqa: F401, PLC0415 - looking up a host's name imports it

        import urllib3  # noqa: F401, PLC0415 - only when used

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> urllib3.BaseHTTPResponse:
        """Return the response."""
        import urllib3  # noqa: PLC0415 - only when used

        if self._manager is None:
            self._manager = urllib3.PoolManager()
            self._connections.watch(self._manager)
        limit = urllib3.Timeout(total=timeout)
        return self._manager.request(
            "POST", url, body=body, headers=headers, timeout=limit, retries=False, redirect=False, preload_content=False
        )

    def proxy(self, url: str) -> str | None:  # noqa: ARG002 - as in Transport
        """Return None."""
        return None

    def cut_off(self) -> None:
        """End requests that are waiting."""
        self._connections.cut_off()

    def close(self) -> None:
        """Close all connections."""
        self.cut_off()
        if self._manager is not None:
            self._manager.clear()


class RequestsTransport:
    """requests, which knows certificates, proxies, and logins of a .netrc; the first push imports it."""

    def __init__(
        self, session: requests.Session | None, verify: str | None, cert: str | tuple[str, str] | None
    ) -> None:
        self._connections = Connections()
        self._given = session
        self._options: dict[str, Any] = {"verify": verify, "cert": cert}
        self._session: requests.Session | None = None

    def load(self) -> None:
        """Import requests and, with it, urllib3."""
        import encodings.idna  # noqa: F401, PLC0415 - looking up a host's name imports it

        import requests  # noqa: F401, PLC0415 - only when used

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> urllib3.BaseHTTPResponse:
        """Return the response."""
        options = {name: value for name, value in self._options.items() if value is not None}
        response = self._prepared().request(
            "POST", url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True, **options
        )
        raw: urllib3.BaseHTTPResponse = response.raw
        return raw

    def proxy(self, url: str) -> str | None:
        """Return the URL of the proxy to `url`, if there is one."""
        import requests  # noqa: PLC0415 - only when used

        settings = self._prepared().merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003 - by position
        return requests.utils.select_proxy(url, settings["proxies"])

    def cut_off(self) -> None:
        """End requests that are waiting."""
        self._connections.cut_off()

    def close(self) -> None:
        """Close all connections."""
        self.cut_off()
        if self._session is not None:
            self._session.close()

    def _prepared(self) -> requests.Session:
        if self._session is None:
            import requests  # noqa: PLC0415 - only when used

            session = self._given or requests.Session()
            # Even if it does not follow a redirect, requests would read the whole body to prepare the next request.
            session.get_redirect_target = lambda _: None  # type: ignore[assignment,method-assign]  # of this session alone
            for adapter in session.adapters.values():
                if isinstance(adapter, requests.adapters.HTTPAdapter):
                    self._watch(adapter)
            self._session = session
        return self._session

    def _watch(self, adapter: requests.adapters.HTTPAdapter) -> None:
        self._connections.watch(adapter.poolmanager)
        proxy_manager_for = adapter.proxy_manager_for

        def watched(proxy: str, **settings: Any) -> Any:
            is_new = proxy not in adapter.proxy_manager
            manager = proxy_manager_for(proxy, **settings)
            if is_new:
                self._connections.watch(manager)
            return manager

        adapter.proxy_manager_for = watched  # type: ignore[method-assign]  # of this session alone
