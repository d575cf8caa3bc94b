"""The parts of a push: no request has too many data points, and together they have all of them."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ha import Attribute, Catalog, Counter, TelemetryConfig, setup_telemetry
from otel_ha.export.otlp import parts
from otel_ha.export.otlp.answer import Answer
from otel_ha.export.otlp.attempts import Attempts
from otel_ha.export.otlp.encoding import MetricsEncoder
from otel_ha.export.otlp.parts import parts_of
from tests.receivers import answer, receiving

NUMBER = Attribute("test.number", "A number.")
THINGS = Counter("test.things", unit="1", description="Things.", attributes=(NUMBER,), series=100)


@pytest.fixture
def collected():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for scope in ("one", "two"):
        meter = provider.get_meter(scope)
        for name in ("first", "second"):
            counter = meter.create_counter(f"{scope}.{name}", unit="By", description="Bytes.")
            for number in range(5):
                counter.add(number, {"number": number})
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def points(data) -> list:
    """Return everything that a request says, point by point."""
    request = ExportMetricsServiceRequest.FromString(MetricsEncoder()(data))
    return [
        (str(of_resource.resource), str(of_scope.scope), metric.name, metric.unit, metric.description, str(point))
        for of_resource in request.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for point in metric.sum.data_points
    ]


@pytest.mark.parametrize("most", [1, 3, 5, 7, 10, 19])
def test_the_parts_have_every_point_once_and_in_order(collected, most):
    found = [points(part) for part in parts_of(collected, most)]
    assert [point for part in found for point in part] == points(collected)
    assert [len(part) for part in found[:-1]] == [most] * (len(found) - 1)
    assert 0 < len(found[-1]) <= most


def test_metrics_that_fit_are_one_part(collected):
    assert list(parts_of(collected, 20)) == [collected]


def test_metrics_of_one_scope_stay_together_in_a_part(collected):
    (part, _) = parts_of(collected, 12)
    scopes = [[metric.name for metric in of_scope.metrics] for of_scope in part.resource_metrics[0].scope_metrics]
    assert scopes == [["one.first", "one.second"], ["two.first"]]


def pushed(monkeypatch, *replies) -> tuple:
    """Return whether a push of 25 series in parts of ten arrived, its state, and the requests."""
    monkeypatch.setattr(parts, "MOST_POINTS", 10)
    with receiving(*replies) as receiver:
        config = TelemetryConfig(
            environ={},
            otlp_endpoint=receiver.url,
            metrics_exporters=("otlp",),
            export_interval=3600,
            system_metrics=False,
            performance_metrics=False,
            operations_metrics=False,
        )
        with setup_telemetry("test", config=config, catalog=Catalog(THINGS)) as telemetry:
            for number in range(25):
                THINGS.add(1, number=str(number))
            arrived = telemetry.flush(30)
            count = len(receiver.requests)
            delivery = telemetry.pipeline.deliveries[0]
            failures = delivery.failures
    return arrived, failures, receiver.bodies("/v1/metrics")[:count]


class Scripted:
    """A sender that has its answers already."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.sent: list[bytes] = []

    def send(self, payload: bytes, timeout: float) -> Answer:
        self.sent.append(payload)
        return next(self._answers)


def values(bodies) -> list[int]:
    """Return the number of series of our counter in each request."""
    found = []
    for body in bodies:
        metrics = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
        found.append(sum(len(metric.sum.data_points) for metric in metrics if metric.name == THINGS.name))
    return found


def test_a_push_of_many_series_arrives_in_several_requests(monkeypatch):
    arrived, failures, bodies = pushed(monkeypatch, answer())
    assert (arrived, failures) == (True, 0)
    assert sum(values(bodies)) == 25
    assert max(values(bodies)) <= 10


def test_a_request_whose_content_is_refused_costs_the_others_nothing(monkeypatch):
    arrived, failures, bodies = pushed(monkeypatch, answer("400 Bad Request"), answer())
    assert (arrived, failures) == (False, 1)
    assert sum(values(bodies)) == 25


def test_a_receiver_that_refuses_every_request_gets_one(monkeypatch):
    arrived, failures, bodies = pushed(monkeypatch, answer(), answer("401 Unauthorized"))
    assert (arrived, failures) == (False, 1)
    assert len(bodies) == 2


def test_what_each_request_rejects_is_added_up():
    def rejecting(number: int, message: str) -> Answer:
        return Answer(rejected=number, remark=message)

    sender = Scripted(rejecting(2, ""), Answer(), rejecting(3, "too old"))
    attempts = Attempts(sender, 10, lambda part: bytes([part]), lambda data: data)
    assert attempts.push([1, 2, 3]) == rejecting(5, "too old")
    assert sender.sent == [b"\1", b"\2", b"\3"]


def test_a_refused_request_is_the_answer_for_all_with_the_number_of_refused_ones():
    refused = Answer("400 Bad Request", code="400")
    sender = Scripted(Answer(), refused, refused, Answer())
    attempts = Attempts(sender, 10, lambda part: bytes([part]), lambda data: data)
    assert attempts.push([1, 2, 3, 4]) == Answer("400 Bad Request (2 of 4 requests)", code="400")


def test_a_request_that_is_too_large_for_a_collector_costs_the_others_nothing():
    sender = Scripted(Answer("too large", code="RESOURCE_EXHAUSTED"), Answer())
    attempts = Attempts(sender, 10, lambda part: bytes([part]), lambda data: data)
    assert attempts.push([1, 2]).error == "too large (1 of 2 requests)"


@pytest.mark.parametrize(
    "failure", [Answer("closed"), Answer("limited", code="RESOURCE_EXHAUSTED", retryable=True, pause=100)]
)
def test_the_requests_after_one_that_does_not_get_through_are_not_sent(failure):
    sender = Scripted(Answer(), failure, Answer())
    attempts = Attempts(sender, 10, lambda part: bytes([part]), lambda data: data)
    assert attempts.push([1, 2, 3]).error.startswith(failure.error)
    assert sender.sent == [b"\1", b"\2"]


def test_a_request_for_which_the_receiver_is_not_ready_is_repeated_alone(monkeypatch):
    busy = answer("503 Service Unavailable", Retry_After="0")
    arrived, failures, bodies = pushed(monkeypatch, answer(), busy, answer())
    assert (arrived, failures) == (True, 0)
    assert bodies[1] == bodies[2]
    assert sum(values([bodies[0], *bodies[2:]])) == 25
