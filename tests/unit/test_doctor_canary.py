"""The doctor's canary: its request, its passwords, and the places that it does not look at."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_ha.cli.client import Access
from otel_ha.cli.doctor import canary
from otel_ha.cli.doctor.step import Result
from otel_ha.config.secrets import Secret
from tests.doctor import examined, settings, without_proxies
from tests.receivers import Reply, answer, receiving
from tests.servers.running import free_ports
from tests.unit.conftest import config
from tests.unit.test_push import PARTIAL

ACCESS = Access(username="me", password=Secret("hunter2hunter2"))


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    without_proxies(monkeypatch)


def sent(settings_, **more):
    given = {"collector_metrics": None, "prometheus": None, "access": Access(), "patience": 0.1} | more
    return list(canary.canary_steps(settings_, **given))


def test_the_request_has_one_series_of_the_doctors_own_service():
    with receiving(answer()) as receiver:
        given = TelemetryEnvironment(receiver.url)
        push = sent(given.config)[0]
        request = ExportMetricsServiceRequest.FromString(receiver.requests[0].body)
    (resource,) = request.resource_metrics
    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert attributes == {
        "deployment.environment.name": "home",
        "service.name": "otel-ha-doctor",
        "service.instance.id": push.facts["canary"],
    }
    (metric,) = resource.scope_metrics[0].metrics
    assert metric.name == "otel_ha.doctor.canary"
    (point,) = metric.sum.data_points
    assert {each.key: each.value.string_value for each in point.attributes} == {"canary": push.facts["canary"]}


class TelemetryEnvironment:
    """Settings of a service with a name, an instance and attributes of its own."""

    def __init__(self, endpoint: str) -> None:
        attributes = {"service.instance.id": "mine", "service.name": "mine", "deployment.environment.name": "home"}
        self.config = config(
            metrics_exporters=("otlp",), otlp_endpoint=endpoint, service_name="mine", resource_attributes=attributes
        )


def test_a_rejected_canary_is_a_partial_success():
    with receiving(answer(body=PARTIAL.SerializeToString())) as receiver:
        push, *others = sent(settings(receiver.url))
    assert push.cause == "partial_success"
    assert "too old" in push.found
    assert {step.result for step in others} == {Result.SKIPPED}


def test_without_a_place_to_look_at_the_steps_say_how_to_name_one(monkeypatch):
    monkeypatch.setattr(canary, "_EXPORTER_PORT", free_ports(1)[0])
    with receiving(answer()) as receiver:
        push, exporter, store = sent(settings(receiver.url))
    assert push.result is Result.OK
    assert (exporter.result, store.result) == (Result.SKIPPED, Result.SKIPPED)
    assert "--collector-metrics URL" in exporter.found
    assert "--prometheus URL" in store.found


def test_the_password_of_the_services_endpoint_goes_nowhere_else(monkeypatch):
    with receiving(answer()) as receiver, receiving(answer()) as other:
        monkeypatch.setattr(canary, "_EXPORTER_PORT", other.port)
        sent(settings(receiver.url), access=ACCESS, prometheus=other.url)
        assert {request.target.partition("?")[0] for request in other.requests} == {"/metrics", "/api/v1/query"}
        assert all("authorization" not in request.headers for request in other.requests)


def test_several_series_are_shown_as_several_ways():
    found = (
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"a": "1"}}, {"metric": {}}]}}'
    )
    with receiving(answer()) as receiver, receiving(*stores(found)) as store:
        *_, step = sent(settings(receiver.url), prometheus=store.url)
    assert step.result is Result.OK
    assert "as 2 series" in step.found


def stores(query: bytes) -> tuple[Reply, ...]:
    """The answers of a Prometheus: the query of its time, its metrics, and the query of the canary."""
    moment = b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}'
    return answer(body=moment), answer(), answer(body=query)


def test_a_password_in_a_url_is_used_and_not_shown():
    with receiving(answer()) as receiver, receiving(answer(body=b'{"data": {"result": []}}')) as store:
        url = store.url.replace("//", "//user:hunter2@")
        steps = sent(settings(receiver.url), prometheus=url, collector_metrics=url)
        assert store.requests[-1].headers["authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert "hunter2" not in repr(steps)


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"{}", b'{"data": {"result": {}}}', b'{"data": []}'])
def test_a_server_that_answers_otherwise_is_no_prometheus(text):
    with receiving(answer()) as receiver, receiving(answer(body=text)) as store:
        *_, step = sent(settings(receiver.url), prometheus=store.url)
    assert step.cause == "not_prometheus"


@pytest.mark.parametrize("url", ["ftp://somewhere", "http://", "http://[::1", "http://host:port"])
def test_a_wrong_url_is_a_finding(url):
    with receiving(answer()) as receiver:
        _, exporter, store = sent(settings(receiver.url), prometheus=url, collector_metrics=url)
    assert (exporter.cause, store.cause) == ("exporter_unreachable", "not_prometheus")


def test_nothing_is_sent_if_services_do_not_push():
    steps = sent(config(metrics_exporters=("prometheus",)))
    assert [step.id for step in steps] == ["canary.push", "canary.collector", "canary.prometheus"]
    assert {step.result for step in steps} == {Result.SKIPPED}


def test_nothing_is_sent_if_the_way_to_the_collector_has_failed():
    with receiving(answer("401 Unauthorized")) as receiver:
        failed = examined(settings(receiver.url))["collector.push"]
        asked = len(receiver.requests)
        steps = sent(settings(receiver.url), failed=failed)
        assert len(receiver.requests) == asked
    assert {step.result for step in steps} == {Result.SKIPPED}
    assert "Empty push" in steps[0].found
