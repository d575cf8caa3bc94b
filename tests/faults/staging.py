"""A receiver that fails, around a measured program: one that sees its recovery, and one that ends before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tests.faults import resolving
from tests.faults.connection_faults import trusted
from tests.faults.fault import AUTHORITY, Fault
from tests.faults.grpc_server import ScriptedGrpcServer, scripted_by_grpc
from tests.faults.named_server import NamedServer, named
from tests.faults.otlp_server import ScriptedServer, scripted
from tests.faults.running import Account, Service, running
from tests.faults.stored import Stored, in_pushes
from tests.receivers import MIB

AT_ONCE = 8
"""Programs with a receiver that fails, at once."""
RATE = "--rate=200"
MOST_MEMORY = 250 * MIB
IN_FAULT = 60
"""Events that are recorded while a fault lasts: there are more pushes than the first that fails."""
WITHIN = 150.0
"""Seconds in which a condition comes about on a busy machine."""
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_HA_SHUTDOWN_TIMEOUT": "60"}
"""For a program whose receiver recovers: the first failure takes five seconds, not ten, and the last push arrives."""

Server = ScriptedServer | ScriptedGrpcServer | NamedServer
Start = Callable[[], AbstractContextManager[Service]]


@dataclass(frozen=True)
class End:
    """The end of a program, with the lines of its log, and how many of them an outage has."""

    account: Account
    lines: list[str]
    log_lines: int
    stored: Stored


@contextmanager
def staged(fault: Fault, directory: Path, **environment: str) -> Iterator[tuple[Server, Start]]:
    """A server, and a function that starts the program that pushes there."""
    directory.mkdir()
    AUTHORITY.cert_pem.write_to_path(directory / "authority.pem")
    with _server(fault, directory / "resolver") as server:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if fault.by_grpc else "http/protobuf",
            "OTEL_METRIC_EXPORT_TIMEOUT": "30000",
            resolving.VARIABLE: str(directory / "resolver"),
            **environment,
        }
        if fault.tls:
            variables["OTEL_EXPORTER_OTLP_CERTIFICATE"] = str(directory / "authority.pem")
        module = "tests.faults.resolving" if fault.by_name else "tests.faults.service"
        yield server, lambda: running(directory / "service", RATE, module=module, **variables)


def _server(fault: Fault, resolver: Path) -> AbstractContextManager[Server]:
    if fault.by_grpc:
        return scripted_by_grpc()
    return named(resolver) if fault.by_name else scripted(trusted() if fault.tls else None)


def recovered(fault: Fault, directory: Path) -> End:
    """Let a receiver fail and recover while a program records and pushes, and then end the program."""
    limits = PATIENT | ({"OTEL_EXPORTER_OTLP_TIMEOUT": "60000"} if fault.arrives else {})  # no push has to fail
    with staged(fault, directory, **limits) as (server, start), start() as service:
        service.wait_for(lambda: stored_in(server).received > 0 and is_up(service), WITHIN)
        before = len(lines_of(service))
        server.fail(*fault.behaviours)
        service.wait_for(lambda: _says(service, fault.says) if fault.says else server.met > 1, WITHIN)
        service.wait_for_events(IN_FAULT, WITHIN)
        during = lines_of(service)[before:]
        server.recover()
        goal = service.recorded()
        if not fault.pauses:
            service.wait_for(lambda: service.check_now(lambda: stored_in(server)).received >= goal, WITHIN)
        assert memory(service) < MOST_MEMORY
        account, lines = service.stop(), lines_of(service)
        assert len(during) == bool(fault.says), lines
        return End(account, lines, per_outage(lines), stored_in(server))


def ended(fault: Fault, directory: Path) -> End:
    """End a program, with the default time limits, while its receiver fails."""
    with staged(fault, directory) as (server, start):
        server.fail(*fault.behaviours)
        with start() as service:
            service.wait_for_events(IN_FAULT, WITHIN)
            account, lines = service.stop(), lines_of(service)
            return End(account, lines, len(lines), stored_in(server))


def stored_in(server: Server) -> Stored:
    """The events that a server has stored."""
    return in_pushes(server.bodies("/v1/metrics"))


def lines_of(service: Service) -> list[str]:
    """The lines of the log, without those that gRPC's C library prints by itself."""
    return [line for line in service.log_lines() if not re.match(r"[IWEF]\d{4} |WARNING: All log messages", line)]


def _says(service: Service, pattern: str) -> bool:
    """Whether a line of the package has `pattern`: gRPC's C library has the same words in lines of its own."""
    return any(re.search(pattern, line) for line in lines_of(service))


def is_up(service: Service) -> bool:
    """Whether the log tells of no outage that has not ended."""
    return all(map(_ends_outage, lines_of(service)[-1:]))


def per_outage(lines: list[str]) -> int:
    """The lines of each outage; a busy machine may cause another one."""
    return ceil(len(lines) / max(1, sum(map(_ends_outage, lines))))


def _ends_outage(line: str) -> bool:
    return any(words in line for words in ("works again", "accepts all", "accepted a push"))


def memory(service: Service) -> int:
    """The most memory that a program has had until now, in bytes."""
    status = Path(f"/proc/{service.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10
