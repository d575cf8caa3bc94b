"""A request with a single series, made by the SDK and its encoder, as those of services are."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.export.otlp.reader import TEMPORALITY

_SCOPE = "otel-ha.doctor"
"""A scope of ours gets no label otel_scope_name in the Collector."""


def single_count(
    config: TelemetryConfig, resource: Mapping[str, str | bool | int | float], name: str, attributes: Mapping[str, str]
) -> bytes:
    """Return a request with one counter that counts 1 now, in the temporality of the settings."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415 - only here

    reader = InMemoryMetricReader(TEMPORALITY[config.otlp_temporality])
    provider = MeterProvider([reader], Resource(dict(resource)), shutdown_on_exit=False)
    try:
        provider.get_meter(_SCOPE).create_counter(name).add(1, dict(attributes))
        data = reader.get_metrics_data()
        return b"" if data is None else bytes(encode_metrics(data).SerializeToString())
    finally:
        provider.shutdown()
