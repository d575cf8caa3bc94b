"""Measured coroutines: awaited, cancelled, timed out or abandoned."""

import asyncio
import contextlib
import functools
import gc

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import accounts
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, frames, in_flight, raising, total


def test_a_partial_of_a_coroutine_is_measured_to_its_end(recorded):
    async def work(gap):
        await asyncio.sleep(gap)

    asyncio.run(measured(WORK)(functools.partial(work, 0.02))())
    assert total(recorded) >= 0.019


def test_an_exception_of_a_coroutine_keeps_its_frames_and_gets_no_context(recorded):
    @measured(WORK)
    async def work():
        await asyncio.sleep(0)
        raising(error)

    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        asyncio.run(work())
    assert (caught.value, frames(error)[-1], error.__context__) == (error, "raising", None)


async def test_a_coroutine_is_measured_to_its_end(recorded):
    @measured(WORK)
    async def work():
        await asyncio.sleep(0.02)
        return 3

    assert await work() == 3
    assert counts(recorded) == {OK: 1}
    assert total(recorded) >= 0.019


async def test_a_coroutine_that_raises_is_an_error(recorded):
    @measured(WORK)
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await work()
    assert counts(recorded) == {VALUE_ERROR: 1}


async def test_a_task_that_is_cancelled_is_a_cancellation(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert in_flight(recorded) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="cancelled").count == 1
    assert in_flight(recorded) == 0


async def test_a_coroutine_may_swallow_its_cancellation(recorded):
    @measured(WORK)
    async def work():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return 1

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == 1
    assert counts(recorded) == {OK: 1}


async def test_a_timeout_inside_is_an_error_and_one_outside_a_cancellation(recorded):
    @measured(WORK)
    async def work(seconds):
        async with asyncio.timeout(seconds):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await work(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await work(60)
    assert counts(recorded) == {CANCELLED: 1, (("outcome", "error"), ("type", "TimeoutError")): 1}


def test_a_coroutine_that_is_never_awaited_is_not_counted(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        pass

    work().close()
    assert recorded.collect() == {}


def test_a_coroutine_that_is_collected_half_way_is_counted_once(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        await asyncio.Event().wait()

    half = work()

    async def begin(coroutine):
        coroutine.send(None)

    asyncio.run(begin(half))
    del half
    gc.collect()
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


async def test_many_tasks_may_be_measured_at_once(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work(number):
        await asyncio.sleep(0.001 * (number % 3))
        if number % 2:
            raise ValueError(number)

    await asyncio.gather(*(work(i) for i in range(20)), return_exceptions=True)
    assert sorted(counts(recorded, ingest.EVENT_DURATION).values()) == [10, 10]
    assert in_flight(recorded) == 0


async def test_an_object_whose_call_is_a_coroutine_is_measured_to_its_end(recorded):
    class Slow:
        async def __call__(self):
            await asyncio.sleep(0.05)

    slow = Slow()
    await measured(WORK)(slow)()
    assert total(recorded) >= 0.049
