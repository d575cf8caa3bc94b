"""OTEL_CONFIG_FILE with opentelemetry-configuration: its provider stays, and everything is recorded on it."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

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


@pytest.fixture
def configured(make_environment):
    return make_environment("configuration")


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "otel.yaml"
    path.write_text(FILE)
    return str(path)


def arrived(receiver: Receiver) -> dict[str, set[str]]:
    """The names of the metrics that arrived, by the name of the service."""
    found: dict[str, set[str]] = {}
    for request in list(receiver.requests):
        for resource in ExportMetricsServiceRequest.FromString(request.body).resource_metrics:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            names = {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
            found.setdefault(attributes["service.name"], set()).update(names)
    return found


def test_the_files_provider_gets_what_is_recorded(configured, command, file):
    wanted = {"homeassistant.event.received", "asyncio.eventloop.delay", "process.memory.usage"}
    with receiving(answer()) as receiver:
        settings = {"OTEL_CONFIG_FILE": file, "RECEIVER": receiver.url, "OTEL_HA_SYSTEM_METRICS": "true"}
        program = configured.start(command, "counting.py", **settings)
        assert "provider=opentelemetry.sdk" in program.wait_for_output("loaded:")
        eventually(lambda: arrived(receiver).get("from-file", set()) >= wanted)
        assert set(arrived(receiver)) == {"from-file"}
    assert program.output.count("\n") == 2


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
