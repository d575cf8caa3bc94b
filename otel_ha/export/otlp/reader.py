"""The readers that push, made from the configuration: OTLP over HTTP or gRPC, and the console."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.delivery import Delivery
from otel_ha.errors import ConfigError
from otel_ha.export.otlp.answer import Answer
from otel_ha.export.otlp.attempts import Attempts, Sender
from otel_ha.export.otlp.push import PushReader, WatchedExporter
from otel_ha.record.gate import CollectionGate
from otel_ha.scrub import scrub

_DELTA = AggregationTemporality.DELTA
# Which instruments are pushed as deltas; the others are cumulative. Source: OpenTelemetry specification, OTLP metrics
# exporter, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.
TEMPORALITY: dict[str, dict[type, AggregationTemporality]] = {
    "cumulative": {},
    "delta": {Counter: _DELTA, ObservableCounter: _DELTA, Histogram: _DELTA},
    "lowmemory": {Counter: _DELTA, Histogram: _DELTA},
}
# The ports of a Collector, by protocol. Source: OpenTelemetry specification, OTLP exporter, default endpoints.
_PORTS = {"grpc": 4317, "http/protobuf": 4318}


def otlp_reader(config: TelemetryConfig, gate: CollectionGate) -> PushReader:
    """Return the reader that pushes by OTLP; only the libraries of the chosen protocol are imported.

    Raises ConfigError if the protocol's library rejects a setting, or if grpc is chosen and cannot be imported.
    """
    sender = sender_of(config)
    if isinstance(sender, ConfigError):
        raise sender
    aggregation: dict[type, Aggregation] = {}
    if config.otlp_histogram_aggregation.startswith("base2"):
        aggregation[Histogram] = ExponentialBucketHistogramAggregation()
    target = config.otlp_metrics_url.partition("?")[0]  # the rest may be a token
    delivery = Delivery("otlp", target, config.export_interval)
    attempts = Attempts(sender, min(config.otlp_timeout, config.export_timeout))
    hint = _hint(config.otlp_protocol, config.otlp_metrics_url)
    proxies = [Url(url) for url in getproxies().values()]  # one may have a password, which errors of libraries quote
    watched = WatchedExporter(
        attempts, delivery, TEMPORALITY[config.otlp_temporality], aggregation, hint=hint, proxies=proxies
    )
    return PushReader(watched, delivery, config, gate)


def sender_of(config: TelemetryConfig) -> Sender | ConfigError:
    """Return the sender, or the error to raise once no exception is handled: a chained one may quote a secret."""
    grpc = config.otlp_protocol == "grpc"
    try:
        return _grpc_sender(config) if grpc else _http_sender(config)
    except (ImportError, LookupError, OSError, RuntimeError, ValueError) as error:
        if not (grpc and isinstance(error, ImportError)):
            # An invalid certificate, or a variable that only the push reads.
            return ConfigError(f"the OTLP exporter ({config.otlp_protocol}) rejects its settings: {scrub(str(error))}")
        allowed = "http/protobuf, or grpc if grpcio can be imported"
        return ConfigError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but its packages cannot be imported ({error}); allowed: {allowed}; "
            "run pip install opentelemetry-exporter-otlp-proto-grpc",
            setting="otlp_protocol",
            value="'grpc'",
            allowed=allowed,
        )


def console_reader(config: TelemetryConfig, gate: CollectionGate) -> PushReader:
    """Return the reader that prints."""
    delivery = Delivery("console", "the console", config.export_interval)
    return PushReader(WatchedExporter(_Console(), delivery, {}, {}), delivery, config, gate)


class _Console:
    """Prints what is pushed; see Pusher."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter  # noqa: PLC0415 - only when chosen

        self._exporter = ConsoleMetricExporter()

    def load(self) -> None:
        """Do nothing: everything is imported."""

    def push(self, metrics_data: MetricsData) -> Answer:
        """Print; an error is raised."""
        self._exporter.export(metrics_data)
        return Answer()

    def close_soon(self) -> None:
        """Do nothing: printing is not repeated."""

    def shutdown(self) -> None:
        """Do nothing."""


def _hint(protocol: str, url: str) -> str:
    """Return advice for pushes that fail, if the port is usually the other protocol's."""
    port = None
    with suppress(ValueError):  # gRPC has targets that are not URLs
        port = urlsplit(url if "//" in url else f"//{url}").port
    other = next((name for name, usual in _PORTS.items() if usual == port), protocol)
    if other == protocol:
        return ""
    return f"port {port} is usually for {other}: OTEL_EXPORTER_OTLP_PROTOCOL={other}, or port {_PORTS[protocol]}; "


def _http_sender(config: TelemetryConfig) -> Sender:
    from opentelemetry.exporter.otlp.proto.common.version import __version__  # noqa: PLC0415 - only when chosen

    from otel_ha.export.otlp.by_http import HttpSender  # noqa: PLC0415
    from otel_ha.export.otlp.transport import transport_to  # noqa: PLC0415

    certificate, key = config.otlp_client_certificate, config.otlp_client_key
    transport = transport_to(
        config.otlp_metrics_url,
        str(config.otlp_certificate) if config.otlp_certificate else None,
        (str(certificate), str(key)) if certificate and key else str(certificate) if certificate else None,
    )
    headers = {"user-agent": f"OTel-OTLP-Exporter-Python/{__version__}", **config.otlp_request_headers}
    return HttpSender(transport, config.otlp_metrics_url, headers, config.otlp_compression)


def _grpc_sender(config: TelemetryConfig) -> Sender:
    from otel_ha.export.otlp.by_grpc import GrpcSender  # noqa: PLC0415 - only when chosen

    return GrpcSender(config)
