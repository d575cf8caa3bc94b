"""One measured() object, used for many blocks at once: nested, in threads, tasks, generators and exit stacks."""

import asyncio
import contextlib
import threading
import time

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import accounts, in_threads, switching_often
from tests.unit.measure.conftest import OK, WORK, counts


async def turn(number):
    """Wait, so that tasks continue one after another: first in, first out."""
    for _ in range(5 + number):
        await asyncio.sleep(0)


def apart(recorded):
    """Return the counts by shape of the blocks that each set their own."""
    return {dict(key)["shape"]: count for key, count in counts(recorded).items()}


def test_one_object_may_measure_blocks_within_each_other(recorded):
    measure = measured(WORK)
    with measure as outer:
        outer.set(shape="outer")
        with measure as inner:
            inner.set(shape="inner")
    assert apart(recorded) == {"outer": 1, "inner": 1}


def test_the_outer_of_two_blocks_lasts_longer(recorded):
    measure = measured(WORK)
    with measure as outer:
        outer.set(shape="outer")
        with measure as inner:
            inner.set(shape="inner")
        time.sleep(0.02)
    assert recorded.value(WORK, outcome="ok", shape="outer").total >= 0.02


def test_one_object_may_measure_blocks_in_many_threads(recorded):
    measure = measured(WORK)

    def work(number):
        for _ in range(100):
            with measure as measurement:
                measurement.set(shape=number)

    in_threads(8, work)
    assert apart(recorded) == dict.fromkeys(range(8), 100)


def test_overlapping_blocks_of_threads_are_measured_separately(recorded):
    measure, inside = measured(WORK), threading.Barrier(2)

    def work(number):
        with measure as measurement:
            inside.wait(10)
            measurement.set(shape=number)
            if number:
                measurement.cancel()
            inside.wait(10)

    in_threads(2, work)
    assert counts(recorded) == {
        (("outcome", "ok"), ("shape", 0)): 1,
        (("outcome", "cancelled"), ("shape", 1)): 1,
    }


async def test_overlapping_blocks_of_tasks_are_measured_separately(recorded):
    measure = measured(WORK)

    async def work(number):
        with measure as measurement:
            await turn(number)
            measurement.set(shape=number)

    await asyncio.gather(*(work(i) for i in range(5)))
    assert apart(recorded) == dict.fromkeys(range(5), 1)


def test_overlapping_blocks_of_generators_are_measured_separately(recorded):
    measure = measured(WORK)

    def work(number):
        with measure as measurement:
            yield
            measurement.set(shape=number)

    first, second = work(0), work(1)
    next(first)
    next(second)
    assert [next(first, None), next(second, None)] == [None, None]
    assert apart(recorded) == {0: 1, 1: 1}


def test_an_exit_stack_may_hold_one_object_several_times(recorded):
    measure = measured(WORK)
    with contextlib.ExitStack() as stack:
        for number in range(3):
            stack.enter_context(measure).set(shape=number)
    assert apart(recorded) == dict.fromkeys(range(3), 1)


def test_overlapping_exit_stacks_of_generators_are_measured_separately(recorded):
    measure = measured(WORK)

    def work(number):
        with contextlib.ExitStack() as stack:
            measurement = stack.enter_context(measure)
            yield
            measurement.set(shape=number)

    first, second = work(0), work(1)
    next(first)
    next(second)
    assert [next(first, None), next(second, None)] == [None, None]
    assert apart(recorded) == {0: 1, 1: 1}


async def test_overlapping_async_exit_stacks_of_tasks_are_measured_separately(recorded):
    measure = measured(WORK)

    async def work(number):
        async with contextlib.AsyncExitStack() as stack:
            measurement = stack.enter_context(measure)
            await turn(number)
            measurement.set(shape=number)

    await asyncio.gather(*(work(i) for i in range(5)))
    assert apart(recorded) == dict.fromkeys(range(5), 1)


def test_an_exit_stack_does_not_end_the_block_of_another_thread(recorded):
    measure, inside = measured(WORK), threading.Barrier(2)

    def work(number):
        if number:
            with measure as measurement:
                measurement.set(shape="block")
                inside.wait(10)
                measurement.cancel()
                inside.wait(10)
        else:
            with contextlib.ExitStack() as stack:
                stack.enter_context(measure).set(shape="stack")
                inside.wait(10)
            inside.wait(10)

    in_threads(2, work)
    assert counts(recorded) == {
        (("outcome", "ok"), ("shape", "stack")): 1,
        (("outcome", "cancelled"), ("shape", "block")): 1,
    }


def test_an_exit_stack_may_be_closed_elsewhere(recorded):
    def enter():
        with contextlib.ExitStack() as stack:
            stack.enter_context(measured(WORK))
            return stack.pop_all()

    enter().close()
    assert counts(recorded) == {OK: 1}


def test_many_exit_stacks_may_be_closed_elsewhere_at_once(recorded):
    measure = measured(ingest.EVENT, source="mqtt")

    def enter():
        stack = contextlib.ExitStack()
        stack.enter_context(measure)
        return stack

    def work(_):
        for _ in range(100):
            stack = enter()
            with measure:
                pass
            stack.close()

    with switching_often():
        in_threads(4, work)
    assert accounts(recorded.collect()) == {"mqtt": {"received": 800, "processed": 800, "discarded": 0, "in_flight": 0}}


def test_ended_blocks_leave_nothing_behind(recorded):
    measure = measured(WORK)
    with measure, contextlib.ExitStack() as stack:
        stack.enter_context(measure)
    assert measure.open_blocks == {}


def test_one_object_may_be_decorator_and_context_manager_at_once(recorded):
    measure = measured(WORK)

    @measure
    def work():
        with measure:
            return 1

    assert work() == 1
    assert counts(recorded) == {OK: 2}
