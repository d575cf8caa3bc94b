"""A machine on which grpcio cannot be imported: http/protobuf works, and grpc is a clear error."""

import subprocess
import sys

import pytest

# The import fails as it does if the package is missing, or if its library does not load.
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc" or name.startswith("grpc."):
            raise ImportError({message!r}, name=name)

sys.meta_path.insert(0, Blocked())

from otel_ha import ConfigError, TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest

with setup_telemetry("test", config=TelemetryConfig(prometheus_port=0, otlp_endpoint={endpoint!r})) as telemetry:
    ingest.DATA_RECEIVED.add(1, source="mqtt", type="state")
    assert telemetry.flush(), telemetry.health()
    assert "homeassistant_data_received_bytes_total" in telemetry.prometheus_text()
assert not [name for name in sys.modules if name.partition(".")[0] == "grpc"]
try:
    setup_telemetry("test", config=TelemetryConfig(otlp_protocol="grpc"))
except ConfigError as error:
    print(error, error.setting, error.__cause__, error.__context__, sep="|")
setup_telemetry("test", config=TelemetryConfig(otlp_protocol="grpc", metrics_exporters=())).shutdown()
"""


@pytest.mark.parametrize("message", ["No module named 'grpc'", "cygrpc.so: undefined symbol: x"])
def test_without_grpcio_http_works_and_grpc_is_an_error_that_names_the_remedy(receiver, message):
    program = BLOCKED.format(message=message, endpoint=f"http://127.0.0.1:{receiver.server_port}")
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, check=True, capture_output=True, text=True, timeout=60
    )
    error, setting, *chained = done.stdout.strip().split("|")
    assert error == (
        f"OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but its packages cannot be imported ({message}); "
        "allowed: http/protobuf, or grpc if grpcio can be imported; "
        "run pip install opentelemetry-exporter-otlp-proto-grpc"
    )
    assert setting == "otlp_protocol"
    assert chained == ["None", "None"]
    assert receiver.asked
    assert not done.stderr
