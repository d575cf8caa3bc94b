"""The readers that push, made from the configuration: OTLP over HTTP or gRPC, and the console."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.util.re import parse_env_headers

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.delivery import Delivery
from otel_ha.errors import ConfigError
from otel_ha.export.otlp.push import LAST_TRY, PushReader, WatchedExporter
from otel_ha.export.otlp.transport import omit_headers, transport_arguments
from otel_ha.record.gate import CollectionGate
from otel_ha.scrub import scrub

_logger = logging.getLogger("otel_ha")

_DELTA = AggregationTemporality.DELTA
# Which instruments are pushed as deltas; the others are cumulative. Source: OpenTelemetry specification, OTLP metrics
# exporter, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.
_TEMPORALITY: dict[str, dict[type, AggregationTemporality]] = {
    "cumulative": {},
    "delta": {Counter: _DELTA, ObservableCounter: _DELTA, Histogram: _DELTA},
    "lowmemory": {Counter: _DELTA, Histogram: _DELTA},
}
# The ports of a Collector, by protocol. Source: OpenTelemetry specification, OTLP exporter, default endpoints.
_PORTS = {"grpc": 4317, "http/protobuf": 4318}
_KINDS = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)


def otlp_reader(config: TelemetryConfig, gate: CollectionGate) -> PushReader:
    """Return the reader that pushes by OTLP; only the chosen exporter is imported.

    Raises ConfigError if the exporter refuses its settings, or if grpc is chosen and cannot be imported.
    """
    exporter = _exporter(config)
    if isinstance(exporter, ConfigError):
        raise exporter
    aggregation: dict[type, Aggregation] = {}
    if config.otlp_histogram_aggregation.startswith("base2"):
        aggregation[Histogram] = ExponentialBucketHistogramAggregation()
    # Every kind is named: the exporter would take a missing one from the environment, and an argument has priority.
    temporality = dict.fromkeys(_KINDS, AggregationTemporality.CUMULATIVE) | _TEMPORALITY[config.otlp_temporality]
    target = config.otlp_metrics_url.partition("?")[0]  # the rest may be a token
    delivery = Delivery("otlp", target)
    # The gRPC exporter reports the same failure only once, so its first failure has to be the last try.
    last_try = 0.0 if config.otlp_protocol == "grpc" else LAST_TRY
    hint = _hint(config.otlp_protocol, config.otlp_metrics_url)
    proxies = [Url(url) for url in getproxies().values()]  # one may have a password, which errors of libraries quote
    watched = WatchedExporter(
        exporter, delivery, temporality, aggregation, last_try=last_try, hint=hint, proxies=proxies
    )
    return PushReader(watched, delivery, config, gate)


def _exporter(config: TelemetryConfig) -> MetricExporter | ConfigError:
    """Return the exporter, or the error to raise once no exception is handled: a chained one may quote a secret."""
    grpc = config.otlp_protocol == "grpc"
    try:
        return _grpc_exporter(config) if grpc else _http_exporter(config)
    except (ImportError, LookupError, OSError, RuntimeError, ValueError) as error:
        if not (grpc and isinstance(error, ImportError)):
            # An invalid certificate, or a variable that only the exporter reads.
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
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter  # noqa: PLC0415 - only when chosen

    delivery = Delivery("console", "the console")
    return PushReader(WatchedExporter(ConsoleMetricExporter(), delivery, {}, {}), delivery, config, gate)


def _hint(protocol: str, url: str) -> str:
    """Return advice for pushes that fail, if the port is usually the other protocol's."""
    port = None
    with suppress(ValueError):  # gRPC has targets that are not URLs
        port = urlsplit(url if "//" in url else f"//{url}").port
    other = next((name for name, usual in _PORTS.items() if usual == port), protocol)
    if other == protocol:
        return ""
    return f"port {port} is usually for {other}: OTEL_EXPORTER_OTLP_PROTOCOL={other}, or port {_PORTS[protocol]}; "


def _http_exporter(config: TelemetryConfig) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415 - only when chosen
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    # The exporter adds headers of the environment to those that it is given. The configuration's headers are complete:
    # the environment's are among them, unless an argument overrides them.
    omit = _headers_of_the_environment() - config.otlp_request_headers.keys()
    transport = transport_arguments(OTLPMetricExporter, config.otlp_metrics_url, omit)
    exporter = OTLPMetricExporter(
        endpoint=config.otlp_metrics_url,
        certificate_file=str(config.otlp_certificate) if config.otlp_certificate else None,
        client_key_file=str(config.otlp_client_key) if config.otlp_client_key else None,
        client_certificate_file=str(config.otlp_client_certificate) if config.otlp_client_certificate else None,
        headers=config.otlp_request_headers,
        timeout=config.otlp_timeout,
        compression=Compression(config.otlp_compression),
        **transport,
    )
    if omit and not transport and not omit_headers(exporter, omit):
        _logger.warning(
            "the OTLP exporter also sends these headers of the environment: %s; remove them from "
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS or OTEL_EXPORTER_OTLP_HEADERS",
            ", ".join(sorted(omit)),
        )
    return exporter


def _headers_of_the_environment() -> set[str]:
    variables = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
    given = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    return set(parse_env_headers(given, liberal=True))


def _grpc_exporter(config: TelemetryConfig) -> MetricExporter:
    import grpc  # noqa: PLC0415 - only when chosen
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    def content(path: Any) -> bytes | None:
        return path.read_bytes() if path else None

    credentials = None
    if config.otlp_secure:
        credentials = grpc.ssl_channel_credentials(
            content(config.otlp_certificate), content(config.otlp_client_key), content(config.otlp_client_certificate)
        )
    compression = grpc.Compression.Gzip if config.otlp_compression == "gzip" else grpc.Compression.NoCompression
    return OTLPMetricExporter(
        endpoint=config.otlp_metrics_url,
        insecure=not config.otlp_secure,
        credentials=credentials,
        headers=tuple((key.lower(), value) for key, value in config.otlp_request_headers.items()),
        timeout=config.otlp_timeout,
        compression=compression,
    )
