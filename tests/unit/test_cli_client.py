"""The client of the command: each failure is one line with its reason, and nothing endless is waited for."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from otel_ha.cli.client import Access, FailedError
from otel_ha.config.secrets import Secret
from otel_ha.errors import TelemetryError

HEAD = "HTTP/1.1 {} Reason\r\nConnection: close\r\n"
SUMMARY = b'{"schema_version": "2.1", "system_info": {}}'


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection at a time, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as held:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.callback(connection.close)
                with suppress(OSError):
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        held.close()
        thread.join()


def response(text: bytes, status: int = 200, headers: str = "") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(f"{HEAD.format(status)}{headers}\r\n".encode() + text)
        connection.close()

    return answer


def noting(asked: list[str]) -> Callable[[socket.socket], None]:
    """Answer with a summary, and keep what was asked."""

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536).decode())
        connection.sendall(f"{HEAD.format(200)}\r\n".encode() + SUMMARY)
        connection.close()

    return answer


def raw(text: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(text)
        connection.close()

    return answer


def hang_up(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.close()


def drip(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(f"{HEAD.format(200)}\r\n".encode())
    while True:
        connection.sendall(b"x")
        threading.Event().wait(0.02)


def drip_of_headers(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
    while True:
        connection.sendall(b"x")
        threading.Event().wait(0.02)


FAILURES = {
    "speaks something else": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer: SSH-2.0-OpenSSH_9.2"),
    "says nothing": (lambda _: None, "does not answer: timed out"),
    "hangs up": (hang_up, "does not answer: it closes the connection; check http:// and https://"),
    "drips": (drip, "does not end its answer within 0.2 s"),
    "drips headers": (drip_of_headers, "does not end its answer within 0.2 s"),
    "is cut off": (response(b"{", headers="Content-Length: 100\r\n"), "does not answer: IncompleteRead"),
    "is garbled": (response(b"[]", headers="Content-Encoding: gzip\r\n"), "does not answer: incorrect header check"),
    "is a web page": (response(b"<h1>hello</h1>"), "/summary does not answer with JSON, so it is not a service with"),
    "is other JSON": (response(b"[1]"), "/summary answers, but is not a service with otel-ha; check the URL"),
    "is a summary of something else": (
        response(b'{"schema_version": null, "system_info": null}'),
        "/summary answers, but is not a service with otel-ha; check the URL",
    ),
    "is deep JSON": (response(b"[" * 100_000), "/summary does not answer with JSON"),
    "wants a password": (response(b"", 401), "answers 401: it asks for a username and a password; give --username"),
    "has no such page": (response(b"", 404), "answers 404: there is no such page; check the URL"),
    "redirects": (
        response(b"", 302, "Location: https://me:secret@example.org/x?token=abc\r\n"),
        "answers 302: it redirects to https://***@example.org/x?***; give the URL of the service itself",
    ),
    "fails": (response(b"<h1>Broken</h1>\n\x1b[31mred", 500), "answers 500: <h1>Broken</h1> [31mred"),
    "fails silently": (response(b"", 503), "answers 503: without a reason; check the URL"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_line_with_its_reason(case):
    answer, said = FAILURES[case]
    with answering(answer) as address, pytest.raises(FailedError) as found:
        Access(timeout=0.2).client(address).summary()
    assert said in str(found.value)
    assert str(found.value).startswith(f"http://{address}")
    assert str(found.value).isprintable()


def test_an_answer_that_is_too_large_is_named_so(monkeypatch):
    monkeypatch.setattr("otel_ha.cli.client._LONGEST", 2**20)
    with answering(response(b" " * 2**20 + SUMMARY)) as address, pytest.raises(FailedError) as found:
        Access().client(address).summary()
    assert str(found.value) == f"http://{address}/summary sends more than 1 MiB; check the URL"


def test_a_port_where_nobody_listens_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(FailedError, match=r"^http://127.0.0.1:[0-9]+ does not answer: Connection refused$"):
        Access().client(address).summary()


@pytest.mark.parametrize(
    "url",
    ["", ":9464", "ftp://x", "http://", "http://x:99999", "http://[::1", "http://a b", "a\0", "http:/x:1", "HTTPS:/x"],
)
def test_a_text_that_is_not_a_url_is_refused_before_any_request(url):
    with pytest.raises(TelemetryError, match="is not a URL; write one such as") as found:
        Access().client(url)
    assert not isinstance(found.value, FailedError)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("localhost:9464", "http://localhost:9464"),
        ("HTTP://localhost:9464/", "http://localhost:9464"),
        ("http://localhost:9464/metrics", "http://localhost:9464"),
        ("http://localhost/telemetry/summary/", "http://localhost/telemetry"),
        ("https://[::1]:9464/metrics?name=x", "https://[::1]:9464"),
        ("http://localhost/mymetrics", "http://localhost/mymetrics"),
    ],
)
def test_the_address_may_be_that_of_a_page(url, base):
    assert Access().client(url).url == base


def test_the_url_may_have_the_user_and_the_password():
    asked: list[str] = []
    with answering(noting(asked)) as address:
        client = Access(username="other", password=Secret("other")).client(f"http://me:se%3Acret@{address}")
        client.summary()
    assert "Basic bWU6c2U6Y3JldA==" in asked[0]
    assert "cret" not in client.shown + repr(client)


def test_a_password_in_any_script_is_sent_as_utf_8():
    asked: list[str] = []
    with answering(noting(asked)) as address:
        Access(username="mä", password=Secret("パス")).client(address).summary()
    assert f"Basic {b64encode('mä:パス'.encode()).decode()}" in asked[0]


def test_a_wrong_password_is_named_so():
    access = Access(username="me", password=Secret("wrong"))
    with answering(response(b"", 401)) as address, pytest.raises(FailedError, match="refuses the username"):
        access.client(address).summary()


def test_the_password_is_masked_where_a_service_repeats_it():
    access = Access(username="me", password=Secret("hunter2hunter2"))
    with answering(response(b"wrong: hunter2hunter2", 500)) as address, pytest.raises(FailedError) as found:
        access.client(address).summary()
    assert "hunter2" not in str(found.value)
    assert "wrong: ***" in str(found.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def over_tls(authority: trustme.CA, *, asks: bool = False) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if asks:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            response(SUMMARY)(secured)

    with answering(answer) as address:
        yield f"https://{address}"


def written(folder: Path, name: str, blob: trustme.Blob) -> Path:
    blob.write_to_path(folder / name)
    return folder / name


def test_a_certificate_is_trusted_if_its_authority_is_named(authority, tmp_path):
    with over_tls(authority) as url:
        assert Access(certificate_authority=written(tmp_path, "ca", authority.cert_pem)).client(url).summary()


def test_an_unknown_authority_is_named_with_the_option_that_helps(authority):
    with over_tls(authority) as url, pytest.raises(FailedError, match="--ca names the certificates to trust"):
        Access().client(url).summary()


def test_a_certificate_is_presented_on_request(authority, tmp_path):
    own = authority.issue_cert("client@example.org").private_key_and_cert_chain_pem
    access = Access(
        certificate_authority=written(tmp_path, "ca", authority.cert_pem),
        client_certificate=written(tmp_path, "own", own),
    )
    with over_tls(authority, asks=True) as url:
        assert access.client(url).summary()


def test_https_to_a_port_without_tls_says_what_to_check(tmp_path):
    with answering(response(SUMMARY)) as address, pytest.raises(FailedError, match="check http:// and https://"):
        Access().client(f"https://{address}").summary()


def test_https_to_a_port_that_waits_for_http_says_what_to_check():
    with answering(lambda _: None) as address, pytest.raises(FailedError, match=r"no TLS within .*; check http:// and"):
        Access(timeout=0.2).client(f"https://{address}").summary()


@pytest.mark.parametrize("option", ["--ca", "--client-certificate"])
def test_a_file_without_a_certificate_is_wrong_usage(option, tmp_path):
    (tmp_path / "empty.pem").write_text("nothing", encoding="utf-8")
    name = {"--ca": "certificate_authority", "--client-certificate": "client_certificate"}[option]
    with pytest.raises(TelemetryError, match=f"^{option} .*empty.pem cannot be used: .*; name a PEM file$"):
        Access(**{name: tmp_path / "empty.pem"}).client("https://localhost")


def test_a_key_without_its_certificate_is_wrong_usage(tmp_path):
    with pytest.raises(TelemetryError, match="--client-key needs --client-certificate; give both"):
        Access(client_key=tmp_path / "key.pem").client("https://localhost")
