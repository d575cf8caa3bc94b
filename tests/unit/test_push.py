"""A push by HTTP: only a confirmed one counts, and no answer takes more time or memory than it may."""

import gzip
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate

import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otel_ha import Telemetry, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.receivers import (
    DRIPPING,
    ENDLESS,
    MIB,
    OK_CHUNKED,
    Receiver,
    Reply,
    answer,
    dripping,
    hanging_up,
    receiving,
    silent,
)
from tests.servers.running import eventually, free_ports
from tests.unit.conftest import config

PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
PARTIAL = ExportMetricsServiceResponse()
PARTIAL.partial_success.rejected_data_points = 3
PARTIAL.partial_success.error_message = "too old"
WARNING = ExportMetricsServiceResponse()
WARNING.partial_success.error_message = "deprecated"

Pushing = Callable[..., tuple[Telemetry, Receiver]]


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["plain", "tls", "proxy", "session"])
def pushing(request, tmp_path, monkeypatch) -> Iterator[Pushing]:
    """Start telemetry that pushes to a receiver with the replies given, by each of the transports."""
    route = request.param
    authority = trustme.CA() if route == "tls" else None
    if authority is not None:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if route == "session":
        _provide_session(tmp_path, monkeypatch)
    with _started() as start:

        def push(*replies: Reply, **settings: object) -> tuple[Telemetry, Receiver]:
            return start(
                *replies, route=route, authority=authority, ca=tmp_path / "ca.pem", patch=monkeypatch, **settings
            )

        yield push


@contextmanager
def _started() -> Iterator[Callable[..., tuple[Telemetry, Receiver]]]:
    held: list[object] = []

    def start(
        *replies: Reply,
        route: str = "plain",
        authority: trustme.CA | None = None,
        ca: object = None,
        patch: pytest.MonkeyPatch | None = None,
        **settings: object,
    ) -> tuple[Telemetry, Receiver]:
        tls = None
        if authority is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(tls)
            settings["otlp_certificate"] = ca
        manager = receiving(*replies, tls=tls)
        receiver = manager.__enter__()
        endpoint = receiver.url
        if route == "proxy":
            patch.setenv("http_proxy", receiver.url)
            endpoint = "http://collector.invalid:4318"
        common = {"metrics_exporters": ("otlp",), "otlp_timeout": 1.0, "history_length": 0, "shutdown_timeout": 2.0}
        telemetry = setup_telemetry(config=config(**common | {"otlp_endpoint": endpoint} | settings))
        held.extend([manager, telemetry])
        ingest.RECEIVED.add(1, source="mqtt")
        return telemetry, receiver

    yield start
    for each in reversed(held):
        if isinstance(each, Telemetry):
            each.shutdown()
        else:
            each.__exit__(None, None, None)


def _provide_session(path, monkeypatch) -> None:
    """Install a distribution whose entry point makes a session for the push."""
    (path / "provider_for_tests.py").write_text("import requests\n\ndef made():\n    return requests.Session()\n")
    information = path / "provider_for_tests-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: provider-for-tests\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\ntest = provider_for_tests:made\n"
    )
    monkeypatch.syspath_prepend(path)
    monkeypatch.setenv(PROVIDER, "test")


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Telemetry, Receiver]]]:
    with _started() as start:
        yield start


def error(telemetry: Telemetry) -> str:
    (reader,) = telemetry.health()["readers"]
    return reader["last_error"]


