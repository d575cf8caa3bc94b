"""Address: a server and the user to log in as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

SUPERVISOR: Final = "supervisor"
"""The host by which an add-on of Home Assistant reaches the Supervisor, which passes requests on to Home Assistant."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server, taken from a URL. Its text shows neither the user nor the password."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"https", "mqtts", "wss"}


def address(url: str, ports: dict[str, int]) -> Address:
    """Return the address in a URL; `ports` maps each allowed scheme to its default port. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port
    if parts.scheme not in ports or not parts.hostname:
        raise ValueError(f"the URL needs a host and one of these schemes: {', '.join(ports)}")
    return Address(
        parts.scheme,
        parts.hostname,
        ports[parts.scheme] if port is None else port,
        parts.path.rstrip("/"),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
