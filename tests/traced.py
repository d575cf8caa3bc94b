"""Traces on, with the SDK's tracer and the spans in memory, for tests of measured work."""

from __future__ import annotations

from typing import Any, Self

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ha.declare.spans import SPANS

_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class Traced:
    """Spans of measured work are opened until the block ends."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def __enter__(self) -> Self:
        SPANS.open_by(self.tracer)
        return self

    def __exit__(self, *_: object) -> None:
        SPANS.open_by(None)
        self.provider.shutdown()

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in the order of their ends."""
        return self.exporter.get_finished_spans()

    @property
    def one(self) -> ReadableSpan:
        """The only span that has ended."""
        [span] = self.spans
        return span


class in_a_span:  # noqa: N801 - reads like a statement
    """Runs the block in a sampled span of other code."""

    def __enter__(self) -> None:
        self._token = attach(set_span_in_context(NonRecordingSpan(_SAMPLED)))

    def __exit__(self, *_: object) -> None:
        detach(self._token)


def current() -> Any:
    """Return the id of the current span; None if there is none."""
    return trace.get_current_span().get_span_context().span_id or None


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id