ARRIVED = {
    "an empty 200": answer(),
    "a 202": answer("202 Accepted"),
    "a 204": answer("204 No Content"),
    "an empty page": answer(Content_Type="text/html"),
    "JSON": answer(body=b"{}", Content_Type="application/json"),
    "JSON without a type": answer(body=b' {"partialSuccess": {}}'),
    "protobuf": answer(body=b"\n\0", Content_Type="application/x-protobuf"),
    "protobuf without a type": answer(body=WARNING.SerializeToString()),
    "compressed JSON": answer(body=gzip.compress(b"{}"), Content_Encoding="gzip"),
    "deflated JSON": answer(body=zlib.compress(b"{}"), Content_Encoding="deflate"),
    "chunks": lambda connection, _: connection.sendall(OK_CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("reply", ARRIVED.values(), ids=ARRIVED)
def test_a_success_without_a_body_or_with_an_answer_of_otlp_is_a_delivery(pushing, reply):
    telemetry, receiver = pushing(reply)
    assert telemetry.flush(), error(telemetry)
    assert telemetry.health()["status"] == "ok"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "status",
    [
        "300 Multiple Choices",
        "301 Moved",
        "302 Found",
        "303 See Other",
        "304 Not Modified",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ],
)
def test_a_redirect_is_a_failure_that_names_its_target(pushing, status):
    telemetry, receiver = pushing(
        answer(status, b"it moved", Location="http://elsewhere:4318/v1/metrics?token=hunter2")
    )
    assert not telemetry.flush()
    assert telemetry.health()["status"] == "degraded"
    assert status in error(telemetry)
    assert "Location: http://elsewhere:4318/v1/metrics?***" in error(telemetry)
    assert "hunter2" not in error(telemetry)
    assert len(receiver.requests) == 1
    if not status.startswith("304"):
        assert "body: it moved" in error(telemetry)


FOREIGN = {
    "a page": answer(body=b"<html>Welcome</html>", Content_Type="text/html"),
    "a page without a type": answer(body=b"<html>Welcome</html>"),
    "a word": answer(body=b"Welcome", Content_Type="text/plain"),
    "JSON of another service": answer(body=b'{"error": "Welcome"}', Content_Type="application/json"),
    "a JSON list": answer(body=b'["Welcome"]', Content_Type="application/json"),
    "bytes that decode as unknown fields": answer(body=b"\x12\x07Welcome"),
    "a status of gRPC": answer(body=b"\x08\x0e\x12\x07Welcome", Content_Type="application/x-protobuf"),
    "JSON that calls itself a page": answer(
        body=b'{"partialSuccess": {"errorMessage": "Welcome"}}', Content_Type="text/html"
    ),
}


@pytest.mark.parametrize("reply", FOREIGN.values(), ids=FOREIGN)
def test_a_success_with_the_body_of_another_service_is_a_failure_that_quotes_it(pushing, reply):
    telemetry, _ = pushing(reply)
    assert not telemetry.flush()
    assert error(telemetry).startswith("200 OK with a body that is not an answer of OTLP")
    assert "Welcome" in error(telemetry)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"x" * 10_000, b"[" * 100_000, b"line\r\nother\x1b[31m line\0"])
def test_a_body_of_any_bytes_is_quoted_in_one_short_line(started, body):
    telemetry, _ = started(answer("400 Bad Request", body))
    assert not telemetry.flush()
    assert error(telemetry).startswith("400 Bad Request; body: ")
    assert error(telemetry).isprintable()
    assert len(error(telemetry)) < 400


def test_a_bad_request_says_why(pushing):
    body = b"\x08\x03\x12\x0emissing metric"
    telemetry, receiver = pushing(answer("400 Bad Request", body, Content_Type="application/x-protobuf"))
    assert not telemetry.flush()
    assert error(telemetry).startswith("400 Bad Request; body: missing metric")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_of_any_size_costs_little_memory(pushing, name):
    telemetry, _ = pushing(ENDLESS[name])
    telemetry.pipeline.pushes[0].collect()  # imports what the push needs
    tracemalloc.start()
    try:
        assert not telemetry.flush(10)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert telemetry.health()["status"] == "degraded"


def test_an_answer_of_four_mebibytes_is_read_and_a_larger_one_is_not(started):
    body = b'{"partialSuccess": {}}'
    telemetry, _ = started(
        answer(body=body.ljust(4 * MIB)),
        answer(body=body.ljust(4 * MIB + 1)),
    )
    assert telemetry.flush()
    assert not telemetry.flush()
    assert "200 with a body of more than 4 MiB" in error(telemetry)


def test_a_compressed_answer_of_four_mebibytes_is_read_and_a_larger_one_is_not(started):
    body = b'{"partialSuccess": {}}'
    compressed = [gzip.compress(body.ljust(size)) for size in (4 * MIB, 4 * MIB + 1)]
    telemetry, _ = started(*(answer(body=each, Content_Encoding="gzip") for each in compressed))
    assert telemetry.flush()
    assert not telemetry.flush()
    assert "200 with a body of more than 4 MiB" in error(telemetry)


