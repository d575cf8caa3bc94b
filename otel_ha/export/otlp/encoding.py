"""Requests, encoded by OpenTelemetry, whose encoders are imported when the first one is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otel_ha.declare.plain import LIMIT


def encoded_metrics(data: Any) -> bytes:
    """Return the request with MetricsData."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415 - when chosen

    if data is None:
        return b""
    try:
        request = encode_metrics(data)
    except Exception:  # noqa: BLE001 - its class is private; an error of another kind is raised again
        request = encode_metrics(_encodable(data))
    return bytes(request.SerializeToString())


def encoded_spans(data: Any) -> bytes:
    """Return the request with ended spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_spans(data).SerializeToString())


def _encodable(data: Any) -> Any:
    """Return MetricsData without the values that OTLP has no way to write, and that would cost the whole push.

    Integers of more than 64 bits, as sums may become, are floats. In descriptions, and in the names of libraries, half
    of a surrogate pair is "?".
    """
    return _replaced(data, "resource_metrics", lambda resource: _replaced(resource, "scope_metrics", _scope))


def _scope(metrics: Any) -> Any:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - when it is needed

    known = metrics.scope
    scope = InstrumentationScope(_text(known.name), _text(known.version), _text(known.schema_url), known.attributes)
    return replace(_replaced(metrics, "metrics", _metric), scope=scope, schema_url=_text(metrics.schema_url))


def _text(text: str | None) -> str:
    return (text or "").encode(errors="replace").decode()


def _metric(metric: Any) -> Any:
    return replace(metric, description=_text(metric.description), data=_replaced(metric.data, "data_points", _point))


def _point(point: Any) -> Any:
    value = getattr(point, "value", None)
    if isinstance(value, int) and not -LIMIT <= value < LIMIT:
        return replace(point, value=float(value))
    return point


def _replaced(whole: Any, field: str, change: Any) -> Any:
    """Return a copy of a dataclass with each item of a sequence changed."""
    return replace(whole, **{field: [change(each) for each in getattr(whole, field)]})
