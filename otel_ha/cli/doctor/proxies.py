"""The layer of proxies: which variables name one, and whether it applies to the receiver."""

from __future__ import annotations

import os
from typing import Final

from otel_ha.cli.doctor.look import Look, fine
from otel_ha.cli.doctor.way import Way
from otel_ha.scrub import mask_url

__all__ = ["look_at_proxies"]

_HTTP: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_GRPC: Final = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy")


def look_at_proxies(way: Way) -> Look:
    """Ask the sender by which proxy it pushes, and compare the variables."""
    names = _GRPC if way.is_grpc else _HTTP
    given = {
        each: mask_url(value) for name in names for each in (name, name.upper()) if (value := os.environ.get(each))
    }
    tried = ", ".join(f"{name}={value}" for name, value in given.items()) or f"none of {', '.join(names)} is set"
    facts = {"variables": given, "proxy": str(way.proxy) if way.proxy else None}
    if way.proxy is not None:
        return fine(tried, f"pushes go through {way.proxy}", **facts)
    if not any(not name.lower().startswith("no_") for name in given):
        return fine(tried, "pushes go straight to the receiver", **facts)
    return fine(tried, f"pushes go straight to the receiver: {_why_not(way, given)}", **facts)


def _why_not(way: Way, given: dict[str, str]) -> str:
    """Return why no proxy applies although variables name some."""
    if way.is_grpc and not any(name.islower() for name in given if not name.lower().startswith("no_")):
        return "gRPC reads these variables in lower case only"
    if way.is_grpc and not os.environ[_first(given)].startswith("http://"):
        return f"gRPC takes a proxy only if {_first(given)} is written http://HOST:PORT"
    if excepting := [name for name in given if name.lower().startswith("no_")]:
        return f"{' or '.join(excepting)} excepts it, or none of them is for this kind of URL"
    return "none of these variables is for this kind of URL"


def _first(given: dict[str, str]) -> str:
    """Return the variable that gRPC looks at, the first one in its order."""
    return next(name for name in _GRPC if name in given and not name.startswith("no_"))
