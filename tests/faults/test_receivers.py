"""Receivers of pushes that fail in every way that we know, around a program that records and pushes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.faults.answer_faults import ANSWERS
from tests.faults.connection_faults import CONNECTIONS
from tests.faults.grpc_faults import GRPC
from tests.faults.outcome import Outcome
from tests.faults.staging import End, ended, recovered

# One worker stages all of them, several at once: most of their time is waiting.
pytestmark = pytest.mark.xdist_group("receivers")

AT_ONCE = 8
FAULTS = {**ANSWERS, **CONNECTIONS, **GRPC}


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
