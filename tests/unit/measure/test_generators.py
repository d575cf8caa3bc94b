"""Measured generators: read, closed, abandoned or collected."""

import gc
import time

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, frames, in_flight, total


def numbers(gap=0.0):
    for i in range(3):
        time.sleep(gap)
        yield i
    return "end"


def test_a_generator_yields_what_it_yields(recorded):
    assert list(measured(WORK)(numbers)()) == [0, 1, 2]
    assert counts(recorded) == {OK: 1}


def test_a_generator_is_timed_over_its_life(recorded):
    for _ in measured(WORK)(numbers)():
        time.sleep(0.01)
    assert total(recorded) >= 0.03


def test_a_generator_is_not_timed_before_its_first_step(recorded):
    @measured(ingest.EVENT, source="mqtt")
    def work():
        yield 1

    made = work()
    assert recorded.collect() == {}
    next(made)
    assert in_flight(recorded) == 1
    made.close()


def test_a_generator_that_never_starts_is_not_counted(recorded):
    measured(WORK)(numbers)().close()
    assert recorded.collect() == {}


def test_a_generator_returns_what_it_returns(recorded):
    def outer():
        return (yield from measured(WORK)(numbers)())

    made = outer()
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration) as stopped:
        next(made)
    assert stopped.value.value == "end"


def test_the_return_value_of_a_generator_may_be_judged(recorded):
    list(measured(WORK, outcome_of=lambda result: "error" if result == "end" else None)(numbers)())
    assert counts(recorded) == {(("outcome", "error"),): 1}


def test_a_generator_is_sent_values(recorded):
    @measured(WORK)
    def echo():
        got = None
        while got != "stop":
            got = yield got

    made = echo()
    next(made)
    assert [made.send(1), made.send(2)] == [1, 2]
    with pytest.raises(StopIteration):
        made.send("stop")
    assert counts(recorded) == {OK: 1}


def test_a_generator_may_handle_a_thrown_exception(recorded):
    @measured(WORK)
    def work():
        try:
            yield 1
        except ValueError:
            yield 2

    made = work()
    next(made)
    assert made.throw(ValueError("no")) == 2
    assert next(made, None) is None
    assert counts(recorded) == {OK: 1}


def test_a_generator_passes_on_a_thrown_exception_that_it_does_not_handle(recorded):
    made, error = measured(WORK)(numbers)(), ValueError("no")
    next(made)
    with pytest.raises(ValueError, match="no") as caught:
        made.throw(error)
    assert (caught.value, error.__context__, frames(error)[-1]) == (error, None, "numbers")
    assert counts(recorded) == {VALUE_ERROR: 1}


def test_a_generator_that_is_closed_is_a_cancellation(recorded):
    made = measured(WORK)(numbers)()
    next(made)
    made.close()
    assert counts(recorded) == {CANCELLED: 1}


def test_a_generator_that_is_closed_takes_no_lock_and_waits_for_the_next_collection():
    with Recorded(WORK) as recorded:
        made = measured(WORK)(numbers)()
        next(made)
        made.close()
        assert recorded.gate.waiting == 1


def test_closing_a_generator_runs_its_clean_up(recorded):
    cleaned = []

    @measured(WORK)
    def work():
        try:
            yield 1
        finally:
            cleaned.append(True)

    made = work()
    next(made)
    made.close()
    assert cleaned == [True]


def test_a_generator_may_expect_to_be_closed(recorded):
    made = measured(WORK, expected=GeneratorExit)(numbers)()
    next(made)
    made.close()
    assert counts(recorded) == {OK: 1}


def test_a_generator_that_is_left_half_read_is_counted_once(recorded):
    @measured(ingest.EVENT, source="mqtt")
    def work():
        yield 1
        yield 2

    next(work())
    gc.collect()
    for _ in range(2):
        assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


def test_a_generator_in_a_cycle_is_counted_when_it_is_collected(recorded):
    class Reader:
        def __init__(self):
            self.lines = self.read()
            next(self.lines)

        @measured(ingest.EVENT, source="mqtt")
        def read(self):
            yield self

    Reader()
    gc.collect()
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


def test_a_block_in_a_generator_in_a_cycle_is_counted_when_it_is_collected(recorded):
    measure = measured(ingest.EVENT, source="mqtt")

    class Reader:
        def __init__(self):
            self.lines = self.read()
            next(self.lines)

        def read(self):
            with measure:
                yield self

    Reader()
    gc.collect()
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


def test_generators_may_be_collected_while_batches_are_recorded(recorded):
    @measured(ingest.EVENT, source="mqtt")
    def work(me):
        me.append(me)
        yield 1

    def make(_):
        for _ in range(200):
            made = work(cycle := [])
            cycle.append(made)
            next(made)

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        in_threads(4, make)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    points = recorded.collect()
    assert accounts(points) == {"mqtt": {"received": 800, "processed": 800, "discarded": 0, "in_flight": 0}}


def test_generators_that_are_read_in_turn_are_measured_separately(recorded):
    @measured(WORK, shape=lambda name: name)
    def work(name):
        yield name
        yield name

    pairs = list(zip(work("a"), work("b"), strict=True))
    assert pairs == [("a", "b"), ("a", "b")]
    assert counts(recorded) == {(("outcome", "ok"), ("shape", s)): 1 for s in "ab"}
