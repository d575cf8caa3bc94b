"""The requests of each signal, encoded by OpenTelemetry; its encoders are imported when the first one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def encoded_metrics(data: Any) -> bytes:
    """Return the request with MetricsData."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_metrics(data).SerializeToString())


def encoded_spans(data: Any) -> bytes:
    """Return the request with ended spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_spans(data).SerializeToString())


def encoded_records(data: Any) -> bytes:
    """Return the request with log records."""
    from otel_ha.export.signals.sdk import logs_encoder  # noqa: PLC0415 - when chosen

    encode = logs_encoder().encode_logs
    return b"" if data is None else bytes(encode(data).SerializeToString())


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "metrics": encoded_metrics,
    "traces": encoded_spans,
    "logs": encoded_records,
}
