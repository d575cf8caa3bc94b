"""Health says what to do about each reason; the reasons are those of real failures."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from otel_ha import Telemetry, setup_telemetry
from otel_ha.delivery import OVERDUE, Delivery
from otel_ha.serve.health import endpoint_state, health
from otel_ha.serve.remedies import _OF_ONE_SIGNAL, of_endpoint, of_reader
from otel_ha.vocabulary import ingest
from tests.servers.running import free_ports
from tests.unit.conftest import config
from tests.unit.endpoint.conftest import in_thread, pem  # noqa: F401 - a fixture


@contextmanager
def answering(status: int = 200, body: bytes = b"", **headers: str) -> Iterator[ThreadingHTTPServer]:
    """Run a server that answers every push like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, in_thread(server):
        yield server


def told(endpoint: str, **settings: object) -> tuple[str, str]:
    """Return the reason and the remedy after a push to this endpoint."""
    more = {"otlp_timeout": 0.5, "shutdown_timeout": 0.5} | settings
    with setup_telemetry(config=config(metrics_exporters=("otlp",), otlp_endpoint=endpoint, **more)) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        telemetry.flush()
        return only(telemetry)


def only(telemetry: Telemetry) -> tuple[str, str]:
    state = telemetry.health()
    [reason], [remedy] = state["reasons"], state["remedies"]
    return reason, remedy


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "refuse these metrics"),
        (401, "OTEL_EXPORTER_OTLP_HEADERS, such as authorization="),
        (403, "write metrics there"),
        (404, "to which /v1/metrics is added"),
        (405, "to which /v1/metrics is added"),
        (413, "size of a request"),
        (415, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (429, "OTEL_METRIC_EXPORT_INTERVAL"),
        (500, "the receiver's log"),
        (503, "the receiver's log"),
    ],
)
def test_a_status_code_of_the_receiver_has_a_remedy(status, remedy):
    with answering(status) as server:
        reason, found = told(f"http://127.0.0.1:{server.server_port}")
    assert str(status) in reason
    assert remedy in found


@pytest.mark.parametrize("status", [402, 408, 410, 421, 422, 431])
def test_another_refusal_of_the_receiver_has_a_remedy(status):
    with answering(status) as server:
        assert "it refuses the push" in told(f"http://127.0.0.1:{server.server_port}")[1]


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (500, b"the proxy behind me is away", "the receiver's log"),
        (503, b"ssl handshake failed: connection refused", "the receiver's log"),
        (403, b"3 data points rejected", "write metrics there"),
        (404, b"redirects are not followed", "to which /v1/metrics is added"),
    ],
)
def test_the_words_of_a_page_do_not_choose_the_remedy(status, body, remedy):
    with answering(status, body) as server:
        assert remedy in told(f"http://127.0.0.1:{server.server_port}")[1]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "/v1/metrics is added"), (407, "no_proxy"), (503, "no_proxy")],
)
def test_a_proxy_that_works_is_not_to_blame_for_the_answers_of_the_receiver(monkeypatch, status, remedy):
    """A proxy itself may answer with 407, 403 or 5xx."""
    with answering(status, b"connection refused") as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "")
        assert remedy in told("http://collector.invalid:4318")[1]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_connection_that_ends_without_an_answer_has_a_remedy(protocol):
    if protocol == "grpc":
        pytest.importorskip("grpc")

    class Closing(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)

    with ThreadingTCPServer(("127.0.0.1", 0), Closing) as server, in_thread(server):
        assert "without an answer" in told(f"http://127.0.0.1:{server.server_address[1]}", otlp_protocol=protocol)[1]


def test_a_redirect_has_a_remedy():
    with answering(307, Location="http://127.0.0.1/elsewhere") as server:
        assert "Location" in told(f"http://127.0.0.1:{server.server_port}")[1]


def test_a_login_page_has_a_remedy():
    with answering(200, b"<html>Log in</html>", Content_Type="text/html") as server:
        assert "another server answers there" in told(f"http://127.0.0.1:{server.server_port}")[1]


def test_a_refused_connection_has_a_remedy():
    [port] = free_ports(1)
    assert "start the Collector" in told(f"http://127.0.0.1:{port}")[1]


def test_a_refused_connection_of_grpc_has_a_remedy():
    pytest.importorskip("grpc")
    [port] = free_ports(1)
    assert "start the Collector" in told(f"http://127.0.0.1:{port}", otlp_protocol="grpc")[1]


def test_an_unknown_host_has_a_remedy():
    assert "correct the host" in told("http://collector.invalid:4318")[1]


def test_a_dead_proxy_has_a_remedy(monkeypatch):
    [port] = free_ports(1)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    assert "no_proxy" in told("http://collector.invalid:4318")[1]


def test_a_receiver_without_tls_has_a_remedy():
    with answering() as server:
        assert "http:// in OTEL_EXPORTER_OTLP_ENDPOINT" in told(f"https://127.0.0.1:{server.server_port}")[1]


