"""/health and /ready, for the probes of Docker, Kubernetes and systemd."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha.config.secrets import Secret
from otel_ha.vocabulary import ingest
from tests.unit.conftest import config, get
from tests.unit.endpoint.conftest import basic, endpoint, fetch, serving


def probed(telemetry: Telemetry) -> dict[str, int]:
    """Return the status codes of the pages for probes."""
    return {path: get(telemetry.wsgi_app, path)[0] for path in ("/health", "/ready", "/healthz")}


def test_a_running_service_is_alive_and_ready(telemetry):
    assert probed(telemetry) == {"/health": 200, "/ready": 200, "/healthz": 200}
    assert json.loads(get(telemetry.wsgi_app, "/health")[1]) == {"status": "alive"}
    assert json.loads(get(telemetry.wsgi_app, "/ready")[1]) == {"status": "ready"}


def test_a_degraded_service_is_ready(taken_port):
    with setup_telemetry(config=config(prometheus_port=taken_port)) as telemetry:
        assert telemetry.health()["status"] == "degraded"
        assert probed(telemetry) == {"/health": 200, "/ready": 200, "/healthz": 200}


def test_a_service_whose_telemetry_is_off_is_ready():
    with setup_telemetry(config=config(enabled=False)) as telemetry:
        assert probed(telemetry) == {"/health": 200, "/ready": 200, "/healthz": 200}
    assert probed(telemetry)["/ready"] == 503


def test_after_its_shutdown_a_service_is_alive_but_not_ready():
    with setup_telemetry(config=config()) as telemetry:
        pass
    assert probed(telemetry) == {"/health": 200, "/ready": 503, "/healthz": 503}
    assert json.loads(get(telemetry.wsgi_app, "/ready")[1]) == {"status": "not ready"}


def test_before_its_set_up_a_service_is_not_ready():
    assert probed(Telemetry(config(), ingest.CATALOG))["/ready"] == 503


def test_a_service_that_pushes_its_last_interval_is_not_ready():
    found: list[int] = []

    class Asking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found.append(probed(telemetry)["/ready"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Asking) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings = config(
            metrics_exporters=("otlp", "prometheus"), otlp_endpoint=f"http://127.0.0.1:{server.server_port}"
        )
        with setup_telemetry(config=settings) as telemetry:
            ingest.RECEIVED.add(1, source="mqtt")
            assert telemetry.flush()
        server.shutdown()
        thread.join()
    assert found == [200, 503]


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_are_answered_by_the_server_also_to_head(path):
    with serving(endpoint()) as server:
        for method, length in (("GET", True), ("HEAD", False)):
            status, headers, body = fetch(server, path, method=method)
            assert (status, bool(body)) == (200, length)
            assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_need_the_password_if_there_is_one(path):
    settings: TelemetryConfig = config(endpoint_username="probe", endpoint_password=Secret("s3cret"))
    with setup_telemetry(config=settings) as telemetry:
        served = telemetry._endpoint._endpoint
        assert served.respond("GET", path, {}).status == 401
        assert served.respond("GET", path, basic("probe", "s3cret")).status == 200


def test_a_path_that_only_begins_like_a_probe_is_not_found():
    assert {endpoint().respond("GET", path, {}).status for path in ("/healthy", "/readyz", "/ready/now")} == {404}
