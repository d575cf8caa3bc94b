"""OTEL_CONFIG_FILE with opentelemetry-configuration: its provider stays, and everything is recorded on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receivers import Receiver, answer, receiving
from tests.servers.running import eventually

FILE = """
file_format: "1.0"
resource:
  attributes:
    - name: service.name
      value: from-file
meter_provider:
  readers:
    - periodic:
        interval: 200
        exporter:
          otlp_http:
            endpoint: ${RECEIVER}/v1/metrics
"""
TRACES = """
tracer_provider:
  processors:
    - simple:
        exporter:
          otlp_http:
            endpoint: ${RECEIVER}/v1/traces
"""


@pytest.fixture
def configured(make_environment):
    return make_environment("configuration")


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "otel.yaml"
    path.write_text(FILE)
    return path


def arrived(receiver: Receiver) -> dict[str, set[str]]:
    """The names of the metrics that arrived, by the name of the service."""
    found: dict[str, set[str]] = {}
    for request in [each for each in receiver.requests if each.target == "/v1/metrics"]:
        for resource in ExportMetricsServiceRequest.FromString(request.body).resource_metrics:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            names = {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
            found.setdefault(attributes["service.name"], set()).update(names)
    return found


def test_the_files_provider_gets_what_is_recorded(configured, command, file):
    wanted = {"homeassistant.event.received", "asyncio.eventloop.delay", "process.memory.usage"}
    with receiving(answer()) as receiver:
        settings = {"OTEL_CONFIG_FILE": str(file), "RECEIVER": receiver.url, "OTEL_HA_SYSTEM_METRICS": "true"}
        program = configured.start(command, "counting.py", **settings)
        assert "provider=opentelemetry.sdk" in program.wait_for_output("loaded:")
        eventually(lambda: arrived(receiver).get("from-file", set()) >= wanted)
        assert set(arrived(receiver)) == {"from-file"}
    assert program.output.count("\n") == 2


def spans(receiver: Receiver) -> set[str]:
    """The names of the spans that arrived."""
    bodies = [request.body for request in receiver.requests if request.target == "/v1/traces"]
    resources = [each for body in bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]
    return {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}


def test_measured_work_opens_spans_if_the_file_describes_traces(configured, command, file):
    file.write_text(FILE + TRACES)
    with receiving(answer()) as receiver:
        configured.start(command, "counting.py", OTEL_CONFIG_FILE=str(file), RECEIVER=receiver.url)
        assert eventually(lambda: spans(receiver)) == {"homeassistant.event.process"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file_format: [", "Failed to parse YAML"),
        ('file_format: "1.0"\nmeter_provider: {readers: 3}', "does not match schema"),
        ('file_format: "1.0"\nmeter_provider: {readers: [{periodic: {exporter: {acme: {}}}}]}', "acme"),
    ],
    ids=["syntax", "schema", "exporter"],
)
def test_a_mistake_in_the_file_is_one_line_and_the_program_goes_on(configured, tmp_path, text, reason):
    (tmp_path / "otel.yaml").write_text(text)
    settings = {"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")}
    program = configured.start("opentelemetry-instrument", "counting.py", **settings)
    output = program.wait_for_output("loaded:")
    (line,) = [line for line in output.splitlines() if not line.startswith(("provider=", "loaded:"))]
    assert line.startswith("OTEL_CONFIG_FILE is ")
    assert reason in line


def test_our_command_reports_a_mistake_in_the_file_before_it_starts_the_program(configured, tmp_path):
    (tmp_path / "otel.yaml").write_text("file_format: [")
    program = configured.start("otel-ha run", "counting.py", OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"))
    assert (program.wait(), program.output.count("\n")) == (2, 1)
