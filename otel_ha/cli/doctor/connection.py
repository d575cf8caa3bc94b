"""The first layers to the Collector: the look-up of its name, and the connection."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from otel_ha.cli.doctor.look import Look, fault, fine, not_needed
from otel_ha.cli.doctor.way import PORTS, Address, Place, TunnelError, Way
from otel_ha.config.settings import DEFAULT
from otel_ha.scrub import scrub

__all__ = ["look_at_connection", "look_at_name"]

_GLANCE: Final = 1.0
"""The most seconds for a connection that only helps to find a cause."""
_LOOPBACKS: Final = ("127.0.0.1", "::1")
_UNREACHABLE: Final = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN}
# The likeliest cause comes first: of several addresses of a host, the one that refuses tells more than one without way.
_CAUSES: Final = ("connection_refused", "connection_timeout", "connection_failed", "unreachable")
_PROXY_AUTHENTICATION: Final = 407
_CONTAINER: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


def look_at_name(way: Way) -> Look:
    """Look the host's name up, as a connection would."""
    if way.is_opaque:
        return not_needed("gRPC or the proxy's library looks names up itself here")
    address = way.first
    if address.path:
        way.places = [Place(socket.AF_UNIX, address.path)]
        return not_needed("a Unix socket has no name to look up")
    tried = f"look up {address.host}{_of_proxy(way)}"
    try:
        way.places = _looked_up(address, way.limit)
    except TimeoutError:
        return fault(tried, f"no answer within {way.limit:g} s", "name_lookup_failed", _names_remedy(address))
    except socket.gaierror as error:
        is_temporary = error.errno == socket.EAI_AGAIN
        cause = "name_lookup_failed" if is_temporary else "unknown_host"
        return fault(tried, scrub(error.strerror or str(error)), cause, _names_remedy(address))
    except UnicodeError:
        return fault(tried, "this cannot be a host's name", "unknown_host", _names_remedy(address))
    addresses = list(dict.fromkeys(str(place.address[0]) for place in way.places))
    return fine(tried, ", ".join(addresses), host=address.host, addresses=addresses)


def look_at_connection(way: Way) -> Look:
    """Connect to the places of the host, one after the other, until one accepts."""
    if way.is_opaque:
        return not_needed("gRPC or the proxy's library connects itself here; the push below shows it")
    tried = f"connect to {way.first}{_of_proxy(way)}"
    if way.is_tunnel:
        tried += f", and let it connect to {way.address}"
    deadline = time.monotonic() + way.limit
    failures: dict[str, OSError] = {}
    for number, place in enumerate(way.places):
        share = max(deadline - time.monotonic(), 0.0) / (len(way.places) - number)
        try:
            with closing(way.connected(place, time.monotonic() + share)):
                way.places = [place]
                found = f"{place} accepts" + "".join(f"; {failed}" for failed in _lines(failures))
                return fine(tried, found, place=str(place), failed=list(failures))
        except TunnelError as error:
            return _refused_by_proxy(way, tried, error)
        except OSError as error:
            failures[str(place)] = error
    return _failed(way, tried, failures)


def _looked_up(address: Address, limit: float) -> list[Place]:
    """Look a name up in a thread, as it cannot be given a time limit; the thread ends with the look-up."""
    results: list[list[Place] | Exception] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            results.append([Place(family, (str(address[0]), *address[1:])) for family, *_, address in found])
        except (OSError, UnicodeError) as error:
            results.append(error)

    thread = threading.Thread(target=look_up, name="otel-ha-doctor", daemon=True)
    thread.start()
    thread.join(limit)
    if not results:
        raise TimeoutError
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _failed(way: Way, tried: str, failures: dict[str, OSError]) -> Look:
    """Return the look at a host none of whose places accepts."""
    causes = {_cause(error) for error in failures.values()}
    cause: str = next(each for each in _CAUSES if each in causes)
    found = "; ".join(_lines(failures))
    if way.proxy is not None:
        remedy = f"start the proxy, correct {way.proxy.variable}, or except the receiver: no_proxy={_host(way)}"
        return fault(tried, found, "proxy_unreachable", remedy, proxy=str(way.proxy), reason=cause)
    if cause == "connection_refused" and not way.first.path:
        cause, remedy = _refused(way)
    else:
        remedy = _REMEDIES.get(cause, _REMEDIES["connection_failed"])
    return fault(tried, found, cause, remedy, places=list(failures))


