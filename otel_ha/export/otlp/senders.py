"""The senders of a signal's pushes, made from its settings; only the libraries of the chosen protocol are imported."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from otel_ha.config.otlp import OtlpSettings
from otel_ha.errors import ConfigError
from otel_ha.export.otlp.attempts import Attempts, Encode, Sender, Split, whole
from otel_ha.scrub import scrub

# The ports of a Collector, by protocol. Source: OpenTelemetry specification, OTLP exporter, default endpoints.
_PORTS = {"grpc": 4317, "http/protobuf": 4318}


def sender_of(otlp: OtlpSettings) -> Sender | ConfigError:
    """Return the sender, or the error to raise once no exception is handled: a chained one may quote a secret."""
    grpc = otlp.protocol == "grpc"
    try:
        return _grpc_sender(otlp) if grpc else _http_sender(otlp)
    except (ImportError, LookupError, OSError, RuntimeError, ValueError) as error:
        if not (grpc and isinstance(error, ImportError)):
            # An invalid certificate, or a variable that only the push reads.
            return ConfigError(f"the OTLP exporter ({otlp.protocol}) rejects its settings: {scrub(str(error))}")
        allowed = "http/protobuf, or grpc if grpcio can be imported"
        return ConfigError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but its packages cannot be imported ({error}); allowed: {allowed}; "
            "run pip install opentelemetry-exporter-otlp-proto-grpc",
            setting="otlp_protocol",
            value="'grpc'",
            allowed=allowed,
        )


def attempts_of(otlp: OtlpSettings, limit: float, encode: Encode, split: Split = whole) -> Attempts:
    """Return the attempts to push a signal, within `limit` seconds for each push; see Attempts.

    Raises ConfigError if the protocol's library rejects a setting, or if grpc is chosen and cannot be imported.
    """
    sender = sender_of(otlp)
    if isinstance(sender, ConfigError):
        raise sender
    return Attempts(sender, limit, encode, split)


def hint_of(otlp: OtlpSettings) -> str:
    """Return advice for pushes that fail, if the port is usually the other protocol's."""
    port = None
    with suppress(ValueError):  # gRPC has targets that are not URLs
        port = urlsplit(otlp.url if "//" in otlp.url else f"//{otlp.url}").port
    other = next((name for name, usual in _PORTS.items() if usual == port), otlp.protocol)
    if other == otlp.protocol:
        return ""
    return f"port {port} is usually for {other}: OTEL_EXPORTER_OTLP_PROTOCOL={other}, or port {_PORTS[otlp.protocol]}; "


def _http_sender(otlp: OtlpSettings) -> Sender:
    from opentelemetry.exporter.otlp.proto.common.version import __version__  # noqa: PLC0415 - only when chosen

    from otel_ha.export.otlp.by_http import HttpSender  # noqa: PLC0415
    from otel_ha.export.otlp.transport import transport_to  # noqa: PLC0415

    certificate, key = otlp.client_certificate, otlp.client_key
    transport = transport_to(
        otlp.url,
        str(otlp.certificate) if otlp.certificate else None,
        (str(certificate), str(key)) if certificate and key else str(certificate) if certificate else None,
        otlp.signal,
    )
    headers = {"user-agent": f"OTel-OTLP-Exporter-Python/{__version__}", **otlp.plain_headers()}
    return HttpSender(transport, otlp.url, headers, otlp.compression)


def _grpc_sender(otlp: OtlpSettings) -> Sender:
    from otel_ha.export.otlp.by_grpc import GrpcSender  # noqa: PLC0415 - only when chosen

    return GrpcSender(otlp)
