"""Way: the way of pushes to the Collector, as far as the doctor has walked it."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.export.otlp.answer import excerpt
from otel_ha.export.otlp.attempts import Sender
from otel_ha.export.otlp.proxy import Proxy
from otel_ha.scrub import mask_url

__all__ = ["PORTS", "Address", "Place", "TunnelError", "Way", "address_of", "left"]

PORTS: Final = {"http/protobuf": 4318, "grpc": 4317}
"""The usual ports of a Collector. Source: OpenTelemetry specification, OTLP exporter, default endpoints."""

_LONGEST: Final = 30.0
"""The most seconds for one layer, whatever the settings allow for a push."""
_HEAD: Final = 16_384
"""The most bytes of a proxy's response."""
_CONNECTED: Final = 200


class Address(NamedTuple):
    """Where pushes go: a host and a port, or the path of a Unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        """Return the address as URLs have it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


class Place(NamedTuple):
    """One address of a host, for socket()."""

    family: socket.AddressFamily
    address: tuple[str | int, ...] | str

    def __str__(self) -> str:
        """Return the address as URLs have it."""
        if isinstance(self.address, str):
            return self.address
        return str(Address(str(self.address[0]), int(self.address[1])))


class TunnelError(OSError):
    """A proxy that refuses to connect, with the status of its response; 0 if that is not HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Way:
    """The way of pushes by one configuration; each layer adds what it has found out.

    `places` are the addresses that the host's name has, of the proxy if there is one; the first one that accepts a
    connection is then the only one. `context` has the settings of TLS, `version` is its version once hands are shaken,
    and `reply` the first bytes of the answer by TLS.
    """

    config: TelemetryConfig
    sender: Sender
    places: list[Place] = field(default_factory=list)
    reply: bytes | None = None
    context: ssl.SSLContext | None = None
    version: str = ""
    proxies: list[Url] = field(default_factory=lambda: [Url(url) for url in getproxies().values()])
    """Kept alive, so that the scrubber masks their passwords."""

    def __post_init__(self) -> None:
        """Find out where the settings and the environment lead to."""
        config = self.config
        self.otlp = otlp = config.otlp("metrics")
        self.url = mask_url(otlp.url)
        self.is_grpc = otlp.protocol == "grpc"
        self.limit = min(otlp.timeout, config.export_timeout, _LONGEST)
        self.address = address_of(config)
        self.proxy: Proxy | None = self.sender.proxy()

    @property
    def is_tunnel(self) -> bool:
        """Whether a proxy is asked to connect, and then passes on all bytes."""
        return self.proxy is not None and (self.is_grpc or self.otlp.secure)

    @property
    def is_opaque(self) -> bool:
        """Whether only a push can tell: by an address of gRPC's own kinds, or a proxy that is spoken to otherwise."""
        return self.address is None or (self.proxy is not None and urlsplit(self.proxy.url).scheme != "http")

    @property
    def first(self) -> Address:
        """The address to connect to: the proxy, or the receiver."""
        if self.proxy is not None:
            parts = urlsplit(self.proxy.url)
            return Address(parts.hostname or "", parts.port or 80)
        if self.address is None:
            raise ValueError("an address of gRPC's own kinds")
        return self.address

    def connected(self, place: Place, deadline: float) -> socket.socket:
        """Return a connection to a place, through the tunnel of a proxy if there is one. Raises OSError."""
        sock = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(left(deadline))
            sock.connect(place.address)
            if self.is_tunnel:
                self._tunnel(sock, deadline)
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        """Close the sender's connections."""
        self.sender.close()

    def _tunnel(self, sock: socket.socket, deadline: float) -> None:
        """Let the proxy connect to the receiver."""
        parts = urlsplit(self.proxy.url if self.proxy else "")
        request = f"CONNECT {self.address} HTTP/1.1\r\nHost: {self.address}\r\n"
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request += f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
        sock.sendall(f"{request}\r\n".encode("latin-1", "replace"))
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD:
            sock.settimeout(left(deadline))
            if not (piece := sock.recv(1 if b"\r\n\r" in head[-3:] else 256)):
                break
            head += piece
        line = head.partition(b"\r\n")[0].split(maxsplit=2)
        status = int(line[1]) if len(line) > 1 and line[1].isdigit() else 0
        if status // 100 != _CONNECTED // 100:
            raise TunnelError(status, excerpt(head.partition(b"\r\n")[0]) or "the connection ends without a response")


def left(deadline: float) -> float:
    """Return the seconds until a deadline. Raises TimeoutError if it is over."""
    if (seconds := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return seconds


def address_of(config: TelemetryConfig) -> Address | None:
    """Return the address that an OTLP endpoint names; None for a gRPC target of another kind."""
    otlp = config.otlp("metrics")
    text = otlp.url
    if text.lower().startswith(("http://", "https://")):
        usual = 443 if otlp.secure or otlp.protocol == "grpc" else 80  # gRPC takes that of https
        parts = urlsplit(text)
        return Address(unquote(parts.hostname or ""), parts.port or usual)  # a zone of IPv6 has a quoted percent sign
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return Address("", 0, "/" + rest.lstrip("/") if rest.startswith("/") else rest)
    target = rest.rpartition("/")[2] if kind in {"dns", "ipv4", "ipv6"} else text
    try:
        parts = urlsplit(f"//{target}")
        return Address(parts.hostname, parts.port or 443) if parts.hostname else None
    except ValueError:
        return None
