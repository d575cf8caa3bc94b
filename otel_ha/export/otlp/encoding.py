"""Requests, encoded by OpenTelemetry, whose encoders are imported when the first one is made."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from otel_ha.declare.plain import LIMIT
from otel_ha.export.otlp.parts import number_of_points
from otel_ha.export.otlp.template import Template


class MetricsEncoder:
    """Encodes the requests of pushes; the last one is kept as a template of the next one if no series were added."""

    def __init__(self) -> None:
        self._template: Template | None = None
        self._points = 0

    def __call__(self, data: Any) -> bytes:
        """Return the request with MetricsData; of None, import what that needs."""
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415 - when chosen

        if data is None:
            return b""
        # Taken out: if anything is raised, it is half filled, and not used again.
        template, self._template = self._template, None
        if template is not None:
            with suppress(Exception):  # encode_metrics() knows what to do, or raises the same again
                encoded = template.filled(data)
                self._template = template
                return encoded
        try:
            request = encode_metrics(data)
        except Exception:  # noqa: BLE001 - its class is private; an error of another kind is raised again
            return bytes(encode_metrics(_encodable(data)).SerializeToString())
        with suppress(Exception):  # not covered
            before, self._points = self._points, number_of_points(data)
            if self._points == before:  # new series are seldom alone, and a template does not cover them
                self._template = Template(data, request)
        return bytes(request.SerializeToString())


def encoded_spans(data: Any) -> bytes:
    """Return the request with ended spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - when chosen

    return b"" if data is None else bytes(encode_spans(data).SerializeToString())


def _encodable(data: Any) -> Any:
    """Return MetricsData without the values that OTLP has no way to write, and that would cost the whole push.

    Integers of more than 64 bits, as sums may become and exemplars may be, are floats. In descriptions, and in the
    names of libraries, half of a surrogate pair is "?".
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
    return _replaced(_with_number(point), "exemplars", _with_number)


def _with_number(point: Any) -> Any:
    """Return a point or an exemplar whose value can be written."""
    value = getattr(point, "value", None)
    if isinstance(value, int) and not -LIMIT <= value < LIMIT:
        return replace(point, value=float(value))
    return point


def _replaced(whole: Any, field: str, change: Any) -> Any:
    """Return a copy of a dataclass with each item of a sequence changed."""
    return replace(whole, **{field: [change(each) for each in getattr(whole, field)]})
