"""A canary secret in every setting, under every fault: it appears in no log, page, repr or error."""

import base64
import json
import logging
import socket
import ssl
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import trustme

from otel_ha import ConfigError, TelemetryConfig, setup_telemetry
from otel_ha.compat.settings import MonitoringSettings
from otel_ha.config.settings import settings
from otel_ha.vocabulary import ingest
from tests.servers.running import free_ports
from tests.unit.conftest import config, get

CANARY = "c4n4ry-9Zq7"
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBK\n-----END PRIVATE KEY-----\n"
PASTED = {
    "a token": CANARY,
    "a long token": f"{CANARY}{'x1' * 40}",
    "a JWT": f"eyJhbGciOiJIUzI1NiJ9.{CANARY}eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "a user and a password": f"me:{CANARY}",
    "a login at a host": f"me:{CANARY}@host:4318",
    "a URL with a login": f"https://me:{CANARY}@host/",
    "a URL with a user": f"https://{CANARY}@host/",
    "a URL with a token": f"https://host/v1/metrics?token={CANARY}",
    "a key": PEM,
    "a key in one line": PEM.replace("\n", " "),
    "the body of a key": f"{CANARY}MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7/abc+def==",
    "an attribute": f"a={CANARY}",
    "a header": f"authorization=Bearer {CANARY}",
    "a line of a file": f"OTEL_HA_ENDPOINT_PASSWORD={CANARY}",
    "a list": f"otlp,{CANARY}",
    "bytes": CANARY.encode(),
    "a list of texts": [CANARY],
    "a mapping": {CANARY: CANARY},
}
# Settings whose values are no secrets: any text is a name of a service or of a user, and some are names of hosts.
NAMES = {"service_name", "resource_attributes", "endpoint_username", "prometheus_host"}


def texts_of(error: BaseException) -> str:
    """Return every text that an error and those chained to it show."""
    shown, link = "".join(traceback.format_exception(error)), error
    while link is not None:
        shown += f"{link!s} {link!r} {link.args!r} {vars(link)!r}"
        link = link.__cause__ or link.__context__
    return shown


def made(cls, **arguments) -> str:
    """Return the texts of a configuration or, if it cannot be made, of its error."""
    try:
        one = cls(**{"environ": {}, **arguments})
    except ConfigError as error:
        return texts_of(error)
    return "".join([repr(one), *one.differences(cls(environ={}))])


def refuses(cls, **arguments) -> bool:
    try:
        cls(**{"environ": {}, **arguments})
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize("pasted", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize("cls", [TelemetryConfig, MonitoringSettings])
def test_a_secret_pasted_into_any_setting_is_not_shown(cls, pasted):
    for name, one in settings(cls).items():
        ways = [{name: pasted}]
        if isinstance(pasted, str):
            ways += [{"environ": {variable: pasted}} for variable in one.variables]
        for way in ways:
            if name not in NAMES or refuses(cls, **way) or "://" in pasted:
                assert CANARY not in made(cls, **way), way


@pytest.mark.parametrize("pasted", PASTED.values(), ids=PASTED)
def test_a_secret_pasted_as_the_file_of_variables_is_not_shown(pasted):
    with pytest.raises(ConfigError) as caught:
        TelemetryConfig(environ={}, env_file=pasted)
    assert CANARY not in texts_of(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("export_interval", "30s"),
        ("export_interval", -1),
        ("history_length", "many"),
        ("metrics_exporters", "otlp,zipkin"),
        ("metrics_exporters", ["otlp", "zipkin"]),
        ("otlp_protocol", "http/json"),
        ("otlp_certificate", "/etc/ssl/none/ca.pem"),
        ("otlp_certificate", "certs/ca-bundle.crt"),
        ("otlp_endpoint", "collector:4318"),
        ("otlp_endpoint", "htp://collector.example:4318/v1"),
        ("prometheus_host", "127.0.0.1:9464"),
    ],
)
def test_a_wrong_value_that_cannot_be_a_secret_is_shown(name, value):
    with pytest.raises(ConfigError) as caught:
        TelemetryConfig(environ={}, **{name: value})
    assert f"{name} is {value!r}; allowed: " in str(caught.value)


def test_a_number_with_more_digits_than_python_writes_is_an_error_of_the_setting():
    with pytest.raises(ConfigError, match="history_length is"):
        TelemetryConfig(environ={}, history_length=10**5000)


