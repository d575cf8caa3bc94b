"""Children of a program that records, scrapes, pushes and logs while they begin: every process counts exactly."""

from __future__ import annotations

import pytest

from tests.faults import forking
from tests.faults.stored import in_text
from tests.servers.running import eventually

pytestmark = pytest.mark.servers

PROGRAM = {"module": "tests.faults.forking"}
SECONDS = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_METRIC_EXPORT_TIMEOUT": "30000"}
NEVER = {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
ONLY_AT_THE_END = "neither runs anything at the end, so the events since the last push are lost; flush() pushes them"


def outcome(service, otelcol, fault, *, least=0, **more):
    """The row of a program that has ended."""
    account = service.end()
    assert account.returncode == 0, service.log()
    wanted = account.recorded - least
    stored = eventually(lambda: in_text(otelcol.prometheus_url), lambda found: found.received >= wanted)
    return account.outcome(fault, "Processes", stored, log_lines=len(of_telemetry(service)), **more)


def of_telemetry(service) -> list[str]:
    """The lines that telemetry logged: a child that raises has its traceback in the log as well."""
    return [line for line in service.log_lines() if "otel_ha" in line]


@pytest.mark.parametrize(
    ("way", "method"), [("processes", "fork"), ("processes", "spawn"), ("pools", "fork"), ("pools", "forkserver")]
)
def test_children_of_multiprocessing_count_exactly(otelcol, start, table, way, method):
    service = start(way, method, **PROGRAM, **SECONDS, OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    kinds = {
        "processes": "Process: return, exception, sys.exit(), SIGTERM, a child of a child",
        "pools": "Pool, also terminated and with maxtasksperchild, and ProcessPoolExecutor",
    }
    table.add(outcome(service, otelcol, f"multiprocessing ({method}), {kinds[way]}"))


def test_children_of_forks_and_their_children_count_exactly(otelcol, start, table):
    service = start("forks", **PROGRAM, **SECONDS, OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    table.add(outcome(service, otelcol, "os.fork(), and a fork in the child"))


def test_children_of_forks_count_exactly_by_grpc_with_its_support_of_forks(otelcol, start, table):
    settings = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otelcol.otlp_grpc_endpoint,
        "GRPC_ENABLE_FORK_SUPPORT": "1",
    }
    service = start("forks", **PROGRAM, **SECONDS, **settings)
    why = "gRPC supports forks with GRPC_ENABLE_FORK_SUPPORT=1 only"
    table.add(outcome(service, otelcol, "os.fork(), and a fork in the child, by gRPC", note=why))


def test_a_child_that_ends_without_a_last_word_loses_the_events_since_its_last_push(otelcol, start, table):
    service = start("without a last word", **PROGRAM, **NEVER, OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    late = 2 * forking.LATE
    found = outcome(service, otelcol, "Children that end by os._exit() or kill -9", least=late, loses=ONLY_AT_THE_END)
    assert (found.lost, found.duplicated) == (late, 0)
    table.add(found)
