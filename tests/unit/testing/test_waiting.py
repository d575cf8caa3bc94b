"""wait_for() and wait_for_async() wait for what other threads or tasks record, and fail with an explanation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from otel_ha.testing import CapturedMetrics, captured_metrics
from otel_ha.vocabulary import ingest
from tests.unit.testing.kit import CATALOG, HEAT, OPENINGS, PEOPLE, UNKNOWN, WIDTH, failure, lines

PLENTY = 60.0
"""Seconds within which a busy machine does what it is to do."""


@pytest.fixture
def metrics() -> Iterator[CapturedMetrics]:
    with captured_metrics(CATALOG | ingest.CATALOG) as captured:
        yield captured


@pytest.fixture
def later() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Return a function that calls another one in a thread, after a moment."""
    threads: list[threading.Timer] = []

    def start(action: Callable[[], object]) -> None:
        threads.append(threading.Timer(0.02, action))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


async def failure_async(metrics: CapturedMetrics, *arguments: object, **attributes: object) -> str:
    with pytest.raises(AssertionError) as caught:
        await metrics.wait_for_async(*arguments, **attributes)
    return str(caught.value)


# ---- in threads


def test_it_waits_for_what_another_thread_records(metrics, later):
    later(lambda: OPENINGS.add(3, room="hall"))
    metrics.wait_for(OPENINGS, 3, within=PLENTY, room="hall")
    metrics.assert_recorded(OPENINGS, 3)


def test_a_counter_or_a_histogram_may_have_more(metrics):
    OPENINGS.add(5)
    WIDTH.record(1)
    WIDTH.record(1)
    metrics.wait_for(OPENINGS, 2, within=0)
    metrics.wait_for(WIDTH, within=0)


def test_a_gauge_or_an_up_down_counter_has_to_have_the_value(metrics, later):
    PEOPLE.add(2)
    HEAT.set(30)
    later(lambda: (PEOPLE.add(-2), HEAT.set(20.5)))
    metrics.wait_for(PEOPLE, 0, within=PLENTY)
    metrics.wait_for(HEAT, 20.5, within=PLENTY)


def test_it_waits_for_a_name_that_nobody_has_recorded_yet(metrics, later):
    from opentelemetry import metrics as api  # noqa: PLC0415 - as the library would

    later(lambda: api.get_meter("library").create_counter("calls").add(1))
    metrics.wait_for("calls", within=PLENTY)


def test_it_waits_for_a_condition(metrics, later):
    later(lambda: OPENINGS.add(1, room="hall"))
    metrics.wait_for(lambda: metrics[OPENINGS].series(room="hall"), within=PLENTY)


def test_an_assertion_in_a_condition_may_fail_until_it_holds(metrics, later):
    later(lambda: OPENINGS.add(2))
    metrics.wait_for(lambda: metrics.assert_recorded(OPENINGS, 2) or True, within=PLENTY)


def test_it_fails_with_what_is_recorded_instead(metrics):
    OPENINGS.add(1, room="kitchen")
    OPENINGS.add(1, room="hall")
    assert failure(metrics.wait_for, OPENINGS, 2, within=0.01, room="hall") == lines("""
        test.openings: expected at least 2 with room='hall', found 1
        nearest:
          1 with room='kitchen': room differs
        waited 0.01 s
    """)


def test_it_fails_if_an_up_down_counter_does_not_get_the_value(metrics):
    PEOPLE.add(1)
    assert failure(metrics.wait_for, PEOPLE, 0, within=0) == "test.people: expected 0, found 1\nwaited 0 s"


def test_it_fails_if_the_condition_stays_false(metrics):
    assert failure(metrics.wait_for, list, within=0.01) == "the condition returned []\nwaited 0.01 s"


def test_it_fails_with_the_assertion_of_the_condition(metrics):
    assert failure(metrics.wait_for, lambda: metrics.assert_recorded(OPENINGS, 2), within=0) == lines("""
        test.openings: expected 2, nothing is recorded
        nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?
        waited 0 s
    """)


def test_another_exception_of_the_condition_is_raised(metrics):
    with pytest.raises(ZeroDivisionError):
        metrics.wait_for(lambda: 1 / 0, within=PLENTY)


def test_it_names_an_instrument_that_cannot_be_recorded(metrics):
    assert failure(metrics.wait_for, UNKNOWN, within=0) == (
        "test.unknown: expected at least 1, but it cannot be recorded: the catalog lacks it; "
        "give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()\n"
        "waited 0 s"
    )


