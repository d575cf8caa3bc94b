"""The transport of pushes: the lighter one over plain HTTP, requests if a setting requires it."""

import subprocess
import sys

import pytest

from otel_ha import ConfigError, setup_telemetry
from otel_ha.export.otlp.transport import RequestsTransport, transport_to
from otel_ha.vocabulary import ingest
from tests.unit.conftest import config

PROGRAM = """
import sys
from otel_ha import TelemetryConfig, setup_telemetry
telemetry = setup_telemetry("pushing", config=TelemetryConfig(metrics_exporters=("otlp",)))
loaded = lambda: " and ".join(sorted({"requests", "urllib3"} & set(sys.modules))) or "nothing"
before = loaded()
assert telemetry.flush(), "the push did not arrive"
print("set up with", before, "pushed with", loaded())
"""


def pushed(endpoint: str, **environment: str) -> str:
    """Push from a separate process; return its imports up to the set-up, and up to the push."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_HA_HISTORY_LENGTH": "0", **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=60, text=True, capture_output=True
    )
    return done.stdout.strip()


def test_a_push_over_plain_http_needs_only_urllib3(receiver):
    assert pushed(f"http://127.0.0.1:{receiver.server_port}") == "set up with nothing pushed with urllib3"
    assert receiver.asked[0] == "/v1/metrics"


def test_a_push_goes_by_the_proxy_of_the_environment(receiver):
    proxy = f"http://127.0.0.1:{receiver.server_port}"
    assert pushed("http://collector.invalid:4318", http_proxy=proxy).endswith("pushed with requests and urllib3")
    assert receiver.asked[0] == "http://collector.invalid:4318/v1/metrics"


def test_a_push_to_a_receiver_that_the_environment_excepts_bypasses_the_proxy(receiver):
    address = f"http://127.0.0.1:{receiver.server_port}"
    assert pushed(address, http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1").endswith("pushed with urllib3")


def test_a_push_over_tls_uses_the_transport_that_has_certificates():
    assert isinstance(transport_to("https://collector.invalid:4318/v1/metrics", None, None), RequestsTransport)


def test_an_unknown_provider_of_sessions_is_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "mine")
    with pytest.raises(ConfigError, match=r"HTTP_CREDENTIAL_PROVIDER .*does not name an entry point of"):
        setup_telemetry(config=config(metrics_exporters=("otlp",)))


@pytest.mark.parametrize(
    ("protocol", "port", "advice"),
    [
        ("http/protobuf", 4317, "(port 4317 is usually for grpc: OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or port 4318; OTEL"),
        (
            "grpc",
            4318,
            "(port 4318 is usually for http/protobuf: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or port 4317",
        ),
        ("http/protobuf", 4318, "(OTEL_EXPORTER_OTLP_ENDPOINT sets the receiver"),
    ],
)
def test_a_push_that_fails_at_the_port_of_the_other_protocol_says_so(caplog, protocol, port, advice):
    settings = config(
        metrics_exporters=("otlp",),
        otlp_protocol=protocol,
        otlp_endpoint=f"http://127.1.2.3:{port}",  # a port on which nothing listens
        otlp_timeout=0.5,
        shutdown_timeout=0.1,
    )
    with setup_telemetry(config=settings) as telemetry:
        ingest.RECEIVED.add(1)
        assert not telemetry.flush()
    assert advice in caplog.text


@pytest.mark.parametrize("is_last", [False, True])
def test_a_push_that_fails_names_the_receivers_setting_and_the_doctor(caplog, is_last):
    settings = config(
        metrics_exporters=("otlp",), otlp_endpoint="http://127.1.2.3:4318", otlp_timeout=0.5, shutdown_timeout=30.0
    )
    with setup_telemetry(config=settings) as telemetry:
        ingest.RECEIVED.add(1)
        if not is_last:
            assert not telemetry.flush()
    [line] = [each.getMessage() for each in caplog.records if " failed: " in each.getMessage()]
    assert line.startswith("the last push to " if is_last else "push to ")
    for remedy in ("OTEL_EXPORTER_OTLP_ENDPOINT", "`otel-ha doctor`", "OTEL_METRICS_EXPORTER=prometheus turns"):
        assert remedy in line


def test_a_grpc_target_without_a_number_for_a_port_is_left_to_grpc():
    settings = config(metrics_exporters=("otlp",), otlp_protocol="grpc", otlp_endpoint="host:abc", shutdown_timeout=0.1)
    with setup_telemetry(config=settings) as telemetry:
        assert telemetry.health()["status"] == "ok"


@pytest.mark.parametrize("proxied", [False, True], ids=["by urllib3", "by requests"])
def test_a_header_of_the_environment_that_an_argument_overrides_is_not_sent(receiver, monkeypatch, proxied):
    address = f"http://127.0.0.1:{receiver.server_port}"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxied:
        monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret,x-other=1")
    endpoint = "http://collector.invalid:4318" if proxied else address
    settings = config(metrics_exporters=("otlp",), otlp_endpoint=endpoint, otlp_headers={"x-mine": "2"})
    with setup_telemetry(config=settings) as telemetry:
        ingest.DATA_RECEIVED.add(1, source="mqtt", type="state")
        assert telemetry.flush()
    sent = receiver.headers[0]
    assert sent["x-mine"] == "2"
    assert not {"authorization", "x-other"} & sent.keys()
