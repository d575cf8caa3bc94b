"""The doctor on receivers that misbehave, on real sockets: each fault has its cause and a remedy."""

import contextlib
import socket
import threading

import pytest

from otel_ha import setup_telemetry
from otel_ha.cli.doctor import connection, way
from otel_ha.cli.doctor.step import Result
from otel_ha.vocabulary import ingest
from tests.doctor import examined, finding_of, only_finding, settings, tunnel, without_proxies
from tests.receivers import HOST, Reply, answer, dripping, hanging_up, receiving, silent
from tests.servers.running import free_ports
from tests.unit.conftest import config
from tests.unit.test_push import PARTIAL, WARNING


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    without_proxies(monkeypatch)


def talking(text: bytes) -> Reply:
    return lambda connection, _: connection.sendall(text)


def localhost_is(monkeypatch: pytest.MonkeyPatch, *places: tuple[object, ...]) -> None:
    """Let the name localhost have these addresses."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        connection.socket,
        "getaddrinfo",
        lambda host, *more, **given: list(places) if host == "localhost" else look_up(host, *more, **given),
    )


@pytest.mark.parametrize(
    ("reply", "cause", "found", "remedy"),
    [
        (answer("302 Found", Location="https://new.example/v1"), "redirected", "https://new.example/v1", "ENDPOINT"),
        (answer("307 Temporary Redirect", Location="/in?token=hunter2"), "redirected", "Location: /in?***", "ENDPOINT"),
        (answer("400 Bad Request", b"no"), "rejected_request", "body: no", "message"),
        (answer("401 Unauthorized"), "unauthenticated", "401", "OTEL_EXPORTER_OTLP_HEADERS"),
        (answer("403 Forbidden"), "forbidden", "403", "rights"),
        (answer("404 Not Found"), "otlp_path", "404", "/api/v1/otlp/v1/metrics"),
        (answer("404 Not Found", b"otlp write receiver needs to be enabled with --web.enable-otlp-receiver"),
         "no_otlp_receiver", "404", "--web.enable-otlp-receiver"),
        (answer("405 Method Not Allowed"), "method_not_allowed", "405", "/v1/metrics"),
        (answer("407 Proxy Authentication Required"), "proxy_authentication", "407", "password"),
        (answer("410 Gone"), "rejected_request", "410", "log"),
        (answer("413 Content Too Large"), "too_large", "413", "limit"),
        (answer("415 Unsupported Media Type"), "media_type_refused", "415", "COMPRESSION=none"),
        (answer("429 Too Many Requests", Retry_After="7"), "rate_limited", "Retry-After: 7", "less often"),
        (answer("500 Internal Server Error"), "receiver_failed", "500", "log"),
        (answer("502 Bad Gateway"), "gateway_failed", "502", "target"),
        (answer("503 Service Unavailable", Retry_After="120"), "overloaded", "Retry-After: 120", "again"),
        (answer("504 Gateway Timeout"), "gateway_failed", "504", "target"),
        (answer(body=b"<html>Welcome</html>", Content_Type="text/html"), "not_a_collector", "Welcome", "ENDPOINT"),
        (answer(body=PARTIAL.SerializeToString()), "partial_success", "3 data points rejected: too old", "clocks"),
        (answer("500 Internal Server Error", b"invalid temporality and type combination"), "temporality_refused", "500",
         "TEMPORALITY_PREFERENCE=cumulative"),
    ],
)  # fmt: skip
def test_the_cause_of_an_answer_is_named(reply, cause, found, remedy):
    with receiving(reply) as receiver:
        step = finding_of(receiver.url)
    assert (step.id, step.cause) == ("collector.push", cause)
    assert found in step.found
    assert remedy in step.remedy
    assert "hunter2" not in repr(step)


@pytest.mark.parametrize(
    ("reply", "cause", "found"),
    [
        (hanging_up, "connection_closed", "without an answer"),
        (talking(b"SSH-2.0-OpenSSH_9.2\r\n"), "not_http", "SSH-2.0"),
        (talking(b"\x20\x02\x00\x01" * 4), "not_http", "20 02 00 01"),
        (talking(b"\x15\x03\x01\x00\x02\x02\x28"), "not_http", "15 03 01"),
    ],
    ids=["hanging up", "SSH", "MQTT", "an alert of TLS, which is not spoken"],
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_port_of_another_protocol_is_found_by_its_first_bytes(reply, cause, found, protocol):
    # The first words of gRPC end with a line as well, so the receiver takes them for a request.
    with receiving(reply) as receiver:
        step = finding_of(receiver.url, protocol)
    assert (step.id, step.cause) == ("collector.protocol", cause)
    assert found in step.found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_hanging_receiver_takes_its_time_limit_once(protocol):
    with receiving(silent) as receiver:
        step = finding_of(receiver.url, protocol, TIMEOUT="300")
        assert len(receiver.requests) <= 1
    assert (step.id, step.cause) == ("collector.protocol", "no_answer")
    assert "0.3 s" in step.found


def test_a_receiver_that_hangs_only_at_a_push_is_one_that_does_not_answer():
    with receiving(answer(), silent) as receiver:
        step = finding_of(receiver.url, TIMEOUT="300")
    assert (step.id, step.cause) == ("collector.push", "no_answer")


def test_an_answer_that_drips_is_bounded_too():
    with receiving(answer(), dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")) as receiver:
        step = finding_of(receiver.url, TIMEOUT="300")
    assert (step.id, step.cause) == ("collector.push", "no_answer")


def test_a_warning_of_the_receiver_is_shown_and_is_fine():
    with receiving(answer(body=WARNING.SerializeToString())) as receiver:
        step = examined(settings(receiver.url))["collector.push"]
    assert step.result is Result.OK
    assert "deprecated" in step.found


def test_headers_are_sent_and_their_values_are_never_shown():
    with receiving(answer("401 Unauthorized", b"wrong: Bearer hunter2hunter2")) as receiver:
        steps = examined(settings(receiver.url, HEADERS="authorization=Bearer%20hunter2hunter2,x-scope=tenant7x"))
        assert receiver.requests[-1].headers["authorization"] == "Bearer hunter2hunter2"
    assert steps["collector.address"].facts["headers"] == ["authorization", "x-scope"]
    assert "authorization is sent but not accepted" in only_finding(steps).remedy
    assert "hunter2" not in repr(steps)
    assert "tenant7x" not in repr(steps)


def test_the_empty_push_has_no_metrics():
    with receiving(answer()) as receiver:
        assert examined(settings(receiver.url))["collector.push"].result is Result.OK
        assert receiver.requests[-1].body == b""


def test_the_endpoint_of_a_service_is_no_collector():
    with setup_telemetry("my-service", config=config()) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        step = finding_of(telemetry.metrics_url.removesuffix("/metrics"))
    assert step.cause == "not_a_collector"
    assert "my-service" in step.found


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy_is_named_with_its_variable(monkeypatch, scheme):
    [port] = free_ports(1)
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hunter2@{HOST}:{port}")
    step = finding_of(f"{scheme}://collector.invalid:4318")
    assert (step.id, step.cause) == ("collector.connection", "proxy_unreachable")
    assert f"{scheme}_proxy" in step.remedy
    assert "hunter2" not in repr(step)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_dead_proxy_of_grpc_is_named_with_its_variable(monkeypatch, variable):
    [port] = free_ports(1)
    monkeypatch.setenv(variable, f"http://{HOST}:{port}")
    step = finding_of("http://collector.invalid:4317", "grpc")
    assert step.cause == "proxy_unreachable"
    assert variable in step.remedy


@pytest.mark.parametrize(
    ("status", "cause"), [("407 Who Are You", "proxy_authentication"), ("403 Forbidden", "proxy_refuses")]
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_proxy_that_refuses_to_connect_is_named(monkeypatch, status, cause, protocol):
    with receiving(answer(status)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        step = finding_of("https://collector.invalid:4318", protocol)
    assert (step.id, step.cause) == ("collector.connection", cause)
    assert status in step.found


def test_a_proxy_that_cannot_reach_the_receiver_is_named(monkeypatch):
    with receiving(answer("502 Bad Gateway")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        step = finding_of("http://collector.invalid:4318")
    assert step.cause == "gateway_failed"
    assert "of http_proxy" in step.found


def test_the_layers_behind_a_tunnel_are_looked_at_and_its_password_is_sent_but_not_shown(monkeypatch):
    with receiving(answer()) as receiver, tunnel(receiver.port) as (proxy, asked):
        monkeypatch.setenv("https_proxy", proxy.replace("//", "//user:hunter2@"))
        steps = examined(settings("https://collector.invalid:4318"))
    assert asked[0].startswith(b"CONNECT collector.invalid:4318 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n" in asked[0]
    assert only_finding(steps).cause == "tls_not_spoken"
    assert "hunter2" not in repr(steps)


def test_a_proxy_without_a_scheme_is_one_by_http(monkeypatch):
    [port] = free_ports(1)
    monkeypatch.setenv("http_proxy", f"{HOST}:{port}")
    step = finding_of("http://collector.invalid:4318")
    assert step.cause == "proxy_unreachable"
    assert f"http://{HOST}:{port} of http_proxy" in step.facts["proxy"]


@pytest.mark.parametrize("scheme", ["socks5", "https"])
def test_a_proxy_that_is_spoken_to_otherwise_is_found_by_the_push(monkeypatch, scheme):
    [port] = free_ports(1)
    monkeypatch.setenv("http_proxy", f"{scheme}://user:hunter2@{HOST}:{port}")
    step = finding_of("http://collector.invalid:4318")
    assert (step.id, step.cause) == ("collector.push", "proxy_unreachable")
    assert "hunter2" not in repr(step)


def test_a_proxy_that_the_environment_excepts_is_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", HOST)
    with receiving(answer()) as receiver:
        steps = examined(settings(receiver.url))
    assert steps["collector.push"].result is Result.OK
    assert "no_proxy excepts it" in steps["collector.proxy"].found


def test_a_refused_connection_is_one_without_a_collector(monkeypatch):
    port, usual = free_ports(2)
    monkeypatch.setitem(way.PORTS, "http/protobuf", usual)
    step = finding_of(f"http://{HOST}:{port}")
    assert (step.id, step.cause) == ("collector.connection", "connection_refused")


def test_a_port_beside_the_usual_one_is_wrong(monkeypatch):
    [port] = free_ports(1)
    with receiving(answer()) as receiver:
        monkeypatch.setitem(way.PORTS, "http/protobuf", receiver.port)
        step = finding_of(f"http://{HOST}:{port}")
    assert step.cause == "wrong_port"
    assert str(receiver.port) in step.remedy


def test_a_collector_at_another_address_of_this_machine_is_found():
    with receiving(answer()) as receiver:
        step = finding_of(f"http://127.1.2.3:{receiver.port}")
    assert step.cause == "listens_elsewhere"
    assert receiver.url.partition("//")[2] in step.remedy


def test_localhost_that_is_ipv6_only_is_found_if_the_receiver_listens_on_ipv4(monkeypatch):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with receiving(answer()) as receiver:
        localhost_is(monkeypatch, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", receiver.port, 0, 0)))
        step = finding_of(f"http://localhost:{receiver.port}")
    assert step.cause == "listens_elsewhere"
    assert "127.0.0.1" in step.remedy


def test_a_name_with_several_addresses_works_if_one_accepts(monkeypatch):
    with receiving(answer()) as receiver:
        hosts = ("127.1.2.3", HOST)
        localhost_is(
            monkeypatch, *((socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, receiver.port)) for host in hosts)
        )
        step = examined(settings(f"http://localhost:{receiver.port}"))["collector.connection"]
    assert step.result is Result.OK
    assert "127.1.2.3" in step.found


@pytest.mark.parametrize(
    ("plain", "cause"), [(b"", "connection_closed"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls_not_spoken")]
)
def test_a_server_that_ends_the_handshake_speaks_plain_text_or_has_closed_the_connection(plain, cause):
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    client.sendall(b"" if client.recv(4096).startswith(b"\x16") else plain)  # \x16: the hello of TLS

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        step = finding_of(f"https://{HOST}:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (step.id, step.cause) == ("collector.tls", cause)


def test_a_program_that_is_no_proxy_is_not_one_that_refuses(monkeypatch):
    with receiving(talking(b"SSH-2.0-OpenSSH_9.2\r\n")) as receiver:
        monkeypatch.setenv("https_proxy", receiver.url)
        step = finding_of("https://collector.example:4318")
    assert (step.cause, step.found) == ("proxy_unreachable", "SSH-2.0-OpenSSH_9.2")
    assert "https_proxy" in step.remedy


def test_an_answer_that_comes_by_a_proxy_may_be_the_proxy_s(monkeypatch):
    with receiving(answer("503 Service Unavailable")) as receiver:
        monkeypatch.setenv("http_proxy", receiver.url)
        step = finding_of("http://collector.example:4318")
    assert step.cause == "overloaded"
    assert "the proxy of http_proxy may be the cause" in step.remedy


@pytest.mark.parametrize("host", ["collector.invalid", "a" * 64, "otel_collector"])
def test_a_name_that_is_unknown_is_found(host):
    step = finding_of(f"http://{host}:4318")
    assert step.id == "collector.name"
    assert step.cause in {"unknown_host", "name_lookup_failed"}  # the second one without a name server


def test_a_name_server_that_does_not_answer_is_bounded(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(connection.socket, "getaddrinfo", lambda *_, **__: [ended.wait(30)][:0])
    step = finding_of("http://collector.example:4318", TIMEOUT="200")
    ended.set()
    assert (step.id, step.cause) == ("collector.name", "name_lookup_failed")


def test_a_certificate_that_cannot_be_read_is_a_wrong_setting(tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    step = finding_of("https://127.0.0.1:1", CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause in {"connection_refused", "wrong_port"}  # the connection comes first
    with receiving(answer()) as receiver:
        step = finding_of(receiver.url.replace("http:", "https:"), CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause == "certificate_unreadable"


def test_a_provider_of_sessions_that_is_unknown_is_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "mine")
    step = finding_of("http://127.0.0.1:4318")
    assert (step.id, step.cause) == ("collector.address", "settings_rejected")


@pytest.mark.parametrize("given", [{"metrics_exporters": ("prometheus",)}, {"enabled": False}])
def test_nothing_is_tried_if_services_do_not_push(given):
    steps = examined(config(**{"metrics_exporters": ("otlp",)} | given))
    assert {step.result for step in steps.values()} == {Result.SKIPPED}
    assert len(steps) == 7


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_thread_is_left_behind(protocol):
    before = set(threading.enumerate())
    with receiving(answer()) as receiver:
        examined(settings(receiver.url, protocol))
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if name.startswith("otel-ha")}
