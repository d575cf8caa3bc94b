"""Traces and logs by gRPC: the same push, with the services of each signal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from otel_ha import setup_telemetry
from tests.unit.conftest import config


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.rejected = 0

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        partial = trace_service_pb2.ExportTracePartialSuccess(rejected_spans=self.rejected, error_message="too old")
        return trace_service_pb2.ExportTraceServiceResponse(partial_success=partial if self.rejected else None)


class Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        self.requests.append(request)
        return logs_service_pb2.ExportLogsServiceResponse()


@pytest.fixture
def receiver() -> Iterator[tuple[str, Traces, Logs]]:
    traces, logs = Traces(), Logs()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(logs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", traces, logs
    server.stop(None).wait()


def settings(endpoint: str) -> Any:
    return config(
        metrics_exporters=(),
        traces_exporters=("otlp",),
        logs_exporters=("otlp",),
        otlp_protocol="grpc",
        otlp_endpoint=endpoint,
        otlp_traces_headers={"X-Mine": "1"},
    )


def test_spans_and_records_arrive_by_grpc(receiver: tuple[str, Traces, Logs]) -> None:
    endpoint, traces, logs = receiver
    with setup_telemetry("test", config=settings(endpoint)) as telemetry:
        with trace.get_tracer("mine").start_as_current_span("work"):
            logging.getLogger("mine").error("failed")
        assert telemetry.flush(30)
    (span,) = (each for request in traces.requests for each in request.resource_spans[0].scope_spans[0].spans)
    (record,) = (each for request in logs.requests for each in request.resource_logs[0].scope_logs[0].log_records)
    assert (span.name, record.body.string_value) == ("work", "failed")
    assert span.trace_id == record.trace_id
    assert traces.metadata[0]["x-mine"] == "1"


def test_spans_that_a_receiver_rejects_by_grpc_are_counted(receiver: tuple[str, Traces, Logs]) -> None:
    endpoint, traces, _ = receiver
    traces.rejected = 1
    with setup_telemetry("test", config=settings(endpoint)) as telemetry:
        with trace.get_tracer("mine").start_as_current_span("work"):
            pass
        assert not telemetry.flush(30)
        (state,) = (each for each in telemetry.health()["readers"] if each["reader"] == "otlp traces")
        assert (state["status"], state["dropped"], state["last_error"]) == (
            "rejecting",
            1,
            "1 spans rejected: too old",
        )
