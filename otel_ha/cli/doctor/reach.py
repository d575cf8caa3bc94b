"""Reaching servers: a client for a URL, and the causes of requests that fail."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from queue import Empty
from typing import Final
from urllib.parse import urlsplit

import urllib3

from otel_ha.cli.client import Access, Client, FailedError
from otel_ha.config.hosts import host_name, is_loopback

__all__ = ["cause_of", "client_for", "is_this_machine", "quoted", "remedy_for"]

_CONTAINER_HOSTS: Final = frozenset({"host.docker.internal", "host.containers.internal", "localhost"})
_LONGEST_QUOTE: Final = 160
_MOMENT: Final = 2.0
"""Seconds for a second look at a connection."""

_REMEDIES: Final = {
    "connection_refused": "start the service, or check the host and the port",
    "unknown_host": "check the spelling of the host, and the machine's DNS",
    "unreachable": "check the address, the network, and firewalls between here and there",
    "no_answer": "the program hangs or is overloaded: look at its log, restart it, or give it longer by --timeout",
    "tls_certificate": "give the certificate of its authority by --ca FILE, and use a host that the certificate names",
    "tls_client_certificate": "give a certificate that it accepts by --client-certificate FILE (and --client-key)",
    "tls_expected": "write https:// instead of http:// in the URL",
    "tls_not_spoken": "write http:// instead of https:// in the URL",
    "not_http": "another program answers at this port: check the port",
    "connection_closed": "look at the log of the program that answers there",
}


def client_for(url: str, access: Access, *, shares_password: bool) -> Client:
    """Return a client of the server at this URL; a user and a password in the URL are used, and not shown.

    `shares_password` is whether the server may be sent the password in `access`. Raises TelemetryError for a text that
    is not an http(s) URL.
    """
    if not shares_password:
        access = replace(access, username=None, password=None)
    return access.client(url)


def cause_of(error: FailedError, client: Client) -> str:
    """Return the cause of a request without a response, as a stable word."""
    found = next((cause for each in _chain(error) if (cause := _cause(each)) is not None), "connection_closed")
    if found not in {"connection_closed", "no_answer", "not_http"}:
        return found
    # Only a look at the connection itself tells why it ended without a response.
    if client.url.startswith("http://"):
        return "tls_expected" if found != "no_answer" and _tls_ends_with(client) is not None else found
    if _speaks_plain_http(client):
        return "tls_not_spoken"
    reason = _tls_ends_with(client) if found == "connection_closed" else None
    return _tls_cause(reason) if reason else found


def remedy_for(cause: str) -> str:
    """Return the remedy for a cause that cause_of() returns."""
    return _REMEDIES[cause]


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, also as containers call it."""
    try:
        name = host_name(f"[{host}]" if ":" in host else host)
    except ValueError:
        return False
    names = {*_CONTAINER_HOSTS, "0.0.0.0", "::", socket.gethostname().lower(), socket.getfqdn().lower()}  # noqa: S104 - compared
    return name in names or is_loopback(name) or name in _own_addresses()


def quoted(text: str) -> str:
    """Return the beginning of a text from outside, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]} …"


def _own_addresses() -> set[str]:
    import psutil  # noqa: PLC0415 - it takes time, and few hosts get here

    try:
        found = psutil.net_if_addrs()
    except OSError:
        return set()
    return {address.address.partition("%")[0] for addresses in found.values() for address in addresses}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost one first."""
    chain: list[BaseException] = [error]
    while (inner := getattr(chain[-1], "reason", None) or chain[-1].__cause__ or chain[-1].__context__) is not None:
        if not isinstance(inner, BaseException) or inner in chain:
            break
        chain.append(inner)
    yield from reversed(chain)


def _cause(error: BaseException) -> str | None:  # noqa: PLR0911 - a table
    match error:
        case ssl.SSLCertVerificationError() | ssl.CertificateError():
            return "tls_certificate"
        case ssl.SSLError():
            return _tls_cause(str(error))
        case ConnectionRefusedError():
            return "connection_refused"
        case socket.gaierror() | UnicodeError() | urllib3.exceptions.LocationParseError():
            return "unknown_host"
        case urllib3.exceptions.ConnectTimeoutError():
            return "unreachable"
        case Empty() | TimeoutError() | urllib3.exceptions.ReadTimeoutError():
            return "no_answer"
        case http.client.RemoteDisconnected() | ConnectionError():
            return "connection_closed"
        case http.client.HTTPException():
            return "not_http"
        case OSError() if error.errno is not None:
            return "unreachable"
    return None


def _tls_cause(reason: str) -> str:
    if "CERTIFICATE_REQUIRED" in reason or "ALERT_UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason:
        return "tls_client_certificate"
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason or "PACKET_LENGTH" in reason:
        return "tls_not_spoken"
    return "tls_certificate" if "CERTIFICATE" in reason else "connection_closed"


def _tls_ends_with(client: Client) -> str | None:
    """Return the error with which the server ends TLS before a request, empty without one; None if it has no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(client) as plain, context.wrap_socket(plain) as secured:
            try:
                secured.recv(1)
            except TimeoutError:
                return ""
            except OSError as error:
                return str(error)
            return ""
    except (OSError, ValueError):
        return None


def _speaks_plain_http(client: Client) -> bool:
    try:
        with _connected(client) as plain:
            plain.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return plain.recv(5) == b"HTTP/"
    except OSError:
        return False


def _connected(client: Client) -> socket.socket:
    parts = urlsplit(client.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return socket.create_connection((parts.hostname or "", port), min(client.access.timeout, _MOMENT))
