"""The readers that push, made from the configuration: OTLP over HTTP or gRPC, and the console."""

from __future__ import annotations

from urllib.request import getproxies

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.encoding import MetricsEncoder
from otel_ha.export.otlp.parts import parts_of
from otel_ha.export.otlp.push import PushReader, WatchedExporter
from otel_ha.export.otlp.senders import attempts_of, hint_of
from otel_ha.export.otlp.watch import Console, Outages, Watch
from otel_ha.record.gate import CollectionGate

_DELTA = AggregationTemporality.DELTA
# Which instruments are pushed as deltas; the others are cumulative. Source: OpenTelemetry specification, OTLP metrics
# exporter, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.
TEMPORALITY: dict[str, dict[type, AggregationTemporality]] = {
    "cumulative": {},
    "delta": {Counter: _DELTA, ObservableCounter: _DELTA, Histogram: _DELTA},
    "lowmemory": {Counter: _DELTA, Histogram: _DELTA},
}


def otlp_reader(config: TelemetryConfig, gate: CollectionGate, outages: Outages) -> PushReader:
    """Return the reader that pushes by OTLP; only the libraries of the chosen protocol are imported.

    Raises ConfigError if the protocol's library rejects a setting, or if grpc is chosen and cannot be imported.
    """
    otlp = config.otlp("metrics")
    aggregation: dict[type, Aggregation] = {}
    if config.otlp_histogram_aggregation.startswith("base2"):
        aggregation[Histogram] = ExponentialBucketHistogramAggregation()
    delivery = Delivery("otlp", otlp.target, config.export_interval)
    attempts = attempts_of(otlp, min(otlp.timeout, config.export_timeout), MetricsEncoder(), parts_of)
    watch = Watch(delivery, outages, hint=hint_of(otlp), proxies=[Url(url) for url in getproxies().values()])
    return PushReader(WatchedExporter(attempts, watch, TEMPORALITY[config.otlp_temporality], aggregation), config, gate)


def console_reader(config: TelemetryConfig, gate: CollectionGate) -> PushReader:
    """Return the reader that prints."""
    delivery = Delivery("console", "the console", config.export_interval)
    console = Console(ConsoleMetricExporter())
    return PushReader(WatchedExporter(console, Watch(delivery, Outages()), {}, {}), config, gate)
