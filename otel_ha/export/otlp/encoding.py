"""Requests, encoded by OpenTelemetry, whose encoders are imported when the first one is made."""

from __future__ import annotations

from typing import Any


def encoded_metrics(data: Any) -> bytes:
    """Return the request with MetricsData."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_metrics(data).SerializeToString())


def encoded_spans(data: Any) -> bytes:
    """Return the request with ended spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_spans(data).SerializeToString())
