"""The endpoint's own server with TLS."""

import http.client
import socket
import ssl
from contextlib import ExitStack

import pytest
import trustme

from otel_ha.serve.server import Server
from tests.certificates import trusting
from tests.unit.endpoint.conftest import endpoint, fetch, serving


def test_with_a_certificate_it_speaks_tls(registry, pem):
    with serving(endpoint(registry), certificate=pem.server, key=pem.server_key) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        status, _, body = fetch(server, "/metrics", context=trusting(pem))
    assert status == 200
    assert b"event_total{" in body


def test_one_file_can_hold_key_and_certificate(pem):
    with serving(endpoint(), certificate=str(pem.folder / "server-both.pem")) as server:
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200


def test_the_end_of_a_tls_response_is_marked(pem):
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key) as server,
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        trusting(pem).wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        while client.recv(1000):
            pass  # an unmarked end raises SSLEOFError


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_older_than_1_2_is_rejected(pem):
    old = trusting(pem)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        fetch(server, "/healthz", context=old)


def test_a_client_with_a_certificate_of_the_authority_is_accepted(pem):
    context = trusting(pem)
    context.load_cert_chain(pem.client, pem.client_key)
    with serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server:
        assert fetch(server, "/healthz", context=context)[0] == 200


def test_a_client_without_a_certificate_is_rejected(pem):
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)),
    ):
        fetch(server, "/healthz", context=trusting(pem))


def test_a_client_with_a_certificate_of_another_authority_is_rejected(pem, tmp_path):
    context = trusting(pem)
    trustme.CA().issue_cert("prometheus.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "other.pem")
    context.load_cert_chain(tmp_path / "other.pem")
    with (
        serving(endpoint(), certificate=pem.server, key=pem.server_key, client_ca=pem.ca) as server,
        pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)),
    ):
        fetch(server, "/healthz", context=context)


def test_a_client_that_never_shakes_hands_does_not_keep_others_waiting(pem):
    with ExitStack() as stack:
        server = stack.enter_context(serving(endpoint(), certificate=pem.server, key=pem.server_key))
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200


def test_plain_http_to_a_tls_port_is_not_reported(pem, capfd):
    with serving(endpoint(), certificate=pem.server, key=pem.server_key) as server:
        with pytest.raises((http.client.HTTPException, OSError)):
            fetch(server, "/healthz")
        assert fetch(server, "/healthz", context=trusting(pem))[0] == 200
    assert capfd.readouterr().err == ""


def test_a_missing_certificate_is_an_error_of_start(pem):
    with pytest.raises(OSError, match="No such file"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.folder / "none.pem", key=pem.server_key).start()


def test_start_raises_for_a_key_of_another_certificate(pem):
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.server, key=pem.client_key).start()


def test_start_raises_for_an_encrypted_key(pem, tmp_path):
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = serialization.load_pem_private_key(pem.server_key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"phrase"),
    )
    (tmp_path / "encrypted.key").write_bytes(encrypted)
    with pytest.raises(OSError, match=r".+"):
        Server(endpoint(), "127.0.0.1", 0, certificate=pem.server, key=tmp_path / "encrypted.key").start()
