"""Blocks that share an object, or are ended by others, or strangely: each piece of work counts once."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from otel_ha import Discarded, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, switching_often, unbalanced
from tests.unit.measure.conftest import in_flight

BOUND = ingest.EVENT.bind(source="mqtt")
REUSED = measured(ingest.EVENT, source="mqtt")
WAYS = {"bound": BOUND.measured, "reused": lambda: REUSED, "built": lambda: measured(ingest.EVENT, source="mqtt")}
ENDS = 6


@pytest.fixture(params=list(WAYS))
def block(request):
    """A function that returns the context manager of a block."""
    return WAYS[request.param]


def end(block, number):
    """Do a piece of work that ends in one of ENDS ways."""
    with contextlib.suppress(LookupError), block() as event:
        if number % ENDS == 1:
            event.discard("duplicate")
        elif number % ENDS == 2:
            event.set(domain="light")
        elif number % ENDS == 3:
            event.fail("Timeout")
        elif number % ENDS == 4:
            event.cancel()
        elif number % ENDS == 5:
            raise LookupError


def test_threads_share_an_object_while_telemetry_starts_and_ends(block):
    threads, ended, done = 4, threading.Event(), []

    def work(_):
        number = 0
        while not ended.is_set():
            end(block, number)
            number += 1

    def telemetries():
        for _ in range(15):
            with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
                for _ in range(3):
                    end(block, 0)
                    points = recorded.collect()
                    assert unbalanced(points) == {}
                    done.append(accounts(points)["mqtt"])

    def run(number):
        if number < threads:
            work(number)
            return
        try:
            telemetries()
        finally:
            ended.set()

    with switching_often():
        in_threads(threads + 1, run)
    assert sum(account["processed"] for account in done) > 15
    assert not [account for account in done if account["in_flight"] < 0]
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        for number in range(2 * ENDS):
            end(block, number)
        assert accounts(recorded.collect()) == {
            "mqtt": {"received": 12, "processed": 10, "discarded": 2, "in_flight": 0}
        }


def test_tasks_that_are_cancelled_in_a_block_end_as_cancelled(recorded, block):
    async def work():
        with block() as event:
            event.set(domain="light")
            await asyncio.sleep(60)

    async def cancel_many():
        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(0)
        assert in_flight(recorded) == 5
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    for _ in range(3):
        asyncio.run(cancel_many())
    series = recorded.series(ingest.EVENT_DURATION)
    [attributes] = series
    assert dict(attributes)["homeassistant.outcome"] == "cancelled"
    assert dict(attributes)["homeassistant.domain"] == "light"
    assert accounts(recorded.collect()) == {"mqtt": {"received": 15, "processed": 15, "discarded": 0, "in_flight": 0}}


def test_generators_that_the_garbage_collector_closes_in_a_block_are_counted(recorded, block):
    def work():
        with block() as event:
            event.set(domain="light")
            yield

    for _ in range(3):
        cycle = [work() for _ in range(5)]
        for each in cycle:
            next(each)
        cycle.append(cycle)
        del cycle, each
        gc.collect()
    assert accounts(recorded.collect()) == {"mqtt": {"received": 15, "processed": 15, "discarded": 0, "in_flight": 0}}


def test_a_block_in_a_cycle_keeps_nothing_alive(recorded, block):
    class Thing:
        pass

    for _ in range(3):
        end(block, 5)
    thing = Thing()
    seen = weakref.ref(thing)
    with contextlib.suppress(LookupError), block() as event:
        thing.event = event
        raise LookupError(thing)
    del thing, event
    gc.collect()
    assert seen() is None or block() is REUSED  # an object that is kept may keep what the service sets on it
    assert in_flight(recorded) == 0


@pytest.mark.parametrize("wrong", ["a text", None, float("nan"), -1.0, float("inf"), 10**400, object()])
def test_a_wrong_time_is_reported_and_the_clock_counts(recorded, block, wrong):
    for _ in range(3):
        with block() as event:
            event.lasted(wrong)
    [distribution] = recorded.series(ingest.EVENT_DURATION).values()
    assert distribution.count == 3
    assert 0 <= distribution.total < 60
    assert accounts(recorded.collect()) == {"mqtt": {"received": 3, "processed": 3, "discarded": 0, "in_flight": 0}}
    assert recorded.problems() == {(ingest.EVENT_DURATION.name, "invalid_amount", None): 3}


@pytest.mark.parametrize("outcome", [Discarded("late"), "cancelled", "error", None])
def test_a_result_may_be_judged_in_a_block(recorded, outcome):
    for _ in range(3):
        with measured(ingest.EVENT, source="mqtt", outcome_of=lambda result: result) as event:
            event.returned(outcome)
    discarded = 3 if isinstance(outcome, Discarded) else 0
    assert accounts(recorded.collect()) == {
        "mqtt": {"received": 3, "processed": 3 - discarded, "discarded": discarded, "in_flight": 0}
    }
