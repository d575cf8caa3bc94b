"""The doctor's reading of addresses and of a server's first bytes."""

import pytest

from otel_ha.cli.doctor.speech import Tongue, tongue_of
from otel_ha.cli.doctor.way import Address, address_of
from otel_ha.export.otlp.by_grpc import GrpcSender
from tests.doctor import settings


@pytest.mark.parametrize(
    ("endpoint", "protocol", "address"),
    [
        ("http://collector", "http/protobuf", ("collector", 80)),
        ("https://collector", "http/protobuf", ("collector", 443)),
        ("http://[::1]:4318/x", "http/protobuf", ("::1", 4318)),
        ("http://[fe80::1%25eth0]:4318", "http/protobuf", ("fe80::1%eth0", 4318)),
        ("http://collector", "grpc", ("collector", 443)),
        ("http://collector:4317", "grpc", ("collector", 4317)),
        ("collector:4317", "grpc", ("collector", 4317)),
        ("collector", "grpc", ("collector", 443)),
        ("[::1]:4317", "grpc", ("::1", 4317)),
        ("dns:///collector:4317", "grpc", ("collector", 4317)),
        ("dns://192.0.2.1/collector:4317", "grpc", ("collector", 4317)),
        ("ipv4:127.0.0.1:4317", "grpc", ("127.0.0.1", 4317)),
        ("unix:///run/otel.sock", "grpc", ("", 0, "/run/otel.sock")),
        ("unix:otel.sock", "grpc", ("", 0, "otel.sock")),
        ("host:abc", "grpc", None),
    ],
)
def test_an_endpoint_is_read_as_the_push_reads_it(endpoint, protocol, address):
    assert address_of(settings(endpoint, protocol)) == (address and Address(*address))


def test_a_grpc_target_with_a_name_server_keeps_its_host():
    sender = GrpcSender(settings("dns://192.0.2.1/collector:4317", "grpc", INSECURE="true").otlp("metrics"))
    assert sender._target == "dns://192.0.2.1/collector:4317"


@pytest.mark.parametrize(
    ("received", "tongue"),
    [
        (b"", Tongue.NOTHING),
        (b"HTTP/1.1 200 OK\r\n", Tongue.HTTP_1),
        (b"HTTP/1.0 400 Bad Request", Tongue.HTTP_1),
        (bytes.fromhex("000006040000000000"), Tongue.HTTP_2),
        (bytes.fromhex("000008070000000000"), Tongue.HTTP_2),
        (bytes.fromhex("0000060400000000"), Tongue.OTHER),
        (bytes.fromhex("000006040000000001"), Tongue.OTHER),
        (b"\x15\x03\x03\x00\x02\x02\x28", Tongue.TLS),
        (b"220 mail.example ESMTP\r\n", Tongue.OTHER),
    ],
)
def test_the_first_bytes_of_an_answer_tell_the_protocol(received, tongue):
    assert tongue_of(received) is tongue