def test_an_untrusted_certificate_has_a_remedy(pem):  # noqa: F811 - the fixture
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem.server, pem.server_key)
    with answering() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in told(f"https://127.0.0.1:{server.server_port}")[1]


def test_a_receiver_that_hangs_has_a_remedy():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # nobody accepts
        assert "does not answer in time" in told(f"http://127.0.0.1:{server.server_port}")[1]


def test_rejected_points_have_a_remedy():
    body = b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}'
    with answering(200, body, Content_Type="application/json") as server:
        reason, remedy = told(f"http://127.0.0.1:{server.server_port}")
    assert "3 data points rejected: too old" in reason
    assert "the receiver's message" in remedy


def test_an_overdue_push_has_a_remedy():
    delivery = Delivery("otlp", "http://collector:4318", interval=1.0)
    delivery._since -= OVERDUE + 1
    assert "hangs" in of_reader("otlp", delivery.problem)


def test_a_taken_port_has_a_remedy(taken_port):
    with setup_telemetry(config=config(prometheus_port=taken_port)) as telemetry:
        assert "OTEL_EXPORTER_PROMETHEUS_PORT to a free port" in only(telemetry)[1]


@pytest.mark.parametrize("host", ["192.0.2.1", "fe80::1", "a" * 70, "a..b", "attic.invalid"])
def test_an_address_of_another_machine_has_a_remedy(host):
    with setup_telemetry(config=config(prometheus_host=host)) as telemetry:
        assert "an address of this machine" in only(telemetry)[1]


def test_a_port_without_permission_has_a_remedy():
    problem = f"cannot listen at 127.0.0.1:80: {os.strerror(13)}"
    assert "above 1023" in of_endpoint(problem)


def test_failing_scrapes_have_a_remedy():
    with setup_telemetry(config=config()) as telemetry:

        class Failing:
            def stream(self, _: object) -> Iterator[str]:
                raise RuntimeError("a collector that fails")

        telemetry._endpoint._endpoint.registry = Failing()
        with pytest.raises(RuntimeError):
            telemetry.prometheus_text()
        assert "every scrape fails" in only(telemetry)[1]


def test_a_history_that_cannot_collect_has_a_remedy(monkeypatch):
    with setup_telemetry(config=config()) as telemetry:

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("no memory")

        monkeypatch.setattr(telemetry.history.store, "take", fail)
        telemetry.history.collect()
        assert "correct the source" in only(telemetry)[1]


def test_a_problem_that_nobody_knows_leads_to_the_doctor():
    assert "`otel-ha doctor`" in of_reader("otlp", "the moon is full")


@pytest.mark.parametrize(("enabled", "remedy"), [(False, "remove OTEL_SDK_DISABLED"), (True, "setup_telemetry()")])
def test_telemetry_that_does_not_run_has_a_remedy(enabled, remedy):
    endpoint = endpoint_state(url=None, problem="", scrapes=False)
    state = health("test", enabled=enabled, running=False, endpoint=endpoint, deliveries=[])
    assert len(state["reasons"]) == len(state["remedies"]) == 1
    assert remedy in state["remedies"][0]


def test_each_reason_has_its_own_remedy_in_the_same_order(taken_port):
    [port] = free_ports(1)
    settings = config(
        metrics_exporters=("otlp", "prometheus"),
        prometheus_port=taken_port,
        otlp_endpoint=f"http://127.0.0.1:{port}",
        otlp_timeout=0.5,
    )
    with setup_telemetry(config=settings) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        telemetry.flush()
        state = telemetry.health()
    assert [reason.partition(":")[0] for reason in state["reasons"]] == ["endpoint", "otlp"]
    assert "PROMETHEUS_PORT" in state["remedies"][0]
    assert "Collector" in state["remedies"][1]


@pytest.mark.parametrize("signal", ["traces", "logs"])
@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("404 Not Found", "OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT"),
        ("[Errno 111] Connection refused", "OTEL_{SIGNAL}_EXPORTER=none ends pushing"),
        ("429 Too Many Requests", "{queue}_SCHEDULE_DELAY"),
        ("the queue is full: 3 dropped until now", "{queue}_MAX_QUEUE_SIZE"),
        ("2 spans rejected: too old", "correct these {signal}"),
        ("403 Forbidden", "write {signal} there"),
    ],
)
def test_the_remedy_of_traces_and_logs_names_their_own_settings(signal, problem, remedy):
    words = {"signal": signal, "SIGNAL": signal.upper(), "queue": "OTEL_BSP" if signal == "traces" else "OTEL_BLRP"}
    found = of_reader(f"otlp {signal}", problem)
    assert remedy.format(**words) in found
    assert "{" not in found
    assert "metrics" not in found.lower()


def test_every_remedy_can_be_written_for_another_signal():
    for each in _OF_ONE_SIGNAL:
        assert "{" not in of_reader("otlp traces", each.problem.replace("^", ""))
    assert "OTEL_LOGS_EXPORTER" in of_reader("console logs", "closed")
