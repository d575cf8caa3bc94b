"""Traces and logs, which wait in queues of their own while a receiver fails: a span and a log record for each event."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.faults.otlp_server import Behaviour, ScriptedServer, reset, scripted
from tests.faults.outcome import Outcome
from tests.faults.running import Account, Service
from tests.faults.staging import IN_FAULT, PATIENT, RATE, WITHIN, is_up, lines_of, per_outage
from tests.receivers import answer, silent
from tests.servers.running import get_json

ON = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_METRIC_EXPORT_TIMEOUT": "30000",
    # A push that takes longer is repeated, although the receiver has stored it: on a busy machine, that takes seconds.
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "15000",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "15000",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
}
LARGE = {"OTEL_BSP_MAX_QUEUE_SIZE": "100000", "OTEL_BLRP_MAX_QUEUE_SIZE": "100000"}
SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": "500", "OTEL_BLRP_MAX_QUEUE_SIZE": "500"}

PATHS = ("/v1/metrics", "/v1/traces", "/v1/logs")

FULL = "the queues (OTEL_BSP_MAX_QUEUE_SIZE and OTEL_BLRP_MAX_QUEUE_SIZE) are full; the log and /healthz have the count"
REFUSED = "a batch that the receiver refuses for good is dropped; /healthz has the count"
TWICE = "the receiver stores a batch and does not say so, so the batch is sent again, as OTLP requires"
ENDED = "the process ends while the receiver is away; the log has the count"


@pytest.fixture
def server():
    with scripted() as server:
        yield server


def outcome_of(fault: str, account: Account, server: ScriptedServer, lines: list[str], loses: str = "") -> Outcome:
    """The row of a fault: spans and log records, of which each event has one."""
    spans = [each.item.span_id for each in server.spans()]
    records = [each.item.time_unix_nano for each in server.records()]
    items = {*spans, *records}
    return Outcome(
        fault=f"Traces and logs: {fault}",
        topic="Receivers",
        recorded=2 * account.recorded,
        lost=2 * account.recorded - len(items),
        duplicated=len(spans) + len(records) - len(items),
        log_lines=per_outage(lines),
        shutdown=account.shutdown,
        loop_delay=account.loop_delay,
        loses=loses,
    )


def dropped(service: Service) -> int:
    """The spans and log records that have been dropped, as /healthz says once everything is delivered again."""

    def readers() -> dict[str, dict[str, object]]:
        found = get_json(f"http://{service.target}/healthz")["readers"]
        return {each["reader"]: each for each in found if each["reader"] in {"otlp traces", "otlp logs"}}

    service.wait_for(lambda: {each["status"] for each in readers().values()} == {"ok"}, WITHIN)
    return sum(int(str(each["dropped"])) for each in readers().values())


def recovered(service: Service, server: ScriptedServer, behaviour: Behaviour, enough: int = IN_FAULT) -> int:
    """Let the receiver fail for so many events, and recover; return how many items were dropped."""
    service.wait_for(lambda: server.spans() and server.records() and is_up(service), WITHIN)
    server.fail(behaviour)
    service.wait_for_events(enough, WITHIN)
    service.wait_for(lambda: re.search("push to .* failed", service.log()), WITHIN)
    assert len(lines_of(service)) == 1
    if enough > IN_FAULT:
        service.pause()  # a small queue would be full again at once on a busy machine
    before = {path: len(server.bodies(path)) for path in PATHS}
    server.recover()
    # Each signal: a push that still hangs would have to end during the shutdown.
    service.wait_for(lambda: all(len(server.bodies(path)) > before[path] for path in PATHS), WITHIN)
    service.wait_for(lambda: is_up(service), WITHIN)
    return dropped(service)


@pytest.mark.parametrize(
    ("fault", "behaviour", "loses"),
    [
        ("503", Behaviour(answer("503 Service Unavailable")), ""),
        ("connection refused", Behaviour(reset, "never"), ""),
        ("receiver that hangs", Behaviour(silent), ""),
        ("connection reset before a batch is stored", Behaviour(reset), ""),
        ("connection reset after a batch is stored", Behaviour(reset, stores=True), TWICE),
        ("400", Behaviour(answer("400 Bad Request")), REFUSED),
    ],
)
def test_spans_and_log_records_wait_for_a_receiver(fault, behaviour, loses, server, start, table):
    service = start(
        RATE, module="tests.faults.telling", OTEL_EXPORTER_OTLP_ENDPOINT=server.url, **ON, **LARGE, **PATIENT
    )
    counted = recovered(service, server, behaviour)
    account = service.stop()
    outcome = outcome_of(fault, account, server, lines_of(service), loses)
    assert outcome.lost == counted
    assert (outcome.lost > 0, outcome.duplicated > 0) == (loses == REFUSED, loses == TWICE)
    table.add(outcome)


def test_a_full_queue_is_bounded_and_the_line_about_the_end_of_the_outage_counts_what_is_dropped(server, start, table):
    service = start(
        RATE, module="tests.faults.telling", OTEL_EXPORTER_OTLP_ENDPOINT=server.url, **ON, **SMALL, **PATIENT
    )
    counted = recovered(service, server, Behaviour(answer("503 Service Unavailable")), enough=1000)
    account, lines = service.stop(), lines_of(service)
    assert re.search(r"works again \(failures: \d+; dropped meanwhile: \d+ (spans|log records)", lines[1]), lines
    outcome = outcome_of("503 until the queues (of 500 each) are full", account, server, lines, FULL)
    assert outcome.lost == counted > 0
    assert outcome.duplicated == 0
    table.add(outcome)


@pytest.mark.parametrize(
    ("fault", "behaviour"),
    [("of 503", Behaviour(answer("503 Service Unavailable"))), ("that hangs", Behaviour(silent))],
)
def test_spans_and_log_records_that_wait_at_the_end_are_counted(fault, behaviour, server, start, table):
    service = start(RATE, module="tests.faults.telling", OTEL_EXPORTER_OTLP_ENDPOINT=server.url, **ON, **LARGE)
    service.wait_for(lambda: server.spans() and server.records(), WITHIN)
    server.fail(behaviour)
    service.wait_for_events(IN_FAULT, WITHIN)
    account, lines = service.stop(), lines_of(service)
    outcome = outcome_of(f"program ends with a receiver {fault}", account, server, lines, ENDED)
    counts = re.search(r"(\d+) spans and (\d+) log records are lost", lines[-1])
    assert counts
    assert outcome.lost == int(counts[1]) + int(counts[2])
    table.add(replace(outcome, away=True))
