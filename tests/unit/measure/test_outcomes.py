"""Outcomes: expected exceptions, and results that are judged."""

import asyncio

import pytest

from otel_ha import Discarded, measured
from otel_ha.vocabulary import ingest
from tests.recorded import accounts, unbalanced
from tests.unit.measure.conftest import OK, VALUE_ERROR, WORK, boom, counts, in_flight


@pytest.mark.parametrize("expected", [ValueError, (KeyError, ValueError), Exception, lambda e: "no" in str(e)])
def test_an_expected_exception_is_not_an_error(recorded, expected):
    @measured(WORK, expected=expected)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("expected", [KeyError, (), (KeyError, OSError), lambda _: False])
def test_any_other_exception_is_an_error(recorded, expected):
    @measured(WORK, expected=expected)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded) == {VALUE_ERROR: 1}


def test_a_cancellation_may_be_expected(recorded):
    @measured(WORK, expected=asyncio.CancelledError)
    def work():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        work()
    assert counts(recorded) == {OK: 1}


def test_a_predicate_that_fails_does_not_reach_the_caller(recorded):
    @measured(WORK, expected=boom)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        work()
    assert caught.value.__context__ is None
    assert counts(recorded) == {VALUE_ERROR: 1}
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(None, "ok"), ("ok", "ok"), ("error", "error"), ("cancelled", "cancelled"), ("nonsense", "_OTHER")],
)
def test_a_result_may_be_judged(recorded, answer, outcome):
    assert measured(WORK, outcome_of=lambda _: answer)(lambda: 1)() == 1
    assert counts(recorded) == {(("outcome", outcome),): 1}


def test_a_judge_gets_the_result(recorded):
    judge = {200: None, 500: "error"}.get
    work = measured(WORK, outcome_of=judge)(lambda status: status)
    assert [work(200), work(500), work(500)] == [200, 500, 500]
    assert counts(recorded) == {OK: 1, (("outcome", "error"),): 2}


def test_a_result_may_mean_a_discard(recorded):
    measured(ingest.EVENT, source="mqtt", outcome_of=lambda _: Discarded("duplicate"))(lambda: 1)()
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 1
    assert unbalanced(recorded.collect()) == {}


@pytest.mark.parametrize("answer", [[1], {"a": 1}, object(), Discarded([1]), "maybe"])
def test_a_wrong_outcome_does_not_reach_the_caller(recorded, answer):
    work = measured(ingest.EVENT, source="mqtt", outcome_of=lambda result: result)(lambda: answer)
    for _ in range(3):
        assert work() is answer
    assert in_flight(recorded) == 0
    assert sum(recorded.problems().values()) == 3


@pytest.mark.parametrize("outcome", ["ok", "error", "cancelled", Discarded("filtered"), None])
def test_a_result_may_be_judged_the_same_many_times(recorded, outcome):
    work = measured(ingest.EVENT, source="mqtt", outcome_of=lambda result: result)(lambda: outcome)
    for _ in range(4):
        work()
    discarded = 4 if isinstance(outcome, Discarded) else 0
    assert accounts(recorded.collect()) == {
        "mqtt": {"received": 4, "processed": 4 - discarded, "discarded": discarded, "in_flight": 0}
    }


def test_a_judge_that_fails_does_not_reach_the_caller(recorded):
    assert measured(WORK, outcome_of=boom)(lambda: 1)() == 1
    assert counts(recorded) == {OK: 1}
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


def test_work_that_raises_is_not_judged(recorded):
    asked = []
    with pytest.raises(RuntimeError):
        measured(WORK, outcome_of=asked.append)(boom)()
    assert asked == []
