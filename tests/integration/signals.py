"""Spans and log records made by hand, sent as a service sends them by gRPC, to be counted at the other end."""

from __future__ import annotations

import time
from collections.abc import Iterable

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

SERVICE = "ha-ingestor"
TRACE = bytes(range(16))
NAME = "a piece of work"


def spans(numbers: Iterable[int], trace: bytes = TRACE) -> ExportTraceServiceRequest:
    """One span for each number, which is its id (8 bytes), all of one trace."""
    now = time.time_ns()
    made = [
        Span(
            trace_id=trace,
            span_id=number.to_bytes(8, "big"),
            name=NAME,
            start_time_unix_nano=now - 1_000_000,
            end_time_unix_nano=now,
        )
        for number in numbers
    ]
    whole = ResourceSpans(resource=_resource(), scope_spans=[ScopeSpans(spans=made)])
    return ExportTraceServiceRequest(resource_spans=[whole])


def records(numbers: Iterable[int], trace: bytes = TRACE) -> ExportLogsServiceRequest:
    """One log record for each number, each written within the span of that number."""
    made = [
        LogRecord(
            trace_id=trace,
            span_id=number.to_bytes(8, "big"),
            time_unix_nano=time.time_ns(),
            body=AnyValue(string_value=NAME),
        )
        for number in numbers
    ]
    whole = ResourceLogs(resource=_resource(), scope_logs=[ScopeLogs(log_records=made)])
    return ExportLogsServiceRequest(resource_logs=[whole])


def send(endpoint: str, numbers: Iterable[int], trace: bytes = TRACE) -> None:
    """Send a span and a log record for each number. Raises grpc.RpcError unless both requests are taken whole."""
    numbers = list(numbers)
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        traced = TraceServiceStub(channel).Export(spans(numbers, trace), timeout=20, wait_for_ready=True)
        logged = LogsServiceStub(channel).Export(records(numbers, trace), timeout=20, wait_for_ready=True)
    assert (traced.partial_success.rejected_spans, logged.partial_success.rejected_log_records) == (0, 0)


def _resource() -> Resource:
    return Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=SERVICE))])
