import json
import urllib.error
import urllib.request

from otel_ha import setup_telemetry
from otel_ha.delivery import Delivery
from otel_ha.serve.health import endpoint_state, health
from otel_ha.vocabulary import ingest
from tests.servers.running import free_ports
from tests.unit.conftest import config, get


def readers(telemetry):
    return {reader["reader"]: reader for reader in telemetry.health()["readers"]}


def of(*deliveries: Delivery, enabled=True, running=True, problem=""):
    endpoint = endpoint_state(url="http://127.0.0.1:9464/metrics", problem=problem, scrapes=True)
    return health("test", enabled=enabled, running=running, endpoint=endpoint, deliveries=deliveries)


def failing() -> Delivery:
    delivery = Delivery("otlp", "http://collector:4318")
    delivery.failed("Connection refused")
    return delivery


def test_the_status_is_ok_if_nothing_fails(served):
    state = served.health()
    assert (state["status"], state["reasons"], state["service"]) == ("ok", [], "test")
    assert state["endpoint"] == {"status": "listening", "url": served.metrics_url, "problem": None}


def test_every_reader_is_listed(telemetry):
    assert set(readers(telemetry)) == {"prometheus", "history"}


def test_a_reader_without_an_attempt_is_waiting(telemetry):
    assert readers(telemetry)["prometheus"]["status"] == "waiting"
    assert readers(telemetry)["prometheus"]["last_success"] is None


def test_a_scrape_is_a_success_of_its_reader(served):
    ingest.RECEIVED.add(1, source="mqtt")
    with urllib.request.urlopen(served.metrics_url) as response:
        response.read()
    assert readers(served)["prometheus"]["status"] == "ok"
    assert readers(served)["prometheus"]["last_success"] > 1e9


def test_a_failing_reader_degrades_the_status_and_gives_the_reason():
    state = of(failing())
    assert state["status"] == "degraded"
    assert state["reasons"] == ["otlp: http://collector:4318: Connection refused (1 in a row)"]


def test_failures_are_counted_until_the_next_success():
    delivery = failing()
    delivery.failed("Connection refused")
    assert delivery.state()["consecutive_failures"] == 2
    assert delivery.succeeded() == 2
    assert of(delivery)["status"] == "ok"
    assert delivery.state()["last_error"] is None


def test_an_endpoint_that_cannot_listen_degrades_the_status_and_gives_the_reason():
    state = of(problem="cannot listen at 127.0.0.1:9464: Address already in use")
    assert (state["status"], state["endpoint"]["status"]) == ("degraded", "failed")
    assert state["reasons"] == ["endpoint: cannot listen at 127.0.0.1:9464: Address already in use"]


def test_telemetry_that_was_shut_down_has_failed():
    with setup_telemetry(config=config()) as telemetry:
        pass
    state = telemetry.health()
    assert (state["status"], state["reasons"]) == ("failed", ["telemetry is not running: it was shut down"])
    assert get(telemetry.wsgi_app, "/healthz")[0] == 503


def test_telemetry_that_is_turned_off_is_disabled_and_not_failed():
    with setup_telemetry(config=config(enabled=False)) as telemetry:
        assert telemetry.health()["status"] == "disabled"
        assert get(telemetry.wsgi_app, "/healthz")[0] == 200


def test_an_endpoint_without_a_server_of_its_own_is_mounted():
    with setup_telemetry(config=config(endpoint_server=False)) as telemetry:
        assert telemetry.health()["endpoint"]["status"] == "mounted"


def test_without_anything_to_scrape_the_endpoint_is_off():
    with setup_telemetry(config=config(metrics_exporters=())) as telemetry:
        assert telemetry.health()["endpoint"]["status"] == "off"
        assert set(readers(telemetry)) == {"history"}


def test_a_failing_push_is_shown_over_http_with_status_200():
    [port] = free_ports(1)
    settings = config(
        metrics_exporters=("otlp", "prometheus"), otlp_endpoint=f"http://127.0.0.1:{port}", otlp_timeout=1.5
    )
    with setup_telemetry(config=settings) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        assert not telemetry.flush()
        with urllib.request.urlopen(telemetry.metrics_url.replace("/metrics", "/healthz")) as response:
            state = json.load(response)
    assert state["status"] == "degraded"
    assert [reader["consecutive_failures"] for reader in state["readers"] if reader["reader"] == "otlp"] == [1]
