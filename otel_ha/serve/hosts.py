"""Hosts: the host names under which the endpoint answers.

A web page can make its own name resolve to 127.0.0.1 and read a server there from the visitor's browser (DNS
rebinding). The browser sends the page's name in the header Host, so a server on loopback answers only to names that
mean this machine. A server on another address is reached by any name, so only the setting restricts names there.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from otel_ha.config.hosts import host_name, is_loopback
from otel_ha.serve.adapters import Response, plain

SETTING = "OTEL_HA_ENDPOINT_ALLOWED_HOSTS"

# The last two are names of the host in containers of Docker and Podman.
_OF_THIS_MACHINE = frozenset({"localhost", "host.docker.internal", "host.containers.internal"})
_LONGEST_SHOWN = 100


class Hosts:
    """The allowed host names: `names` and, with `local`, those of this machine; without either, every name."""

    def __init__(self, names: Iterable[str] = (), *, local: bool = False) -> None:
        self._names = frozenset(names)
        self._local = local

    def refusal(self, host: str | None) -> Response | None:
        """Return the response to a request whose Host is not allowed or not valid; None if it is allowed.

        Without a Host (None), as in HTTP/1.0, no browser has sent the request.
        """
        if host is None:
            return None
        try:
            name = host_name(host)
        except ValueError:
            return plain(HTTPStatus.BAD_REQUEST, "The header Host is not a host name with an optional port.")
        if not (self._names or self._local):
            return None
        if name in self._names or (self._local and (name in _OF_THIS_MACHINE or is_loopback(name))):
            return None
        shown = name[:_LONGEST_SHOWN]
        return plain(HTTPStatus.MISDIRECTED_REQUEST, f"The host {shown!r} is not allowed; add it to {SETTING}.")