@pytest.mark.parametrize(
    ("arguments", "attributes", "text"),
    [
        ((OPENINGS, "3"), {}, "the expected value is '3'; allowed: a number"),
        ((OPENINGS,), {"rooms": 1}, "test.openings has no attribute 'rooms' (declared: room, state, flag, few)"),
        ((OPENINGS,), {"within": "long"}, "within is 'long'; allowed: a number of seconds, such as 5.0"),
        ((OPENINGS,), {"within": -1}, "within is -1; allowed: a number of seconds, such as 5.0"),
        (
            (5,),
            {},
            "metrics cannot wait for 5; allowed: an instrument, an Operation, the name of a metric, or a function",
        ),
        ((len, 3), {}, "a condition takes no value such as 3; compare with it in the condition"),
        ((len,), {"room": "hall"}, "a condition takes no attributes such as 'room'; ask for them in it"),
    ],
)
async def test_a_wrong_question_fails_at_once(metrics, arguments, attributes, text):
    given = {"within": PLENTY, **attributes}
    assert failure(metrics.wait_for, *arguments, **given).startswith(text)
    assert (await failure_async(metrics, *arguments, **given)).startswith(text)


def test_it_does_not_collect_all_the_time(metrics):
    collections = 0

    def source() -> int:
        nonlocal collections
        collections += 1
        return 0

    with pytest.MonkeyPatch.context() as patch:
        now = 0.0
        patch.setattr("otel_ha.testing.waiting.monotonic", lambda: now)

        def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        patch.setattr("otel_ha.testing.waiting.sleep", sleep)
        ingest.QUEUE_SIZE.observe(source, queue="ingest")
        failure(metrics.wait_for, OPENINGS, within=5)
    assert 20 <= collections <= 120


# ---- in an event loop


async def test_async_it_waits_for_what_a_task_records(metrics):
    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(0.002)
            OPENINGS.add(1, room="hall")

    task = asyncio.create_task(work())
    await metrics.wait_for_async(OPENINGS, 3, within=PLENTY, room="hall")
    await task


async def test_async_it_waits_for_a_condition_or_a_coroutine_function(metrics):
    ready = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, ready.set)
    await metrics.wait_for_async(ready.is_set, within=PLENTY)

    async def holds() -> bool:
        await asyncio.sleep(0)
        return ready.is_set()

    await metrics.wait_for_async(holds, within=PLENTY)


async def test_async_the_loop_goes_on_while_a_source_takes_its_time(metrics):
    release = threading.Event()
    ingest.QUEUE_SIZE.observe(lambda: release.wait(PLENTY) and 1, queue="ingest")
    waiting = asyncio.create_task(metrics.wait_for_async(ingest.QUEUE_SIZE, 1, within=PLENTY))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    release.set()  # the loop gets here although the source waits for it
    await waiting


async def test_async_it_leaves_no_thread(metrics):
    before = set(threading.enumerate())
    OPENINGS.add(1)
    for _ in range(50):
        await metrics.wait_for_async(OPENINGS, within=PLENTY)
        assert not set(threading.enumerate()) - before


async def test_async_it_fails_with_what_is_recorded_instead(metrics):
    OPENINGS.add(1)
    assert await failure_async(metrics, OPENINGS, 2, within=0.01) == (
        "test.openings: expected at least 2, found 1\nwaited 0.01 s"
    )
    assert await failure_async(metrics, lambda: 0, within=0) == "the condition returned 0\nwaited 0 s"


async def test_async_a_condition_that_does_not_end_is_given_up(metrics, monkeypatch):
    monkeypatch.setattr("otel_ha.testing.waiting._LAST", 0.05)
    assert await failure_async(metrics, asyncio.Event().wait, within=0) == (
        "the condition does not come to an end\nwaited 0 s"
    )


async def test_async_a_time_out_of_the_condition_is_raised(metrics):
    async def condition() -> None:
        raise TimeoutError("the condition's own")

    with pytest.raises(TimeoutError, match="own"):
        await metrics.wait_for_async(condition, within=PLENTY)


def test_a_coroutine_function_needs_the_async_way(metrics):
    async def condition() -> bool:
        return True

    assert failure(metrics.wait_for, condition, within=PLENTY) == (
        "the condition is a coroutine function; write `await metrics.wait_for_async(…)`"
    )


async def test_in_an_event_loop_the_failure_names_the_async_way(metrics):
    assert failure(metrics.wait_for, lambda: 0, within=0) == (
        "the condition returned 0\n"
        "waited 0 s, while the event loop of this thread stood still; write `await metrics.wait_for_async(…)`"
    )
