"""How pushes travel: by the lighter transport over plain HTTP, by the exporter's own where something asks for it."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

from otel_ha import setup_telemetry
from otel_ha.export.otlp.transport import transport_arguments
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


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """An HTTP server that takes every push; `asked` is what it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pushed(endpoint: str, **environment: str) -> str:
    """Push from a process of its own; return what it imported until telemetry was set up, and until the push."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_HA_HISTORY_LENGTH": "0", **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=60, text=True, capture_output=True
    )
    return done.stdout.strip()


def test_a_push_over_plain_http_needs_nothing_but_urllib3(server):
    assert pushed(f"http://127.0.0.1:{server.server_port}") == "set up with nothing pushed with urllib3"
    assert server.asked[0] == "/v1/metrics"


@pytest.mark.skipif(find_spec("requests") is None, reason="this version of the exporter knows no proxies")
def test_a_push_goes_by_the_proxy_of_the_environment(server):
    proxy = f"http://127.0.0.1:{server.server_port}"
    assert pushed("http://collector.invalid:4318", http_proxy=proxy).endswith("pushed with requests and urllib3")
    assert server.asked[0] == "http://collector.invalid:4318/v1/metrics"


def test_a_receiver_that_the_environment_excepts_is_not_pushed_to_by_the_proxy(server):
    address = f"http://127.0.0.1:{server.server_port}"
    assert pushed(address, http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1").endswith("pushed with urllib3")


def test_a_push_over_tls_is_left_to_the_transport_that_has_certificates():
    assert transport_arguments(OTLPMetricExporter, "https://collector.invalid:4318/v1/metrics") == {}


def test_a_session_that_the_environment_names_is_left_to_the_exporter(monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "mine")
    assert transport_arguments(OTLPMetricExporter, "http://127.0.0.1:4318/v1/metrics") == {}


def test_an_exporter_that_takes_no_transport_is_given_none():
    class Exporter:
        def __init__(self, endpoint: str) -> None: ...

    assert transport_arguments(Exporter, "http://127.0.0.1:4318/v1/metrics") == {}


@pytest.mark.parametrize(
    ("protocol", "port", "advice"),
    [
        ("http/protobuf", 4317, "(port 4317 is usually for grpc: OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or port 4318; OTEL"),
        (
            "grpc",
            4318,
            "(port 4318 is usually for http/protobuf: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or port 4317",
        ),
        ("http/protobuf", 4318, "(OTEL_EXPORTER_OTLP_ENDPOINT says where to"),
    ],
)
def test_a_push_that_fails_at_the_port_of_the_other_protocol_says_so(caplog, protocol, port, advice):
    settings = config(
        metrics_exporters=("otlp",),
        otlp_protocol=protocol,
        otlp_endpoint=f"http://127.1.2.3:{port}",  # where nobody listens, whatever runs on this machine
        otlp_timeout=0.5,
        shutdown_timeout=0.1,
    )
    with setup_telemetry(config=settings) as telemetry:
        ingest.RECEIVED.add(1)
        assert not telemetry.flush()
    assert advice in caplog.text


def test_a_grpc_target_without_a_number_for_a_port_is_left_to_grpc():
    settings = config(metrics_exporters=("otlp",), otlp_protocol="grpc", otlp_endpoint="host:abc", shutdown_timeout=0.1)
    with setup_telemetry(config=settings) as telemetry:
        assert telemetry.health()["status"] == "ok"
