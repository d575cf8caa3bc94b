"""Receivers of pushes that fail in every way that we know, around a program that records and pushes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import pytest

from tests.faults.otlp_server import ScriptedGrpcServer, ScriptedServer, scripted, scripted_by_grpc
from tests.faults.outcome import Outcome
from tests.faults.receiver_faults import AUTHORITY, FAULTS, Fault, trusted
from tests.faults.running import Account, Service, running
from tests.faults.stored import Stored, in_pushes
from tests.receivers import MIB

# One worker stages all of them, several at once: most of their time is waiting.
pytestmark = pytest.mark.xdist_group("receivers")

AT_ONCE = 8
MOST_MEMORY = 250 * MIB
OPTIONS = ["--rate=200"]
IN_FAULT = 60
"""Events that are recorded while a fault lasts: there are more pushes than the first that fails."""
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_HA_SHUTDOWN_TIMEOUT": "60"}
"""For a program whose receiver recovers: the first failure takes five seconds, not ten, and the last push arrives."""

Server = ScriptedServer | ScriptedGrpcServer
Start = Callable[[], AbstractContextManager[Service]]


@dataclass(frozen=True)
class End:
    """The end of a program, with the lines of its log, and how many of them belong to one outage at most."""

    account: Account
    lines: list[str]
    log_lines: int
    stored: Stored


def stored_in(server: Server) -> Stored:
    """The events that a server has stored."""
    return in_pushes(request.body for request in list(server.requests) if request.target == "/v1/metrics")


@contextmanager
def staged(fault: Fault, directory: Path, **environment: str) -> Iterator[tuple[Server, Start]]:
    """A server, and a function that starts the program that pushes there."""
    directory.mkdir()
    AUTHORITY.cert_pem.write_to_path(directory / "authority.pem")
    with scripted_by_grpc() if fault.by_grpc else scripted(trusted() if fault.tls else None) as server:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if fault.by_grpc else "http/protobuf",
            "OTEL_METRIC_EXPORT_TIMEOUT": "30000",
            **environment,
        }
        if fault.tls:
            variables["OTEL_EXPORTER_OTLP_CERTIFICATE"] = str(directory / "authority.pem")
        yield server, lambda: running(directory / "service", *OPTIONS, **variables)


def recovered(fault: Fault, directory: Path) -> End:
    """Let a receiver fail and recover while a program records and pushes, and then end the program."""
    with staged(fault, directory, **PATIENT) as (server, start), start() as service:
        service.wait_for(lambda: stored_in(server).received > 0 and all(map(is_over, service.log_lines()[-1:])))
        before = len(service.log_lines())
        server.fail(*fault.behaviours)
        service.wait_for(lambda: re.search(fault.says, service.log()) if fault.says else server.met > 1)
        service.wait_for_events(IN_FAULT)
        during = service.log_lines()[before:]
        server.recover()
        goal = service.recorded()
        if not fault.pauses:
            service.wait_for(lambda: service.check_now(lambda: stored_in(server)).received >= goal)
        assert memory(service) < MOST_MEMORY
        account, lines = service.stop(), service.log_lines()
        assert len(during) == bool(fault.says), lines
        outages = max(1, sum(is_over(line) for line in lines))  # a busy machine may cause another one
        return End(account, lines, ceil(len(lines) / outages), stored_in(server))


def is_over(line: str) -> bool:
    """Whether a line of the log tells of the end of an outage."""
    return "works again" in line or "accepts all" in line


def ended(fault: Fault, directory: Path) -> End:
    """End a program, with the default time limits, while its receiver fails."""
    with staged(fault, directory) as (server, start):
        server.fail(*fault.behaviours)
        with start() as service:
            service.wait_for_events(IN_FAULT)
            account, lines = service.stop(), service.log_lines()
            return End(account, lines, len(lines), stored_in(server))


def memory(service: Service) -> int:
    """The most memory that a program has had until now, in bytes."""
    status = Path(f"/proc/{service.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


@pytest.fixture(scope="module")
def ends(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Future[End]]]]:
    """The ends of two programs for each fault that a test of this session asks for: one of them sees the recovery."""
    directory = tmp_path_factory.mktemp("receivers")
    items = [each for each in request.session.items if getattr(each, "originalname", "") == "test_a_receiver"]
    names = [each.callspec.params["name"] for each in items]  # type: ignore[attr-defined]  # they have parameters
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: [pool.submit(way, FAULTS[name], directory / f"{number} {way.__name__}") for way in (recovered, ended)]
            for number, name in enumerate(names)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", FAULTS)
def test_a_receiver(name, ends, table):
    fault = FAULTS[name]
    after, early = (future.result() for future in ends[name])
    assert max(after.log_lines, early.log_lines) <= 2, f"{after.lines}, {after.account}\n{early.lines}, {early.account}"
    assert early.lines or not fault.says
    outcome = after.account.outcome(fault.row, "Receivers", after.stored, log_lines=after.log_lines)
    table.add(with_worse(outcome, early))


def with_worse(outcome: Outcome, other: End) -> Outcome:
    """The outcome with the worse figures of two ends."""
    return replace(
        outcome,
        log_lines=max(outcome.log_lines, other.log_lines),
        shutdown=max(outcome.shutdown or 0, other.account.shutdown or 0),
        loop_delay=max(outcome.loop_delay or 0, other.account.loop_delay or 0),
    )
