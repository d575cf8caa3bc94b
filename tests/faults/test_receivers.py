"""Receivers of pushes that fail in every way that we know, around a program that records and pushes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.faults.answer_faults import ANSWERS
from tests.faults.connection_faults import CONNECTIONS
from tests.faults.grpc_faults import GRPC
from tests.faults.otlp_server import Behaviour, scripted
from tests.faults.outcome import Outcome
from tests.faults.staging import AT_ONCE, PATIENT, RATE, WITHIN, End, ended, is_up, lines_of, per_outage, recovered
from tests.faults.stored import Stored, in_pushes
from tests.receivers import answer

# One worker stages all of them, several at once: most of their time is waiting.
pytestmark = pytest.mark.xdist_group("receivers")

FAULTS = {**ANSWERS, **CONNECTIONS, **GRPC}
INCREASES = (
    "a push that fails takes its increases with it; totals, which are pushed by default (`cumulative`), arrive later"
)


@pytest.fixture(scope="module")
def ends(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Future[End]]]]:
    """The ends of two programs for each fault that a test of this session asks for: one of them sees the recovery."""
    directory = tmp_path_factory.mktemp("receivers")
    test = test_a_receiver_that_fails_costs_no_event_and_two_lines.__name__
    items = [each for each in request.session.items if getattr(each, "originalname", "") == test]
    names = [each.callspec.params["name"] for each in items]  # type: ignore[attr-defined]  # they have parameters
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: [pool.submit(way, FAULTS[name], directory / f"{number} {way.__name__}") for way in (recovered, ended)]
            for number, name in enumerate(names)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", FAULTS)
def test_a_receiver_that_fails_costs_no_event_and_two_lines(name, ends, table):
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


def test_increases_in_a_push_that_fails_are_lost(start, table):
    delta = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta", "OTEL_METRIC_EXPORT_TIMEOUT": "30000"}
    with scripted() as server:
        service = start(RATE, OTEL_EXPORTER_OTLP_ENDPOINT=server.url, **PATIENT, **delta)
        service.wait_for(lambda: server.requests and is_up(service), WITHIN)
        server.fail(Behaviour(answer("503 Service Unavailable")))
        service.wait_for_log("failed: 503")
        server.recover()
        service.wait_for(lambda: is_up(service), WITHIN)
        account, lines = service.stop(), lines_of(service)
        pushed = [in_pushes([body]) for body in server.bodies("/v1/metrics")]
    ends = sum((Counter(each.ends) for each in pushed), Counter())
    stored = Stored(sum(each.received for each in pushed), ends)
    fault = "503, with delta temporality"
    outcome = account.outcome(fault, "Receivers", stored, log_lines=per_outage(lines), loses=INCREASES)
    assert outcome.lost > 0
    table.add(outcome)
