"""The doctor on receivers of gRPC that refuse, hang or belong to others, and the proxies that gRPC takes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from otel_ha.cli.doctor.step import Result
from tests.doctor import examined, finding_of, only_finding, settings, without_proxies
from tests.receivers import HOST
from tests.servers.running import free_ports
from tests.unit import test_push_grpc
from tests.unit.test_push import PARTIAL

serving = test_push_grpc.serving  # its fixture


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    without_proxies(monkeypatch)


@pytest.mark.parametrize("value", [f"{HOST}:9", f"https://{HOST}:9", f"socks5://{HOST}:9"])
def test_a_proxy_of_a_kind_that_grpc_ignores_is_not_used(monkeypatch, serving, value):
    monkeypatch.setenv("https_proxy", value)
    _, target = serving(lambda _: b"")
    steps = examined(settings(f"http://{target}", "grpc"))
    assert steps["collector.push"].result is Result.OK
    assert "https_proxy is written http://HOST:PORT" in steps["collector.proxy"].found


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        (grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
        (grpc.StatusCode.INVALID_ARGUMENT, "rejected_request"),
        (grpc.StatusCode.UNIMPLEMENTED, "no_metrics_receiver"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited"),
        (grpc.StatusCode.UNAVAILABLE, "overloaded"),
        (grpc.StatusCode.INTERNAL, "receiver_failed"),
    ],
)
def test_the_cause_of_an_answer_by_grpc_is_named(serving, code, cause):
    _, target = serving(test_push_grpc.refusing(code, "because"))
    step = finding_of(f"http://{target}", "grpc")
    assert (step.id, step.cause) == ("collector.push", cause)
    assert f"{code.name}: because" in step.found


def test_points_that_are_rejected_by_grpc_are_a_partial_success(serving):
    _, target = serving(lambda _: PARTIAL.SerializeToString())
    assert finding_of(f"http://{target}", "grpc").cause == "partial_success"


def test_another_service_of_grpc_is_no_collector(serving):
    _, target = serving(lambda _: b"\x12\x07Welcome")
    assert finding_of(f"http://{target}", "grpc").cause == "not_a_collector"


def test_a_grpc_receiver_that_hangs_only_at_a_push_does_not_answer(serving):
    ended = threading.Event()
    _, target = serving(lambda _: bytes(ended.wait(30)))
    step = finding_of(f"http://{target}", "grpc", TIMEOUT="400")
    ended.set()
    assert (step.id, step.cause) == ("collector.push", "no_answer")


def test_a_unix_socket_is_walked_to_the_push(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        server.add_insecure_port(f"unix:{tmp_path}/otel.sock")
        server.start()
        step = finding_of(f"unix://{tmp_path}/otel.sock", "grpc", INSECURE="true")
        server.stop(0).wait()
    assert (step.id, step.cause) == ("collector.push", "no_metrics_receiver")


def test_capital_letters_do_not_give_grpc_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    [port] = free_ports(1)
    steps = examined(settings(f"http://{HOST}:{port}", "grpc"))
    assert "lower case only" in steps["collector.proxy"].found
    assert only_finding(steps).cause == "connection_refused"


def test_a_unix_socket_without_a_receiver_is_found(tmp_path):
    step = finding_of(f"unix://{tmp_path}/otel.sock", "grpc", INSECURE="true")
    assert (step.id, step.cause) == ("collector.connection", "connection_failed")
