"""Traces and logs arrive in a real Collector: by both protocols, after it was away, and at SIGTERM."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from tests.e2e.test_traced import ended, traced
from tests.receivers import Receiver
from tests.servers.fixtures import Keep, NewDirectory, needed
from tests.servers.otelcol import Collector
from tests.servers.running import HOST, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

SETTINGS = """
receivers: {otlp: {protocols: {
  grpc: {endpoint: "127.0.0.1:${env:OTELCOL_OTLP_GRPC_PORT}"},
  http: {endpoint: "127.0.0.1:${env:OTELCOL_OTLP_HTTP_PORT}"}}}}
exporters: {file: {path: "${env:OTELCOL_FILE}", append: true, flush_interval: 100ms}}
extensions: {health_check: {endpoint: "127.0.0.1:${env:OTELCOL_HEALTH_PORT}"}}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
"""


@pytest.fixture
def collector(server_directory: NewDirectory, keep_server: Keep) -> Collector:
    """A Collector that writes all signals into the file `arrived.json` of its directory."""
    directory = Path(server_directory("otelcol"))
    config = directory / "signals.yaml"
    config.write_text(SETTINGS)
    server = Collector(
        needed("otelcol"), directory, variables={"OTELCOL_FILE": str(directory / "arrived.json")}, config=config
    )
    keep_server(server)
    return server


def arrived(collector: Collector, kind: str) -> list[dict[str, Any]]:
    """The spans or the log records that the Collector has written until now."""
    outer, scopes, inner = {
        "spans": ("resourceSpans", "scopeSpans", "spans"),
        "records": ("resourceLogs", "scopeLogs", "logRecords"),
    }[kind]
    file = collector.config.with_name("arrived.json")
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        item
        for line in lines
        if line.endswith("}")
        for group in json.loads(line).get(outer, ())
        for scope in group[scopes]
        for item in scope[inner]
    ]


def names(collector: Collector) -> list[str]:
    return sorted(each["name"] for each in arrived(collector, "spans"))


def started(endpoint: str, **settings: Any) -> Telemetry:
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp",),
        traces_exporters=("otlp",),
        logs_exporters=("otlp",),
        otlp_endpoint=endpoint,
        system_metrics=False,
        **settings,
    )
    return setup_telemetry("traced", config=config)


def work(name: str) -> None:
    with trace.get_tracer("mine").start_as_current_span(name):
        logging.getLogger("mine").error(name)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_span_and_its_record_arrive_with_one_trace_id(collector: Collector, protocol: str) -> None:
    collector.start()
    endpoint = collector.otlp_grpc_endpoint if protocol == "grpc" else collector.otlp_http_endpoint
    with started(endpoint, otlp_protocol=protocol, otlp_compression="gzip") as telemetry:
        work("one")
        assert telemetry.flush(30)
    (span,) = eventually(lambda: arrived(collector, "spans"))
    (record,) = eventually(lambda: arrived(collector, "records"))
    assert (span["name"], record["body"]["stringValue"]) == ("one", "one")
    assert (record["traceId"], record["spanId"]) == (span["traceId"], span["spanId"])


def test_what_is_done_while_the_collector_is_killed_arrives_once_it_is_back(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.start()
    with started(collector.otlp_http_endpoint, otlp_timeout=1.0) as telemetry:
        work("before")
        assert telemetry.flush(30)
        eventually(lambda: names(collector) and arrived(collector, "records"))  # before that, kill -9 would lose them
        collector.kill()
        work("meanwhile")
        assert not telemetry.flush(30)
        collector.restart()
        work("after")
        assert eventually(lambda: telemetry.flush(30))
    expected = ["after", "before", "meanwhile"]
    assert eventually(lambda: names(collector), lambda found: len(found) >= len(expected)) == expected
    assert sorted(each["body"]["stringValue"] for each in arrived(collector, "records")) == expected
    lines = [each.getMessage() for each in caplog.records if each.name == "otel_ha"]
    assert len([each for each in lines if each.startswith("push to") and " failed: " in each]) == 1
    assert len([each for each in lines if "works again" in each]) == 1


def test_the_last_span_and_record_arrive_when_sigterm_ends_the_service(collector: Collector) -> None:
    collector.start()
    port = int(collector.otlp_http_endpoint.rpartition(":")[2])
    assert collector.otlp_http_endpoint == f"http://{HOST}:{port}"
    with traced("wait", Receiver(port)) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM
    assert eventually(lambda: names(collector)) == ["parent"]
    assert [each["body"]["stringValue"] for each in eventually(lambda: arrived(collector, "records"))] == ["parent"]