_REMEDIES: Final = {
    "connection_refused": "start the Collector; its receiver otlp has to listen at this socket",
    "connection_timeout": "check the host, and whether a firewall drops connections to this port",
    "unreachable": "there is no route to this address: check the network, or write another address of the host",
    "connection_failed": "read the system's reason; a firewall, or the permissions of a Unix socket, may forbid it",
}


def _refused(way: Way) -> tuple[str, str]:
    """Return the cause and the remedy of a refused connection, by places near it that accept one."""
    address, usual = way.first, PORTS[way.otlp.protocol]
    hosts = [str(place.address[0]) for place in way.places]
    if all(map(_is_own, hosts)):
        others = [Address(host, address.port) for host in _LOOPBACKS if host not in hosts]
        if other := next(filter(_accepts, others), None):
            return "listens_elsewhere", (
                f"something listens at {other}: name this address by OTEL_EXPORTER_OTLP_ENDPOINT, "
                f"or let the Collector listen at {hosts[0]} (endpoint of its receiver otlp)"
            )
    if address.port != usual and _accepts(address._replace(port=usual)):
        return "wrong_port", (
            f"something listens at the usual port for {way.otlp.protocol}, {usual}: "
            f"name it by OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    remedy = "start the Collector there, or name its address by OTEL_EXPORTER_OTLP_ENDPOINT"
    if way.otlp.sources["endpoint"] == DEFAULT:
        remedy += "; if you have none, end pushing: OTEL_METRICS_EXPORTER=prometheus"
    if all(map(_is_own, hosts)) and any(path.exists() for path in _CONTAINER):
        remedy += "; in a container, this address is the container itself: name the Collector's container or host"
    return "connection_refused", remedy


def _refused_by_proxy(way: Way, tried: str, error: TunnelError) -> Look:
    proxy = way.proxy
    if error.status == _PROXY_AUTHENTICATION:
        remedy = f"the proxy asks for a user and a password: write them in {proxy.variable if proxy else 'its URL'}"
        return fault(tried, str(error), "proxy_authentication", remedy, proxy=str(proxy))
    if not error.status and proxy is not None:
        remedy = f"no HTTP proxy answers there: correct {proxy.variable}, or except the receiver: no_proxy={_host(way)}"
        return fault(tried, str(error), "proxy_unreachable", remedy, proxy=str(proxy))
    remedy = f"let the proxy allow {way.address}, or do not use it: no_proxy={_host(way)}"
    return fault(tried, str(error), "proxy_refuses", remedy, proxy=str(proxy), status=error.status)


def _accepts(address: Address) -> bool:
    with suppress(OSError), closing(socket.create_connection((address.host, address.port), _GLANCE)):
        return True
    return False


def _is_own(host: str) -> bool:
    """Whether an address belongs to this machine: only then can a socket be bound to it."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
        with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6) as sock:  # noqa: PLR2004 - IPv4
            sock.bind((host, 0))
    except (OSError, ValueError):
        return False
    return not ip.is_unspecified


def _cause(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "connection_timeout"
    return "unreachable" if error.errno in _UNREACHABLE else "connection_failed"


def _lines(failures: dict[str, OSError]) -> Iterable[str]:
    for place, error in failures.items():
        yield f"{place}: {_reason(error)}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return os.strerror(error.errno) if error.errno else scrub(str(error)) or type(error).__name__


def _of_proxy(way: Way) -> str:
    return f" (the proxy of {way.proxy.variable or 'the session'})" if way.proxy else ""


def _host(way: Way) -> str:
    return way.address.host if way.address else ""


def _names_remedy(address: Address) -> str:
    if "." not in address.host:
        return (
            "check the spelling; a name without a dot is known only in its own network, as that of a container in its "
            "Compose project"
        )
    return "check the spelling and this machine's name server, or write the IP address"
