"""The delay of the event loop: no block is understated."""

import asyncio
import contextvars
import gc
import random
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from otel_ha.declare.instruments import connect, disconnect
from otel_ha.sources import event_loop
from otel_ha.sources.event_loop import PERIOD, TOLERANCE, watch_event_loop, watched_run
from otel_ha.vocabulary.runtime import EVENT_LOOP_DELAY


class Recorded(list):
    """A recorder that stores the amounts."""

    ticked: asyncio.Event | None = None

    def record(self, amount, attributes) -> None:
        assert not attributes
        self.append(amount)
        if self.ticked is not None:
            self.ticked.set()


@pytest.fixture
def recorded(monkeypatch) -> Iterator[Recorded]:
    monkeypatch.setattr(event_loop, "TOGETHER", 1)
    recorder = Recorded()
    connect([(EVENT_LOOP_DELAY, recorder)])
    yield recorder
    disconnect([EVENT_LOOP_DELAY])


async def next_tick(recorded: Recorded) -> None:
    recorded.ticked = asyncio.Event()
    await recorded.ticked.wait()


def block(seconds: float) -> float:
    """Block for at least that long, and return the actual duration."""
    start = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - start


@pytest.mark.parametrize("seed", range(3))
async def test_no_block_is_understated_wherever_it_begins(recorded, seed):
    random_ = random.Random(seed)
    stop = watch_event_loop()
    await next_tick(recorded)
    for _ in range(12):
        await asyncio.sleep(random_.uniform(0, 2 * PERIOD))
        recorded.clear()
        blocked = block(random_.uniform(PERIOD + TOLERANCE, 0.2))
        await next_tick(recorded)
        assert recorded[0] >= blocked
    stop()


async def test_blocks_right_after_and_right_before_a_tick_are_recorded_in_full(recorded):
    stop = watch_event_loop()
    for phase in (0, PERIOD * 0.9):
        await next_tick(recorded)
        await asyncio.sleep(phase)
        recorded.clear()
        blocked = block(PERIOD + 0.04)
        await next_tick(recorded)
        assert max(recorded) >= blocked
    stop()


async def test_a_late_tick_is_recorded_as_no_more_than_the_time_since_the_previous_one(recorded):
    stop = watch_event_loop()
    await next_tick(recorded)
    last_seen = time.perf_counter()
    await next_tick(recorded)
    recorded.clear()
    block(PERIOD + 0.03)
    await next_tick(recorded)
    assert recorded[0] <= time.perf_counter() - last_seen
    stop()


async def test_a_loop_that_is_on_time_has_no_delay(recorded):
    stop = watch_event_loop()
    for _ in range(5):
        await next_tick(recorded)
    stop()
    assert all(delay >= 0 for delay in recorded)
    assert min(recorded) <= TOLERANCE


async def test_ticks_on_time_are_recorded_together(recorded, monkeypatch):
    monkeypatch.setattr(event_loop, "TOGETHER", 5)
    monkeypatch.setattr(event_loop, "TOLERANCE", 3600)
    stop = watch_event_loop()
    await next_tick(recorded)
    assert len(recorded) == 5
    stop()


async def test_a_late_tick_is_recorded_at_once(recorded, monkeypatch):
    monkeypatch.setattr(event_loop, "TOGETHER", 1_000_000)
    stop = watch_event_loop()
    await asyncio.sleep(3 * PERIOD)
    blocked = block(3 * PERIOD)
    await next_tick(recorded)
    assert recorded[-1] >= blocked
    stop()


async def test_after_stop_nothing_is_recorded(recorded):
    stop = watch_event_loop()
    await next_tick(recorded)
    stop()
    recorded.clear()
    await asyncio.sleep(3 * PERIOD)
    stop()
    assert recorded == []


async def test_it_can_be_stopped_from_another_thread(recorded):
    stop = watch_event_loop()
    await next_tick(recorded)
    await asyncio.to_thread(stop)
    recorded.clear()
    await asyncio.sleep(3 * PERIOD)
    assert recorded == []


async def test_another_threads_loop_can_be_watched(recorded):
    loop = asyncio.get_running_loop()
    stop = await asyncio.to_thread(watch_event_loop, loop)
    await next_tick(recorded)
    stop()


def test_a_loop_that_is_not_running_yet_is_watched_once_it_runs(recorded):
    loop = asyncio.new_event_loop()
    stop = watch_event_loop(loop)
    loop.run_until_complete(next_tick(recorded))
    stop()
    loop.close()


def test_without_a_loop_nothing_happens(recorded):
    watch_event_loop()()
    assert recorded == []


def test_a_closed_loop_is_not_watched(recorded):
    loop = asyncio.new_event_loop()
    loop.close()
    watch_event_loop(loop)()
    assert recorded == []


def test_a_watched_loop_that_ends_is_not_kept_alive(recorded):
    loop = asyncio.new_event_loop()
    stop = watch_event_loop(loop)
    loop.run_until_complete(next_tick(recorded))
    loop.close()
    reference = weakref.ref(loop)
    recorded.ticked = None  # an event refers to its loop
    del loop
    gc.collect()
    assert reference() is None
    stop()


def test_a_watched_process_ends_silently():
    code = """
import asyncio
from otel_ha.sources.event_loop import watch_event_loop

async def main():
    watch_event_loop()
    await asyncio.sleep(0.1)

asyncio.run(main(), debug=True)
"""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


async def test_the_context_of_the_caller_is_not_kept_alive(recorded):
    held = weakref.WeakSet()

    class Span:
        pass

    async def traced() -> None:
        span = Span()
        held.add(span)
        contextvars.ContextVar("span").set(span)
        traced.stop = watch_event_loop()

    await asyncio.create_task(traced())
    await next_tick(recorded)
    gc.collect()
    assert not held
    traced.stop()


async def test_no_thread_is_started(recorded):
    before = threading.active_count()
    stop = watch_event_loop()
    await next_tick(recorded)
    assert threading.active_count() == before
    stop()


async def test_uvloop_can_be_watched(recorded):
    uvloop = pytest.importorskip("uvloop")

    def run() -> None:
        async def main() -> None:
            stop = watch_event_loop()
            for _ in range(10):
                await next_tick(recorded)
                recorded.clear()
                blocked = block(PERIOD + 0.04)
                await next_tick(recorded)
                assert recorded[0] >= blocked
            stop()

        uvloop.run(main())

    await asyncio.to_thread(run)


def test_the_time_between_two_watched_runs_of_a_loop_is_no_delay(recorded, monkeypatch):
    skipped = [0]
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + skipped[0])
    monkeypatch.setattr(event_loop, "time", clock)
    loop = asyncio.new_event_loop()
    for _ in range(2):
        with watched_run(loop):
            loop.run_until_complete(next_tick(recorded))
        skipped[0] += 1000
    assert recorded
    assert max(recorded) < 1000
    loop.close()


def test_a_second_watch_of_a_loop_ends_the_first():
    async def watched_twice() -> None:
        first = event_loop._Watch(asyncio.get_running_loop())
        second = event_loop._Watch(asyncio.get_running_loop())
        assert first._stopped
        second.stop()

    asyncio.run(watched_twice())


def test_a_run_of_a_closed_loop_is_left_to_the_loop():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"), watched_run(loop):
        loop.run_forever()
