"""Wrong peers at an endpoint that requires client certificates: each is turned away, and nothing is logged."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from tests.certificates import Certificates, certificates, trusting
from tests.hostile_clients import SCRAPE, answer_to, attacking, says_nothing
from tests.servers.running import eventually

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50)
"""The begin of a handshake."""


@pytest.fixture
def pem(tmp_path: Path) -> Certificates:
    folder = tmp_path / "pem"
    folder.mkdir()
    return certificates(folder)


def scrape(port: int, context: ssl.SSLContext) -> bytes:
    """Return the answer to a scrape. Raises OSError for a peer that is turned away."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    with closing(plain), context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(SCRAPE)
        found = b""
        while piece := client.recv(65_536):
            found += piece
        return found


def known(pem: Certificates) -> ssl.SSLContext:
    """The context of a client of the authority."""
    context = trusting(pem)
    context.load_cert_chain(pem.client, pem.client_key)
    return context


def anonymous(pem: Certificates) -> ssl.SSLContext:
    """Without a certificate."""
    return trusting(pem)


def of_another_authority(pem: Certificates) -> ssl.SSLContext:
    """With a certificate that another authority has issued."""
    return _with(pem, trustme.CA().issue_cert("prometheus.example"))


def expired(pem: Certificates) -> ssl.SSLContext:
    """With a certificate of the authority that was valid until last year."""
    return _with(pem, pem.authority.issue_cert("prometheus.example", not_after=datetime(2025, 1, 1, tzinfo=UTC)))


def of_an_intermediate(pem: Certificates) -> ssl.SSLContext:
    """With a certificate of an intermediate of another authority."""
    return _with(pem, trustme.CA().create_child_ca().issue_cert("prometheus.example"))


def of_old_version(pem: Certificates) -> ssl.SSLContext:
    """With a version that TLS 1.2 has replaced."""
    context = known(pem)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _with(pem: Certificates, certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = trusting(pem)
    certificate.private_key_and_cert_chain_pem.write_to_path(pem.folder / "foreign.pem")
    context.load_cert_chain(pem.folder / "foreign.pem")
    return context


PEERS: dict[str, Callable[[Certificates], ssl.SSLContext]] = {
    "no certificate": anonymous,
    "a certificate of another authority": of_another_authority,
    "an expired certificate": expired,
    "a certificate of an intermediate of another authority": of_an_intermediate,
    "TLS 1.1": of_old_version,
}
# Bytes instead of a handshake, after which the client waits.
WORDS = {
    "plain HTTP": SCRAPE,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a hello that breaks off": HELLO,
    "a hello of nonsense": b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "NUL": bytes(10_000),
    "nothing": b"",
}


def handshake_that_never_ends(client, ended) -> None:
    """Begin a handshake, and wait."""
    client.sendall(HELLO)
    says_nothing(client, ended)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_wrong_peers_are_turned_away_and_not_logged(attack_on, pem, table):
    attacked = attack_on(
        OTEL_HA_ENDPOINT_CERTIFICATE=str(pem.server),
        OTEL_HA_ENDPOINT_KEY=str(pem.server_key),
        OTEL_HA_ENDPOINT_CLIENT_CA=str(pem.ca),
    )

    def try_all() -> None:
        for name, context in PEERS.items():
            with pytest.raises((ssl.SSLError, ConnectionError)):
                pytest.fail(f"{name} was answered: {scrape(attacked.port, context(pem))!r}")
        for name, words in WORDS.items():
            assert b"HTTP/1" not in answer_to(attacked.port, words), name
        with attacking(attacked.port, 48, handshake_that_never_ends, says_nothing):
            found = eventually(lambda: scrape(attacked.port, known(pem)))
            assert found.startswith(b"HTTP/1.1 200")

    attacked.attack_twice(try_all)
    assert attacked.service.log_lines() == []
    attacked.add_row(
        table, f"{len(PEERS) + len(WORDS) + 1} kinds of wrong peers, at an endpoint with client certificates"
    )
