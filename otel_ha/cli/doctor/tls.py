"""The layer of TLS on the way to the Collector: certificates of both sides, and servers that do not speak it."""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path
from typing import Final

from urllib3.util.ssl_ import create_urllib3_context

from otel_ha.cli.doctor.look import Look, fault, fine, not_needed
from otel_ha.cli.doctor.speech import CLOSED, heard, speaks_plain
from otel_ha.cli.doctor.way import Way
from otel_ha.config.otlp import OtlpSettings
from otel_ha.export.otlp.answer import excerpt

__all__ = ["look_at_tls"]

# Source: OpenSSL, x509_vfy.h, X509_V_ERR_…
_NOT_YET, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_UNTRUSTED: Final = (
    "certificate_untrusted",
    "name the certificate of the authority that signed it by OTEL_EXPORTER_OTLP_CERTIFICATE",
)
_BY_CODE: Final = {
    _NOT_YET: ("certificate_not_yet_valid", "set this machine's clock, or wait until the certificate is valid"),
    _EXPIRED: ("certificate_expired", "renew the Collector's certificate; if it is valid, set this machine's clock"),
    _WRONG_NAME: ("certificate_name", "name the Collector as its certificate does, or issue one for this name"),
    _WRONG_ADDRESS: ("certificate_name", "name the Collector as its certificate does, or issue one for this address"),
}
_PLAIN: Final = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH",
    "HTTP_REQUEST",
    "UNEXPECTED_MESSAGE",
    "UNEXPECTED_EOF",
)
_OF_CLIENT: Final = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "HANDSHAKE_FAILURE",
    "CERTIFICATE_UNKNOWN",
)
_OF_VERSION: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "INSUFFICIENT_SECURITY")


def look_at_tls(way: Way) -> Look:
    """Shake hands as a push would, and say the first words: a client's certificate is only missed then."""
    if way.is_opaque:
        return not_needed("the push below shows it")
    if not way.otlp.secure:
        return not_needed("the settings ask for none")
    host = way.address.host if way.address else ""
    tried = f"shake hands with {host}, trusting {_trusted(way.otlp)}"
    try:
        way.context = context = _context(way)
    except (OSError, ValueError) as error:
        remedy = "check the files of OTEL_EXPORTER_OTLP_CERTIFICATE, …_CLIENT_CERTIFICATE and …_CLIENT_KEY"
        return fault(tried, excerpt(str(error)), "certificate_unreadable", remedy)
    deadline = time.monotonic() + way.limit
    try:
        with (
            way.connected(way.places[0], deadline) as sock,
            context.wrap_socket(sock, server_hostname=host) as secured,
        ):
            way.version, peer = secured.version() or "TLS", secured.getpeercert() or {}
            way.reply = heard(way, secured, deadline)
    except OSError as error:
        if isinstance(error, TimeoutError) and way.version:
            return fine(tried, f"{way.version}; the server then does not answer")  # which the next layer reports
        return _failed(way, tried, error)
    valid_until = str(peer.get("notAfter", ""))
    return fine(tried, f"{way.version}, certificate valid until {valid_until}", valid_until=valid_until)


def _context(way: Way) -> ssl.SSLContext:
    """Return the settings of TLS that a push has."""
    context, trusted, otlp = create_urllib3_context(), _trusted(way.otlp), way.otlp
    context.load_verify_locations(**{"capath" if trusted.is_dir() else "cafile": str(trusted)})
    if otlp.client_certificate is not None:
        context.load_cert_chain(otlp.client_certificate, otlp.client_key)
    context.set_alpn_protocols(["h2"] if way.is_grpc else ["http/1.1"])
    return context


def _trusted(otlp: OtlpSettings) -> Path:
    """Return the certificates to trust."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # noqa: PLC0415 - only with TLS

    if otlp.certificate is not None:
        return otlp.certificate
    grpc = ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",)
    variables = grpc if otlp.protocol == "grpc" else ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return Path(next(filter(None, map(os.environ.get, variables)), DEFAULT_CA_BUNDLE_PATH))


def _failed(way: Way, tried: str, error: OSError) -> Look:
    """Return the look at a handshake that fails."""
    if isinstance(error, TimeoutError):
        remedy = "the server accepts connections but does not speak: is it overloaded, stopped, or not a Collector?"
        return fault(tried, f"connected, but no answer within {way.limit:g} s", "no_answer", remedy)
    found = excerpt(str(error)) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        cause, remedy = _BY_CODE.get(error.verify_code, _UNTRUSTED)
        return fault(tried, f"{found}", cause, remedy, verify_code=error.verify_code)
    reason = getattr(error, "reason", None) or ""
    if (not reason or "UNEXPECTED_EOF" in reason) and not speaks_plain(way):
        return fault(tried, f"the server ends the handshake: {found}", "connection_closed", CLOSED)
    cause, remedy = _by_reason(way, reason)
    return fault(tried, found, cause, remedy)


def _by_reason(way: Way, reason: str) -> tuple[str, str]:
    """Return the cause and the remedy of an error that OpenSSL names so; a plain server may just end the connection."""
    has_one = way.otlp.client_certificate is not None
    if not reason or any(part in reason for part in _PLAIN):
        return "tls_not_spoken", (
            f"this port does not speak TLS: write http:// instead of https://"
            f"{', or OTEL_EXPORTER_OTLP_INSECURE=true' if way.is_grpc and '://' not in way.url else ''}"
        )
    if "NO_APPLICATION_PROTOCOL" in reason:
        other = "http/protobuf" if way.is_grpc else "grpc"
        cause = "grpc_to_http_port" if way.is_grpc else "http_to_grpc_port"
        return cause, f"this port speaks the other protocol: OTEL_EXPORTER_OTLP_PROTOCOL={other}, or the other port"
    if any(part in reason for part in _OF_VERSION):
        return "tls_version", "server and client have no version or cipher of TLS in common: update the older one"
    if any(part in reason for part in _OF_CLIENT):
        if has_one:
            return (
                "client_certificate_refused",
                "present one that an authority of the Collector's client_ca_file signed",
            )
        return "client_certificate_required", (
            "name the certificate to present by OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, its key by …_CLIENT_KEY"
        )
    return "tls_failed", "read the reason, and the Collector's log"
