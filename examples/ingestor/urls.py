"""Address: where a server is, and who we are to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address, taken from a URL. As text it shows no user and no password."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the URL without the user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"https", "mqtts", "wss"}


def address(url: str, ports: dict[str, int]) -> Address:
    """Return the address in a URL with one of these schemes; raise ValueError, without the secret, if it is none."""
    schemes = " or ".join(f"{scheme}://" for scheme in ports)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"no valid URL ({error})") from None
    if parts.scheme not in ports or not parts.hostname:
        raise ValueError(f"it must be a URL that begins with {schemes} and names a host")
    return Address(
        parts.scheme,
        parts.hostname,
        ports[parts.scheme] if port is None else port,
        parts.path.rstrip("/"),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
