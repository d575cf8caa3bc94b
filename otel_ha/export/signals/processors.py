"""The processors of the SDK's providers: they hand ended spans and log records to the batches of each exporter."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from otel_ha.export.otlp.watch import is_pushing
from otel_ha.export.signals.batches import Batches
from otel_ha.export.signals.sdk import logs_sdk


class SpansToBatches(SpanProcessor):
    """Lets each sampled span that ends wait for a push."""

    def __init__(self, batches: Sequence[Batches]) -> None:
        self._batches = batches

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span; never blocks."""
        if span.context is not None and span.context.trace_flags.sampled:
            for each in self._batches:
                each.add(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Push what waits."""
        return flushed(self._batches, timeout_millis / 1e3)


def records_to_batches(batches: Sequence[Batches]) -> Any:
    """Return a processor that lets each log record wait for a push."""
    sdk = logs_sdk()

    class RecordsToBatches(sdk.LogRecordProcessor):  # type: ignore[misc,name-defined]  # the class is only known here
        """Lets each log record wait for a push, except those of pushes, which would never end."""

        def on_emit(self, log_record: Any) -> None:
            """Take a record; never blocks."""
            if is_pushing():
                return
            record = copy.copy(log_record.log_record)
            record.context = Context()  # which may be large, and which is not needed: the ids are fields
            readable = sdk.ReadableLogRecord(
                log_record=record,
                resource=log_record.resource,
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
            for each in batches:
                each.add(readable)

        def shutdown(self) -> None:
            """Do nothing: telemetry ends the batches."""

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            """Push what waits."""
            return flushed(batches, timeout_millis / 1e3)

    return RecordsToBatches()


def flushed(batches: Sequence[Batches], timeout: float) -> bool:
    """Push what waits, side by side; return whether all of it arrived within `timeout` seconds."""
    requests = [each.begin_flush() for each in batches]
    arrived = [request.arrived_within(timeout) for request in requests]  # each has its time
    return all(arrived)
