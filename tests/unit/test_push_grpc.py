"""A push by gRPC: what is confirmed, rejected, postponed, endless or silent, on a real gRPC server."""

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otel_ha import Telemetry, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.receivers import HOST, MIB, receiving, silent
from tests.servers.running import free_ports
from tests.unit.conftest import config
from tests.unit.test_push import PARTIAL, error

Answer = Callable[[grpc.ServicerContext], bytes]
EMPTY = ExportMetricsServiceResponse().SerializeToString()


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    for name in ("grpc_proxy", "http_proxy", "https_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


class Service(grpc.GenericRpcHandler):
    """Gives each request the next answer, and the last one for good."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[bytes] = []
        self._answers = answers

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export":
            return None

        def export(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.requests.append(request)
            return self._answers[min(len(self.requests), len(self._answers)) - 1](context)

        return grpc.unary_unary_rpc_method_handler(export)


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[Service, str]]]:
    with ExitStack() as held:

        def start(*answers: Answer, port: int = 0) -> tuple[Service, str]:
            server = grpc.server(held.enter_context(ThreadPoolExecutor(2)), options=[("grpc.so_reuseport", 0)])
            service = Service(*answers)
            server.add_generic_rpc_handlers((service,))
            bound = server.add_insecure_port(f"{HOST}:{port}")
            server.start()
            held.callback(lambda: server.stop(0).wait())
            return service, f"{HOST}:{bound}"

        yield start


@pytest.fixture
def pushing() -> Iterator[Callable[..., Telemetry]]:
    with ExitStack() as held:

        def start(endpoint: str, **settings: object) -> Telemetry:
            common = {"metrics_exporters": ("otlp",), "otlp_protocol": "grpc", "otlp_timeout": 1.0, "history_length": 0}
            changed = common | {"shutdown_timeout": 2.0, "otlp_endpoint": endpoint} | settings
            telemetry = held.enter_context(setup_telemetry(config=config(**changed)))
            ingest.RECEIVED.add(1, source="mqtt")
            return telemetry

        yield start


def refusing(code: grpc.StatusCode, details: str, *metadata: tuple[str, bytes]) -> Answer:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(metadata)
        context.abort(code, details)

    return answer


def test_an_empty_response_is_a_delivery_and_has_the_measurements(serving, pushing):
    service, target = serving(lambda _: EMPTY)
    telemetry = pushing(f"http://{target}", otlp_headers={"X-Mine": "1"})
    assert telemetry.flush(), error(telemetry)
    assert telemetry.health()["status"] == "ok"
    assert b"homeassistant.event.received" in service.requests[0]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_push_is_compressed_as_set(serving, pushing, compression):
    service, target = serving(lambda _: EMPTY)
    telemetry = pushing(f"http://{target}", otlp_compression=compression)
    assert telemetry.flush(), error(telemetry)
    assert b"homeassistant.event.received" in service.requests[0]  # the server has decoded it


def test_a_partial_success_is_one_warning_and_degraded_until_all_points_are_accepted(serving, pushing, caplog):
    partial = PARTIAL.SerializeToString()
    service, target = serving(lambda _: partial, lambda _: partial, lambda _: EMPTY)
    telemetry = pushing(f"http://{target}")
    assert not telemetry.flush()
    assert not telemetry.flush()
    assert telemetry.health()["status"] == "degraded"
    assert "3 data points rejected: too old" in telemetry.health()["reasons"][0]
    assert telemetry.flush()
    assert telemetry.health()["status"] == "ok"
    assert len(service.requests) == 3
    assert caplog.text.count("rejected 3 data points: too old") == 1


def test_a_response_of_another_service_is_a_failure(serving, pushing):
    _, target = serving(lambda _: b"\x12\x07Welcome")
    telemetry = pushing(f"http://{target}")
    assert not telemetry.flush()
    assert "not an answer of OTLP" in error(telemetry)


@pytest.mark.parametrize("place", ["google.rpc.retryinfo-bin", "grpc-status-details-bin"])
def test_a_pause_beyond_the_time_limit_fails_this_push_at_once_and_delays_the_next(serving, pushing, caplog, place):
    info = RetryInfo()
    info.retry_delay.seconds = 7200
    detail = AnyMessage()
    detail.Pack(info)
    value = info if place.startswith("google") else Status(code=8, message="slow down", details=[detail])
    service, target = serving(
        refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", (place, value.SerializeToString()))
    )
    telemetry = pushing(f"http://{target}", otlp_timeout=30.0)
    began = time.monotonic()
    assert not telemetry.flush()
    assert not telemetry.flush()
    assert time.monotonic() - began < 10
    assert len(service.requests) == 1
    for text in (caplog.text, error(telemetry)):
        assert "RESOURCE_EXHAUSTED: slow down (the receiver limits pushes); RetryInfo: 7200 s" in text
        assert "no push for the next 300 s" in text


def test_a_failure_for_good_is_not_repeated(serving, pushing):
    service, target = serving(refusing(grpc.StatusCode.UNAUTHENTICATED, "who are you"))
    telemetry = pushing(f"http://{target}", otlp_timeout=30.0)
    assert not telemetry.flush()
    assert error(telemetry) == "UNAUTHENTICATED: who are you"
    assert len(service.requests) == 1


def test_a_failure_that_may_pass_is_repeated(serving, pushing):
    service, target = serving(refusing(grpc.StatusCode.UNAVAILABLE, "starting"), lambda _: EMPTY)
    telemetry = pushing(f"http://{target}", otlp_timeout=10.0)
    assert telemetry.flush(), error(telemetry)
    assert len(service.requests) == 2


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_response_of_any_size_costs_little_memory(serving, pushing, compression):
    def large(context: grpc.ServicerContext) -> bytes:
        context.set_compression(compression)
        return bytes(64 * MIB)

    _, target = serving(large)
    telemetry = pushing(f"http://{target}", otlp_timeout=10.0)
    began = time.monotonic()
    tracemalloc.start()
    try:
        assert not telemetry.flush(20)
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert "with a response of more than 4 MiB" in error(telemetry)


def test_a_collector_for_which_a_request_is_too_large_gets_it_once(serving, pushing):
    said = "grpc: received message larger than max (5242916 vs. 4194304)"
    service, target = serving(refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, said))
    telemetry = pushing(f"http://{target}", otlp_timeout=30.0)
    assert not telemetry.flush(20)
    assert f"RESOURCE_EXHAUSTED, as the request is too large: {said}" in error(telemetry)
    assert len(service.requests) == 1


def test_a_receiver_that_does_not_answer_is_a_failure_within_the_time_limit(pushing, serving):
    release: list[float] = []

    def hanging(context: grpc.ServicerContext) -> bytes:
        while context.is_active():
            time.sleep(0.05)
        release.append(0)
        return EMPTY

    _, target = serving(hanging)
    telemetry = pushing(f"http://{target}", otlp_timeout=10.0, export_timeout=0.5)
    began = time.monotonic()
    assert not telemetry.flush(20)
    assert time.monotonic() - began < 5
    assert error(telemetry).startswith("DEADLINE_EXCEEDED")
    assert "no response within" in error(telemetry)


def test_a_connection_that_is_accepted_and_silent_is_a_failure_within_the_time_limit(pushing):
    with socket.create_server((HOST, 0)) as listener:
        telemetry = pushing(f"http://{HOST}:{listener.getsockname()[1]}", otlp_timeout=10.0, export_timeout=0.5)
        began = time.monotonic()
        assert not telemetry.flush(20)
        assert time.monotonic() - began < 5
        assert telemetry.health()["status"] == "degraded"


def test_a_receiver_that_comes_back_gets_the_next_push(serving, pushing):
    [port] = free_ports(1)
    telemetry = pushing(f"http://{HOST}:{port}", otlp_timeout=0.5)
    for _ in range(3):
        assert not telemetry.flush()
    service, _ = serving(lambda _: EMPTY, port=port)
    assert telemetry.flush(), error(telemetry)
    assert len(service.requests) == 1


def test_an_endpoint_without_a_scheme_at_a_port_without_tls_gets_a_hint(serving, pushing, caplog):
    _, target = serving(lambda _: EMPTY)
    telemetry = pushing(target)
    assert not telemetry.flush()
    assert f"http://{target}, or OTEL_EXPORTER_OTLP_INSECURE=true" in error(telemetry)
    assert f"http://{target}, or OTEL_EXPORTER_OTLP_INSECURE=true" in caplog.text


def test_an_endpoint_without_a_scheme_at_a_web_server_without_tls_gets_a_hint(pushing):
    with receiving(silent) as receiver:
        telemetry = pushing(f"{HOST}:{receiver.port}")
        assert not telemetry.flush()
        assert "OTEL_EXPORTER_OTLP_INSECURE=true" in error(telemetry)


def test_an_endpoint_without_a_scheme_that_refuses_gets_no_hint(pushing):
    [port] = free_ports(1)
    telemetry = pushing(f"{HOST}:{port}")
    assert not telemetry.flush()
    assert "INSECURE" not in error(telemetry)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_proxy_that_is_down_is_named(pushing, monkeypatch, variable):
    [port] = free_ports(1)
    monkeypatch.setenv(variable, f"http://user:hunter2@{HOST}:{port}")
    telemetry = pushing("http://collector.invalid:4317")
    assert not telemetry.flush()
    assert f"gRPC connects through the proxy {HOST}:{port} of {variable}" in error(telemetry)
    assert "hunter2" not in error(telemetry)


def test_a_receiver_that_the_environment_excepts_from_the_proxy_is_not_blamed_on_it(pushing, monkeypatch):
    [port] = free_ports(1)
    monkeypatch.setenv("http_proxy", f"http://{HOST}:{port}")
    monkeypatch.setenv("no_proxy", HOST)
    telemetry = pushing(f"http://{HOST}:{port}")
    assert not telemetry.flush()
    assert "proxy" not in error(telemetry)