@pytest.mark.parametrize("coding", ["br", "gzip", "deflate", "gzip, gzip"])
def test_an_answer_that_cannot_be_decoded_is_a_failure(pushing, coding):
    telemetry, _ = pushing(answer(body=b"not compressed", Content_Encoding=coding))
    assert not telemetry.flush()
    assert error(telemetry).startswith("200 with a")


@pytest.mark.parametrize("name", DRIPPING)
def test_a_push_ends_within_its_time_limit_however_slow_the_answer(pushing, name):
    telemetry, _ = pushing(DRIPPING[name], otlp_timeout=10.0, export_timeout=0.6, export_interval=3600.0)
    started = time.monotonic()
    assert not telemetry.flush(20)
    assert time.monotonic() - started < 8
    assert telemetry.health()["status"] == "degraded"
    assert [thread for thread in threading.enumerate() if thread.name == "otel-ha-push"] == []


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty"], ids=["no answer", "half of the headers"])
def test_a_last_push_that_is_cut_off_is_one_line(pushing, caplog, head):
    telemetry, receiver = pushing(dripping(head, drop=b""), otlp_timeout=30.0)
    pushes = [each for each in threading.enumerate() if each.name.startswith("OtelPeriodic")]
    telemetry.shutdown(timeout=0.5)
    for each in pushes:
        each.join(30)
    assert len(receiver.requests) == 1
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "did not end in time" in record.getMessage()


def test_a_push_after_one_that_was_cut_off_arrives(pushing):
    telemetry, _ = pushing(DRIPPING["a dripping header"], answer(), otlp_timeout=0.5)
    assert not telemetry.flush(20)
    assert telemetry.flush(20), error(telemetry)
    assert [thread for thread in threading.enumerate() if thread.name == "otel-ha-push"] == []


@pytest.mark.parametrize("limit", ["export_timeout", "otlp_timeout"])
def test_a_refused_push_ends_within_the_time_limit(started, limit):
    [port] = free_ports(1)
    telemetry, _ = started(
        answer(),
        otlp_endpoint=f"http://127.0.0.1:{port}",
        **{"otlp_timeout": 10.0, "export_interval": 3600.0, limit: 0.5},
    )
    began = time.monotonic()
    assert not telemetry.flush(20)
    assert time.monotonic() - began < 8
    assert "Connection refused" in error(telemetry)


def test_a_connection_that_ends_without_an_answer_is_tried_again(pushing):
    telemetry, receiver = pushing(hanging_up, answer(), otlp_timeout=5.0)
    assert telemetry.flush(), error(telemetry)
    assert len(receiver.requests) == 2


def test_a_truncated_answer_is_tried_again(pushing):
    telemetry, receiver = pushing(
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
        answer(),
        otlp_timeout=5.0,
    )
    assert telemetry.flush(), error(telemetry)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("end", [b"", b"Conte", b"Content-Type: text/plain\r\n"], ids=["status", "name", "header"])
def test_an_answer_that_ends_in_its_headers_is_tried_again(pushing, end):
    telemetry, receiver = pushing(
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n" + end), answer(), otlp_timeout=5.0
    )
    assert telemetry.flush(), error(telemetry)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("name", ["partial success in protobuf", "partial success in JSON"])
def test_a_partial_success_is_one_warning_and_degraded_until_all_points_are_accepted(pushing, caplog, name):
    json = b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}'
    body = PARTIAL.SerializeToString() if "protobuf" in name else json
    telemetry, receiver = pushing(answer(body=body), answer(body=body), answer())
    assert not telemetry.flush()
    assert not telemetry.flush()
    state = telemetry.health()
    assert state["status"] == "degraded"
    assert state["reasons"][0].endswith("3 data points rejected: too old")
    assert (state["readers"][0]["status"], state["readers"][0]["rejected_points"]) == ("rejecting", 3)
    assert telemetry.flush()
    assert telemetry.health()["status"] == "ok"
    assert len(receiver.requests) == 3  # none is sent again
    ours = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [("rejected 3 data points: too old" in line, "accepts all" in line) for line in ours] == [
        (True, False),
        (False, True),
    ]