# Faults of a receiver and of a proxy


def echo(request: bytes) -> bytes:
    """Send the request back, which is no HTTP response."""
    return request


def refuse(request: bytes) -> bytes:
    """Quote the request in the reason phrase and in the body, as some gateways do."""
    line = request.replace(b"\r\n", b" ").decode("latin-1").encode("ascii", "replace")[:900]
    return b"HTTP/1.1 401 no: " + line + b"\r\nContent-Length: %d\r\n\r\n" % len(request) + request


def overload(request: bytes) -> bytes:
    return refuse(request).replace(b"401", b"503")


def redirect(request: bytes) -> bytes:
    target = request.split()[1]
    return b"HTTP/1.1 307 elsewhere\r\nLocation: https://elsewhere" + target + b"\r\nContent-Length: 0\r\n\r\n"


def hang_up(request: bytes) -> bytes:
    return b""


@contextmanager
def answering(answer, certificate: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen at a port; answer each request by a function, and close the connection."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with certificate.wrap_socket(connection, server_side=True) if certificate else connection as client:
                    client.settimeout(5)
                    client.sendall(answer(client.recv(65_536)))
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def everything_shown(caplog, **chosen) -> str:
    """Push twice and end, with a canary in every setting that takes a secret; return every text that was shown."""
    caplog.set_level(logging.DEBUG)
    chosen = {
        "metrics_exporters": ("otlp", "prometheus"),
        "otlp_headers": {"authorization": f"Bearer {CANARY}1", "x-api-key": f"{CANARY}2"},
        "endpoint_username": "me",
        "endpoint_password": f"{CANARY}3",
        "otlp_timeout": 1.5,
        "shutdown_timeout": 0.5,
        **chosen,
    }
    with setup_telemetry("test", config=config(**chosen)) as telemetry:
        ingest.DATA_RECEIVED.add(1, source="mqtt", type="state")
        telemetry.flush()
        shown = json.dumps(telemetry.health()) + json.dumps(telemetry.summary()) + telemetry.prometheus_text()
        shown += "".join(f"{it!r} {it}" for it in (telemetry, telemetry.config, *telemetry.config.otlp_headers.items()))
        shown += str([get(telemetry.wsgi_app, page) for page in ("/", "/healthz", "/metrics", "/summary", "/none")])
        with pytest.raises(ConfigError) as twice:
            setup_telemetry("test", config=config())
    return shown + texts_of(twice.value) + caplog.text + "".join(str(vars(record)) for record in caplog.records)


ANSWERS = (echo, refuse, overload, redirect, hang_up)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_receiver_that_misbehaves_brings_no_secret_to_light(caplog, answer):
    with answering(answer) as port:
        endpoint = f"http://127.0.0.1:{port}/v1/metrics?token={CANARY}&x={CANARY}%2F4"
        assert CANARY not in everything_shown(caplog, otlp_endpoint=endpoint)


@pytest.mark.parametrize("answer", [refuse, redirect])
def test_a_receiver_that_misbehaves_does_not_show_the_login_of_the_url(caplog, answer):
    with answering(answer) as port:
        endpoint = f"http://me:{CANARY}%2F5@127.0.0.1:{port}"
        assert CANARY not in everything_shown(caplog, otlp_endpoint=endpoint, otlp_headers={})


def test_an_untrusted_certificate_brings_no_secret_to_light(caplog, untrusted):
    with answering(refuse, untrusted) as port:
        shown = everything_shown(caplog, otlp_endpoint=f"https://127.0.0.1:{port}/v1/metrics?token={CANARY}")
    assert "CERTIFICATE_VERIFY_FAILED" in shown
    assert CANARY not in shown


@pytest.mark.parametrize("host", ["127.0.0.1", "collector.invalid"])
def test_a_receiver_that_cannot_be_reached_brings_no_secret_to_light(caplog, host):
    [port] = free_ports(1)
    for scheme in ("http", "https"):
        endpoint = f"{scheme}://{host}:{port}/v1/metrics?token={CANARY}"
        assert CANARY not in everything_shown(caplog, otlp_endpoint=endpoint)


@pytest.mark.parametrize("answer", [None, *ANSWERS])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_fails_brings_no_secret_to_light(caplog, monkeypatch, scheme, answer):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    [closed] = free_ports(1)
    with answering(answer or hang_up) as port:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:{CANARY}6@127.0.0.1:{port if answer else closed}")
        endpoint = f"{scheme}://collector.invalid/v1/metrics?token={CANARY}"
        assert CANARY not in everything_shown(caplog, otlp_endpoint=endpoint)


@pytest.mark.parametrize("proxy", [f"http://me:{CANARY}/x@proxy:1", f"me:{CANARY}@127.0.0.1:1", f"htp://me:{CANARY}@h"])
def test_a_proxy_that_is_written_wrongly_brings_no_secret_to_light(caplog, monkeypatch, proxy):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    assert CANARY not in everything_shown(caplog, otlp_endpoint="http://collector.invalid:4318")


@pytest.mark.parametrize("answer", [None, echo, hang_up])
@pytest.mark.parametrize("secure", [False, True])
def test_a_grpc_receiver_that_misbehaves_brings_no_secret_to_light(caplog, untrusted, answer, secure):
    [closed] = free_ports(1)
    with answering(answer or hang_up, untrusted if secure else None) as port:
        endpoint = f"{'https' if secure else 'http'}://me:{CANARY}7@127.0.0.1:{port if answer else closed}/?t={CANARY}"
        assert CANARY not in everything_shown(caplog, otlp_endpoint=endpoint, otlp_protocol="grpc")


# Faults of the service


@pytest.mark.parametrize("setting", ["otlp_certificate", "otlp_client_key", "otlp_client_certificate"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_content_of_a_wrong_file_is_not_shown(caplog, tmp_path, setting, protocol):
    file = tmp_path / "file.pem"
    file.write_text(PEM)
    files = {"otlp_client_key": file, "otlp_client_certificate": file} if "client" in setting else {setting: file}
    [port] = free_ports(1)
    endpoint = f"https://127.0.0.1:{port}/v1/metrics?token={CANARY}"
    try:
        shown = everything_shown(caplog, otlp_endpoint=endpoint, otlp_protocol=protocol, **files)
    except ConfigError as error:
        shown = texts_of(error)
    assert CANARY not in shown


def test_a_variable_that_only_the_push_reads_is_an_error_without_its_value(monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER", CANARY)
    with pytest.raises(ConfigError) as caught:
        setup_telemetry(config=config(metrics_exporters=("otlp",)))
    assert CANARY not in texts_of(caught.value)


def test_a_source_that_fails_does_not_show_the_url_in_its_error(caplog):
    def depth() -> int:
        raise OSError(f"cannot connect to mqtt://me:{CANARY}@broker:1883")

    with setup_telemetry(config=config()) as telemetry:
        ingest.QUEUE_SIZE.observe(depth, queue="ingest")
        telemetry.prometheus_text()
    assert "a source failed: OSError('cannot connect to mqtt://***@broker:1883')" in caplog.text
    assert CANARY not in caplog.text


def test_a_port_that_is_taken_brings_no_secret_to_light(caplog, taken_port):
    shown = everything_shown(caplog, metrics_exporters=("prometheus",), prometheus_port=taken_port)
    assert "cannot listen at" in shown
    assert CANARY not in shown


def test_a_request_with_a_secret_is_logged_without_it(caplog):
    caplog.set_level(logging.DEBUG)
    login = base64.b64encode(f"me:{CANARY}".encode()).decode()
    with setup_telemetry(config=config(endpoint_username="me", endpoint_password=CANARY)) as telemetry:
        port = int(telemetry.metrics_url.rpartition(":")[2].partition("/")[0])
        for line in (f"GET /metrics?token={CANARY}x HTTP/1.1", f"Authorization: Basic {login}", login, CANARY):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"{line}\r\n\r\n".encode())
                while client.recv(65_536):
                    pass
    assert "GET /metrics" in caplog.text
    assert CANARY not in caplog.text
    assert login not in caplog.text


def test_a_log_record_whose_argument_has_no_text_does_not_raise(caplog):
    class UnwritableError(Exception):
        def __str__(self) -> str:
            raise ValueError(CANARY)

        __repr__ = __str__

    logging.getLogger("otel_ha").warning("failed: %r", UnwritableError())
    assert caplog.messages == ["a message that cannot be written (ValueError)"]
