"""The layer of the protocol: whether the port really speaks HTTP/1.1, or HTTP/2 as gRPC does."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import urlsplit

from otel_ha.cli.doctor.look import Look, fault, fine, not_needed
from otel_ha.cli.doctor.speech import CLOSED, Tongue, heard, speaks_other, speaks_tls, tongue_of
from otel_ha.cli.doctor.way import PORTS, Way
from otel_ha.export.otlp.answer import excerpt

__all__ = ["look_at_protocol", "other_protocol"]

_BAD_REQUEST: Final = b" 400 "
_SHOWN: Final = 100


def look_at_protocol(way: Way) -> Look:
    """Say the first words of the protocol, and look at the first words of the answer."""
    if way.is_opaque:
        return not_needed("the push below shows it")
    if way.proxy is not None and not way.is_tunnel:
        return not_needed("the proxy answers here; the push below shows what is behind it")
    expected = Tongue.HTTP_2 if way.is_grpc else Tongue.HTTP_1
    tried = f"speak {expected}" + (" as gRPC does" if way.is_grpc else ".1")
    try:
        reply = _reply(way)
    except TimeoutError:
        remedy = "the server accepts connections but does not speak: is it overloaded, stopped, or not a Collector?"
        return fault(tried, f"connected, but no answer within {way.limit:g} s", "no_answer", remedy)
    except OSError as error:
        return fault(tried, excerpt(str(error)), "connection_closed", CLOSED)
    return _judged(way, tried, reply, expected)


def _judged(way: Way, tried: str, reply: bytes, expected: Tongue) -> Look:
    """Return the look at the first bytes of an answer."""
    tongue = tongue_of(reply)
    # A server of Go answers plain text at a port with TLS by 400, and others end the connection.
    may_be_tls = tongue in {Tongue.TLS, Tongue.NOTHING} or _BAD_REQUEST in reply[:20]
    if not way.otlp.secure and may_be_tls and speaks_tls(way):
        remedy = "this port speaks TLS: write https:// instead of http://"
        if way.is_grpc:
            remedy += " (and no OTEL_EXPORTER_OTLP_INSECURE=true)"
        return fault(tried, f"the answer is {_shown(reply)}; TLS works", "tls_expected", remedy)
    if tongue is expected:
        return fine(tried, f"the answer is {tongue}")
    if tongue in {Tongue.HTTP_1, Tongue.HTTP_2}:
        return other_protocol(way, tried, f"the answer is {tongue}")
    if speaks_other(way):
        return other_protocol(way, tried, f"the answer is {_shown(reply)}")
    if tongue is Tongue.NOTHING:
        return fault(tried, "the server ends the connection without an answer", "connection_closed", CLOSED)
    remedy = "another program listens at this port: name the Collector's address by OTEL_EXPORTER_OTLP_ENDPOINT"
    return fault(tried, f"the answer is {_shown(reply)}", "not_http", remedy)


def other_protocol(way: Way, tried: str, found: str) -> Look:
    """Return the look at a port that speaks the other one of the two protocols."""
    other = "http/protobuf" if way.is_grpc else "grpc"
    usual = PORTS[way.otlp.protocol]
    scheme = "https" if way.otlp.secure else "http"
    host = way.address.host if way.address else ""
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{usual}"
    port = urlsplit(f"//{way.address}").port
    name = "an HTTP port" if way.is_grpc else "a gRPC port"
    return fault(
        tried,
        f"{found}: port {port} is {name}",
        "grpc_to_http_port" if way.is_grpc else "http_to_grpc_port",
        f"use {url}, where the Collector usually speaks {way.otlp.protocol}, or OTEL_EXPORTER_OTLP_PROTOCOL={other}",
    )


def _reply(way: Way) -> bytes:
    if way.reply is not None:
        return way.reply
    if way.version:
        raise TimeoutError  # TLS has waited for the answer already
    deadline = time.monotonic() + way.limit
    with way.connected(way.places[0], deadline) as sock:
        return heard(way, sock, deadline)


def _shown(reply: bytes) -> str:
    """Return the beginning of an answer in a readable form."""
    line = reply.partition(b"\n")[0][:_SHOWN].strip()
    if line and line.isascii() and line.decode("ascii").isprintable():
        return f"“{excerpt(line)}”"
    return f"the bytes {reply[:8].hex(' ')}" if reply else "empty"