def test_a_warning_of_the_receiver_without_rejected_points_is_logged_once_and_is_no_failure(started, caplog):
    telemetry, _ = started(answer(body=WARNING.SerializeToString()))
    assert telemetry.flush()
    assert telemetry.flush()
    assert telemetry.health()["status"] == "ok"
    assert caplog.text.count("accepted a push with a warning: deprecated") == 1


def test_a_receiver_that_is_overloaded_is_asked_again_when_it_says(pushing):
    telemetry, receiver = pushing(answer("503 Service Unavailable", Retry_After="1"), answer(), otlp_timeout=5.0)
    began = time.monotonic()
    assert telemetry.flush(), error(telemetry)
    assert time.monotonic() - began >= 1
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_beyond_the_time_limit_fails_this_push_at_once_and_delays_the_next(pushing, caplog, form):
    after = "7200" if form == "seconds" else formatdate(time.time() + 7200, usegmt=True)
    telemetry, receiver = pushing(
        answer("429 Too Many Requests", b"slow down", Retry_After=after), answer(), otlp_timeout=30.0
    )
    began = time.monotonic()
    assert not telemetry.flush()
    assert not telemetry.flush()
    assert time.monotonic() - began < 10
    assert len(receiver.requests) == 1
    for text in (caplog.text, error(telemetry)):
        assert "429 Too Many Requests (the receiver limits pushes)" in text
        assert f"Retry-After: {after}" in text
        assert "no push for the next 300 s" in text
        assert "slow down" in text


@pytest.mark.parametrize("after", ["nan", "soon", "", "-5", "Mon, 99 Foo 20000"])
def test_a_pause_that_cannot_be_read_is_none(started, after):
    telemetry, receiver = started(answer("503 Service Unavailable", Retry_After=after), answer(), otlp_timeout=5.0)
    assert telemetry.flush(), error(telemetry)
    assert len(receiver.requests) == 2


def test_the_last_push_is_tried_once_during_a_pause(started):
    telemetry, receiver = started(answer("429 Too Many Requests", Retry_After="7200"), answer(), otlp_timeout=30.0)
    assert not telemetry.flush()
    telemetry.shutdown(timeout=5)
    assert len(receiver.requests) == 2


def test_limits_overload_and_silence_differ_in_log_and_health(started, caplog):
    found = []
    for reply in (answer("429 Too Many Requests"), answer("503 Service Unavailable"), silent):
        telemetry, _ = started(reply, otlp_timeout=0.5)
        assert not telemetry.flush(20)
        found.append(error(telemetry))
        assert found[-1] in caplog.text
        assert telemetry.health()["reasons"][0].count(found[-1]) == 1
        telemetry.shutdown()
    assert found[0].startswith("429 Too Many Requests (the receiver limits pushes)")
    assert found[1].startswith("503 Service Unavailable (the receiver is overloaded or not ready)")
    assert found[2].startswith("connected, but no response within")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named_instead_of_the_receiver(started, monkeypatch, scheme):
    [port] = free_ports(1)
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hunter2@127.0.0.1:{port}")
    telemetry, _ = started(answer(), otlp_endpoint=f"{scheme}://collector.invalid:4318")
    assert not telemetry.flush()
    assert error(telemetry).startswith(f"the proxy http://127.0.0.1:{port} of {scheme}_proxy cannot be used:")
    assert "Connection refused" in error(telemetry)
    assert "hunter2" not in error(telemetry)


