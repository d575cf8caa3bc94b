"""The endpoint's answers: metrics, health, the root, and unknown requests."""

import gzip
import json
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_ha.serve.application import Endpoint
from tests.unit.endpoint.conftest import HEALTHY, OPENMETRICS, endpoint, header


def test_metrics_are_text_by_default(registry):
    response = endpoint(registry).respond("GET", "/metrics", {})
    assert response.status == 200
    assert header(response, "Content-Type").startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parse_text(response.body.decode())}
    assert families["event"].samples[0].value == 3


def test_metrics_are_openmetrics_if_the_client_prefers_it(registry):
    response = endpoint(registry).respond("GET", "/metrics", {"accept": OPENMETRICS})
    assert header(response, "Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    assert [family.name for family in parse_openmetrics(response.body.decode())] == ["target", "event"]


@given(accept=st.one_of(st.text(), st.from_regex(r"application/openmetrics-text; ?version=.*", fullmatch=True)))
def test_any_accept_header_gets_the_metrics(accept):
    assert endpoint().respond("GET", "/metrics", {"Accept": accept}).status == 200


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "br;q=1.0, *;q=0.1"])
def test_a_client_that_accepts_gzip_gets_it(registry, accepted):
    response = endpoint(registry).respond("GET", "/metrics", {"Accept-Encoding": accepted})
    assert header(response, "Content-Encoding") == "gzip"
    assert b"event_total{" in gzip.decompress(response.body)
    assert header(response, "Content-Length") == str(len(response.body))


@pytest.mark.parametrize("accepted", ["", "gzip;q=0", "gzip; q=0.0, *", "deflate", "*;q=0", "gzip;q=much"])
def test_a_client_that_refuses_gzip_gets_plain_text(registry, accepted):
    response = endpoint(registry).respond("GET", "/metrics", {"Accept-Encoding": accepted})
    assert header(response, "Content-Encoding") is None
    assert b"event_total{" in response.body


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Switch between threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_concurrent_scrapes_are_each_complete():
    registry = CollectorRegistry(auto_describe=False)
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    points = [Observation(number, {"number": number}) for number in range(200)]
    provider.get_meter("test").create_observable_gauge("many", callbacks=[lambda _: points])
    served = endpoint(registry)
    bodies: list[bytes] = []
    gate = threading.Barrier(8)

    def scrape() -> None:
        gate.wait()
        bodies.extend(served.respond("GET", "/metrics", {}).body for _ in range(5))

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    provider.shutdown()
    assert len(bodies) == 40
    assert {body.count(b"\nmany{") for body in bodies} == {200}


def test_a_head_request_gets_only_the_headers(registry):
    response = endpoint(registry).respond("HEAD", "/metrics", {})
    assert (response.status, response.body) == (200, b"")
    assert int(header(response, "Content-Length")) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_methods_other_than_get_and_head_are_not_allowed(method):
    response = endpoint().respond(method, "/metrics", {})
    assert (response.status, header(response, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("health", "status"),
    [({"status": "ok"}, 200), ({"status": "degraded"}, 200), ({"status": "failed"}, 503), ({}, 503)],
)
def test_health_is_json_with_status_503_if_telemetry_failed(health, status):
    response = endpoint(health=lambda: health).respond("GET", "/healthz", {})
    assert response.status == status
    assert json.loads(response.body) == health


def test_a_health_function_that_raises_is_a_server_error(caplog):
    def broken():
        raise RuntimeError("secret detail")

    response = endpoint(health=broken).respond("GET", "/healthz", {})
    assert response.status == 500
    assert b"secret" not in response.body
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_root_lists_the_paths():
    response = endpoint().respond("GET", "/", {})
    assert response.status == 200
    assert b"metrics" in response.body
    assert b"healthz" in response.body


def test_an_unknown_path_is_not_found():
    assert endpoint().respond("GET", "/nothing", {}).status == 404


def test_without_a_registry_there_is_no_metrics_page():
    served = Endpoint(None, lambda: HEALTHY, dict, username=None, password=None)
    assert served.respond("GET", "/metrics", {}).status == 404
    assert served.respond("GET", "/healthz", {}).status == 200
    assert served.text() == ""


def test_the_text_equals_a_scrape(registry):
    served = endpoint(registry)
    assert served.text() == served.respond("GET", "/metrics", {}).body.decode()


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_every_request_is_answered(method, path, headers):
    assert endpoint(username="a", password="b").respond(method, path, headers).status == 401
    assert 200 <= endpoint().respond(method, path, headers).status < 500
