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

from otel_ha.export.prometheus.scrape import ScrapeReader
from otel_ha.record.gate import CollectionGate
from otel_ha.serve.application import Endpoint
from tests.unit.endpoint.conftest import HEALTHY, OPENMETRICS, endpoint, fetch, header, serving


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


TEXT, JSON = "text/plain; version=0.0.4", "application/json"
OPEN = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/metrics", "application/openmetrics-text;version=1.0.0;q=0", TEXT),
        ("/metrics", "application/openmetrics-text; version=1.0.0; q=0.000, */*", TEXT),
        ("/metrics", "application/*;q=0, text/plain", TEXT),
        ("/metrics", "*/*;q=0, text/plain", TEXT),
        ("/metrics", "text/plain;q=0, */*", OPEN),
        ("/metrics", "text/*;q=0, */*;q=0.1", OPEN),
        ("/metrics", "*/*;q=0, application/openmetrics-text;q=0.1", OPEN),
        ("/metrics", "text/plain;version=1.0.0;q=0, text/plain", TEXT),
        ("/metrics", "application/json", TEXT),
        ("/metrics", "text/plain;q=0, application/openmetrics-text;q=0", None),
        ("/metrics", "*/*;q=0", None),
        ("/healthz", "application/json;q=0", None),
        ("/healthz", "*/*;q=0, application/*", JSON),
        ("/healthz", "*/*;q=0", None),
        ("/summary", "application/*; Q=0", None),
        ("/summary", "text/plain;q=0", JSON),
        ("/", "text/plain;q=0", None),
        ("/", "text/plain;q=much", "text/plain"),
    ],
)
def test_a_type_of_quality_0_is_not_sent(registry, path, accept, expected):
    response = endpoint(registry).respond("GET", path, {"Accept": accept})
    assert response.status == (406 if expected is None else 200)
    assert header(response, "Content-Type").startswith(expected or "text/plain")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/summary", "/"])
def test_a_coding_of_quality_0_is_not_sent(registry, path):
    for accepted, status, sent_as in (
        ("identity;q=0, gzip", 200, "gzip"),
        ("identity;q=0.0, *", 200, "gzip"),
        ("identity;q=0", 406, None),
        ("identity;q=0, gzip;q=0", 406, None),
        ("gzip;q=0, *", 200, None),
    ):
        response = endpoint(registry).respond("GET", path, {"Accept-Encoding": accepted})
        assert (response.status, header(response, "Content-Encoding")) == (status, sent_as)
        assert header(response, "Content-Length") == str(len(response.body))
        if sent_as:
            assert len(gzip.decompress(response.body)) > 2


def test_parameters_name_select_samples():
    reader = ScrapeReader(CollectionGate())
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("event", unit="{event}").add(3)
    served = endpoint(reader.registry)
    full = served.respond("GET", "/metrics", {}).body.decode()
    some = served.respond("GET", "/metrics", {}, "a=b&name[]=target_info&name%5B%5D=none").body.decode()
    assert some == "".join(line for line in full.splitlines(keepends=True) if "target_info" in line)
    assert some.count("\n") == 3
    with serving(served) as server:
        assert fetch(server, "/metrics?name%5B%5D=target_info")[2].decode() == some
        assert fetch(server, "/metrics?name[]=none")[2] == b""
        assert fetch(server, "/metrics?name[]=")[2].decode() == full
        both = fetch(server, "/metrics?name[]=target_info&name[]=event_total", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(both[2]).decode() == full
    provider.shutdown()


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


def test_a_page_that_fails_is_logged_once_and_once_more_when_it_works_again(caplog):
    failing = [True]

    def health():
        if failing:
            raise ValueError("no health")
        return HEALTHY

    served = endpoint(health=health)
    for _ in range(5):
        served.respond("GET", "/healthz/", {})
    failing.clear()
    for _ in range(5):
        served.respond("GET", "/healthz", {})
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("ERROR", "cannot answer /healthz: ValueError('no health')"),
        ("WARNING", "/healthz can be answered again"),
    ]


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