def test_an_error_that_came_through_a_proxy_says_so(started, monkeypatch):
    with receiving(answer("502 Bad Gateway")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        telemetry, _ = started(answer(), otlp_endpoint="http://collector.invalid:4318", otlp_timeout=0.5)
        assert not telemetry.flush()
        assert error(telemetry) == f"502 Bad Gateway (through the proxy {proxy.url} of http_proxy)"


def test_https_to_a_port_without_tls_gets_a_hint(started):
    telemetry, receiver = started(answer())
    telemetry.shutdown()
    again, _ = started(answer(), otlp_endpoint=receiver.url.replace("http:", "https:"), otlp_timeout=0.5)
    assert not again.flush()
    assert "http:// in place of https://?" in error(again)


def test_certificates_of_the_setting_count_even_if_the_environment_names_others_for_requests(
    tmp_path, monkeypatch, started
):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    telemetry, _ = started(answer(), authority=authority, ca=tmp_path / "ca.pem")
    assert telemetry.flush(), error(telemetry)


def test_a_receiver_that_is_not_trusted_is_a_failure_without_retries(tmp_path, started):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    telemetry, receiver = started(answer(), authority=trustme.CA(), ca=tmp_path / "other.pem", otlp_timeout=10.0)
    began = time.monotonic()
    assert not telemetry.flush()
    assert time.monotonic() - began < 5
    assert "CERTIFICATE_VERIFY_FAILED" in error(telemetry)
    assert receiver.requests == []


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_a_push_is_compressed_as_set_and_has_the_headers_of_the_setting(pushing, compression):
    telemetry, receiver = pushing(answer(), otlp_compression=compression, otlp_headers={"x-mine": "1"})
    assert telemetry.flush(), error(telemetry)
    (request,) = receiver.requests
    assert request.headers.get("content-encoding", "none") == compression
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["x-mine"] == "1"
    body = request.body
    if compression == "gzip":
        body = gzip.decompress(body)
    elif compression == "deflate":
        body = zlib.decompress(body)
    assert b"homeassistant.event.received" in body


def test_telemetry_without_a_successful_push_for_three_intervals_is_degraded(started):
    telemetry, _ = started(
        dripping(b"HTTP/1.1 200 OK\r\n"), export_interval=0.1, otlp_timeout=20.0, export_timeout=20.0
    )
    deadline = time.monotonic() + 10
    while telemetry.health()["status"] == "ok" and time.monotonic() < deadline:
        time.sleep(0.05)
    (reason,) = telemetry.health()["reasons"]
    assert "no success for" in reason
    assert "with one due every 0.1 s" in reason
    assert telemetry.health()["readers"][0]["status"] == "overdue"


def test_a_shutdown_ends_a_push_that_waits_for_its_repetition(started):
    [port] = free_ports(1)
    telemetry, _ = started(answer(), otlp_endpoint=f"http://127.0.0.1:{port}", otlp_timeout=60.0)
    flush = threading.Thread(target=telemetry.flush, args=(60,))
    flush.start()
    time.sleep(1.5)  # after the second attempt
    began = time.monotonic()
    telemetry.shutdown(timeout=30)
    flush.join(30)
    assert time.monotonic() - began < 8


def test_a_child_that_is_forked_during_a_push_does_not_cut_it_off():
    def slow(connection: socket.socket, _: threading.Event) -> None:
        time.sleep(1.5)
        answer()(connection, _)

    code = """
import os, sys, threading, time
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest
settings = {"metrics_exporters": ("otlp",), "otlp_endpoint": sys.argv[1], "environ": {}, "system_metrics": False}
telemetry = setup_telemetry("parent", config=TelemetryConfig(**settings))
ingest.RECEIVED.add(1, source="mqtt")
flush = threading.Thread(target=lambda: print(telemetry.flush(), flush=True))
flush.start()
time.sleep(0.7)
child = os.fork()
if child:
    flush.join()
    os.waitpid(child, 0)
    print(telemetry.health()["reasons"])
os._exit(0)
"""
    with receiving(slow) as receiver:
        command = [sys.executable, "-W", "ignore", "-c", code, receiver.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "[]"], done.stderr
    assert len(receiver.requests) == 1


def test_a_tls_handshake_that_drips_holds_no_push_beyond_its_limit(started):
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while not done.wait(0.1):
                connection.sendall(b"a")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        telemetry, _ = started(answer(), otlp_endpoint=endpoint, otlp_timeout=0.5)
        for _ in range(3):
            began = time.monotonic()
            assert not telemetry.flush(20)
            assert time.monotonic() - began < 8
            eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "otel-ha-push"])
        done.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_a_service_that_has_nothing_to_push_is_not_degraded():
    settings = config(metrics_exporters=("otlp",), export_interval=0.1, history_length=0, shutdown_timeout=1.0)
    with setup_telemetry(config=settings) as telemetry:
        time.sleep(0.8)
        assert telemetry.health()["status"] == "ok"
