"""Measured async generators: read, cancelled, closed or abandoned."""

import asyncio
import gc
import time

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import accounts
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, frames, total


async def letters():
    for letter in "abc":
        await asyncio.sleep(0)
        yield letter


async def test_an_async_generator_yields_what_it_yields(recorded):
    assert [letter async for letter in measured(WORK)(letters)()] == ["a", "b", "c"]
    assert counts(recorded) == {OK: 1}


async def test_an_async_generator_is_timed_over_its_life(recorded):
    async for _ in measured(WORK)(letters)():
        time.sleep(0.01)  # noqa: ASYNC251 - the gap is the point
    assert total(recorded) >= 0.03


async def test_an_async_generator_that_never_starts_is_not_counted(recorded):
    await measured(WORK)(letters)().aclose()
    assert recorded.collect() == {}


async def test_an_async_generator_is_sent_values(recorded):
    @measured(WORK)
    async def echo():
        got = None
        while got != "stop":
            got = yield got

    made = echo()
    await anext(made)
    assert [await made.asend(1), await made.asend(2)] == [1, 2]
    with pytest.raises(StopAsyncIteration):
        await made.asend("stop")
    assert counts(recorded) == {OK: 1}


async def test_an_async_generator_may_handle_a_thrown_exception(recorded):
    @measured(WORK)
    async def work():
        try:
            yield 1
        except ValueError:
            yield 2

    made = work()
    await anext(made)
    assert await made.athrow(ValueError("no")) == 2
    assert await anext(made, None) is None
    assert counts(recorded) == {OK: 1}


async def test_an_async_generator_passes_on_a_thrown_exception_that_it_does_not_handle(recorded):
    made, error = measured(WORK)(letters)(), ValueError("no")
    await anext(made)
    with pytest.raises(ValueError, match="no") as caught:
        await made.athrow(error)
    assert (caught.value, error.__context__, "letters" in frames(error)) == (error, None, True)
    assert counts(recorded) == {VALUE_ERROR: 1}


async def test_an_async_generator_passes_on_its_own_exception(recorded):
    @measured(WORK)
    async def work():
        yield 1
        raise error

    made, error = work(), ValueError("no")
    await anext(made)
    with pytest.raises(ValueError, match="no") as caught:
        await anext(made)
    assert (caught.value, error.__context__) == (error, None)
    assert counts(recorded) == {VALUE_ERROR: 1}


async def test_an_error_raised_while_handling_keeps_its_context(recorded):
    @measured(WORK)
    async def work():
        try:
            yield 1
        except ValueError:
            raise KeyError("other")  # noqa: B904 - its context is the point

    made, error = work(), ValueError("no")
    await anext(made)
    with pytest.raises(KeyError) as caught:
        await made.athrow(error)
    assert caught.value.__context__ is error


async def test_an_async_generator_that_is_closed_is_a_cancellation_and_cleans_up(recorded):
    cleaned = []

    @measured(WORK)
    async def work():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    made = work()
    await anext(made)
    await made.aclose()
    assert cleaned == [True]
    assert counts(recorded) == {CANCELLED: 1}


async def test_an_async_generator_that_is_cancelled_is_a_cancellation(recorded):
    @measured(WORK)
    async def work():
        await asyncio.sleep(60)
        yield 1

    async def read():
        async for _ in work():
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(recorded) == {CANCELLED: 1}


async def test_an_async_generator_that_is_left_half_read_is_counted_once(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        yield 1
        yield 2

    async for _ in work():
        break
    gc.collect()
    for _ in range(3):  # the event loop closes it, in a separate task
        await asyncio.sleep(0)
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


def test_an_async_generator_that_outlives_its_loop_is_counted_once(recorded):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        yield 1
        yield 2

    kept = []

    async def read():
        kept.append(work())
        await anext(kept[0])

    asyncio.run(read())
    kept.clear()
    gc.collect()
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}
