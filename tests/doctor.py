"""Shared by the tests of the doctor: settings without the process's environment, and steps by their ids."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from otel_ha import TelemetryConfig
from otel_ha.cli.doctor.collector import collector_steps
from otel_ha.cli.doctor.step import Result, Step
from tests.receivers import HOST

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy", "no_grpc_proxy")


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings(endpoint: str, protocol: str = "http/protobuf", **more: str) -> TelemetryConfig:
    """Settings from an environment; the time limit is short, and `more` has variables without OTEL_EXPORTER_OTLP_."""
    given = {"ENDPOINT": endpoint, "PROTOCOL": protocol, "TIMEOUT": "5000"} | more
    return TelemetryConfig(environ={f"OTEL_EXPORTER_OTLP_{name}": value for name, value in given.items()})


def examined(config: TelemetryConfig) -> dict[str, Step]:
    """The steps of the topic Collector by their ids."""
    return {step.id: step for step in collector_steps(config)}


def only_finding(steps: dict[str, Step]) -> Step:
    """The only finding, after which nothing was tried."""
    (finding,) = [step for step in steps.values() if step.result is Result.FINDING]
    later = list(steps.values())[list(steps).index(finding.id) + 1 :]
    assert all(step.result is Result.SKIPPED for step in later)
    assert all(finding.title in step.found for step in later)
    assert finding.cause
    assert finding.remedy
    return finding


def finding_of(endpoint: str, protocol: str = "http/protobuf", **more: str) -> Step:
    return only_finding(examined(settings(endpoint, protocol, **more)))


@contextlib.contextmanager
def tunnel(target: int | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that connects to a port of this machine, whatever it is asked for; its URL and its requests."""
    asked: list[bytes] = []
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept_tunnels, args=(listener, target, asked), daemon=True).start()
        yield f"http://{HOST}:{listener.getsockname()[1]}", asked
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept_tunnels(listener: socket.socket, target: int | None, asked: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(client, target, asked), daemon=True).start()


def _pass_on(client: socket.socket, target: int | None, asked: list[bytes]) -> None:
    with contextlib.suppress(OSError), client:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        asked.append(head)
        with socket.create_connection((HOST, target)) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(4096):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
