"""Waiting: attempts with pauses, until one succeeds or the time is up."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

from otel_ha.declare.ports import shown
from otel_ha.testing.question import QuestionError
from otel_ha.testing.subject import called

__tracebackhide__ = True

Attempt = Callable[[], str]
"""A function that returns why it has not succeeded yet, or ""."""

Condition = Callable[[], object]
"""A function of the test, which waits until the result is true; in async code, perhaps an awaitable."""

_FAILED = "an assertion in the condition fails"
_NO_ANSWER = "the condition does not come to an end"

_LAST = 10.0
"""Seconds for an attempt that begins in time."""

_FIRST, _LONGEST = 0.002, 0.05
"""Seconds of the first and of the longest pauses: a collection takes a millisecond."""


def checked_limit(within: object) -> float:
    """Return a time limit; QuestionError for anything but a number of seconds."""
    if not isinstance(within, int | float) or not within >= 0:
        raise QuestionError(f"within is {shown(within)}; allowed: a number of seconds, such as 5.0")
    return within


def checked_condition(condition: object, value: object, attributes: Mapping[str, object]) -> Condition:
    """Return a condition; QuestionError for anything but a function, and for a value or attributes beside one."""
    if not callable(condition):
        allowed = "an instrument, an Operation, the name of a metric, or a function"
        raise QuestionError(f"metrics cannot wait for {shown(condition)}; allowed: {allowed}")
    if value != 1:
        raise QuestionError(f"a condition takes no value such as {called(value)}; compare with it in the condition")
    if attributes:
        raise QuestionError(f"a condition takes no attributes such as {next(iter(attributes))!r}; ask for them in it")
    return condition


def tried(condition: Condition) -> str:
    """Return why a condition does not hold, or ""; an assertion that fails in it does not hold yet."""
    try:
        result = condition()
    except QuestionError:
        raise
    except AssertionError as error:
        return str(error) or _FAILED
    if inspect.iscoroutine(result):
        result.close()
        raise QuestionError("the condition is a coroutine function; write `await metrics.wait_for_async(…)`")
    return _verdict(result)


async def tried_async(condition: Condition) -> str:
    """Return why a condition does not hold, or ""; it may be a coroutine function."""
    try:
        result = condition()
        return _verdict(await result if inspect.isawaitable(result) else result)
    except QuestionError:
        raise
    except AssertionError as error:
        return str(error) or _FAILED


def _verdict(result: object) -> str:
    """Return why the result of a condition is not true, or ""."""
    if result:
        return ""
    end = "; a function that only asserts ends with `return True`" if result is None else ""
    return f"the condition returned {shown(result)}{end}"


def wait(attempt: Attempt, within: float) -> None:
    """Try until an attempt succeeds; AssertionError if none does in time."""
    failure = attempt()
    for pause in _pauses(within):
        if not failure:
            return
        sleep(pause)
        failure = attempt()
    if failure:
        raise AssertionError(f"{failure}\nwaited {within:g} s{_hint()}")


async def wait_in_thread(attempt: Attempt, within: float) -> None:
    """Try in a thread, as a collection reads sources that may take their time; else like wait_async()."""
    loop, own = asyncio.get_running_loop(), ThreadPoolExecutor(1, "otel-ha-waiting")
    try:
        await wait_async(lambda: loop.run_in_executor(own, attempt), within)
        own.shutdown()  # the thread has nothing left to do: it ends now, before the test goes on
    finally:
        own.shutdown(wait=False, cancel_futures=True)


async def wait_async(attempt: Callable[[], Awaitable[str]], within: float) -> None:
    """Try until an attempt succeeds, while the event loop goes on; AssertionError if none does in time."""
    failure, limit = _NO_ANSWER, asyncio.timeout(within + _LAST)
    try:
        async with limit:
            failure = await attempt()
            for pause in _pauses(within):
                if not failure:
                    return
                await asyncio.sleep(pause)
                failure = await attempt()
    except TimeoutError:
        if not limit.expired():  # the condition's own
            raise
        failure = failure or _NO_ANSWER
    if failure:
        raise AssertionError(f"{failure}\nwaited {within:g} s")


def _pauses(within: float) -> Iterator[float]:
    """Yield the seconds until each next attempt; the last one is at the end of the time."""
    end, pause = monotonic() + within, _FIRST
    while (left := end - monotonic()) > 0:
        yield min(pause, left)
        pause = min(2 * pause, _LONGEST)


def _hint() -> str:
    """Return what to do if this thread's event loop could not go on meanwhile."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ""
    return ", while the event loop of this thread stood still; write `await metrics.wait_for_async(…)`"
