"""Names of hosts: the form in which they are compared."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["host_name", "is_loopback"]

# RFC 3986, 3.2.2, without the characters that no name of a host has; an IPv6 address may have a zone.
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[A-Za-z0-9._~%-]*)?\]|([A-Za-z0-9._~-]*?)\.?)(?::[0-9]*)?")


def host_name(text: str) -> str:
    """Return the host of a Host header or an authority, in lower case, without port, brackets, zone and trailing dot.

    An IPv6 address has its shortest form; one that stands for an IPv4 address becomes that. Raises ValueError if `text`
    is not a host with an optional port.
    """
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError
    address, name = found.groups()
    if address is None:
        return str(name).lower()
    # Imported only here, because that is slow.
    from ipaddress import IPv6Address  # noqa: PLC0415

    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or parsed)


def is_loopback(name: str) -> bool:
    """Whether a name that host_name() returned is an address of the loopback interface."""
    from ipaddress import ip_address  # noqa: PLC0415 - see above

    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
