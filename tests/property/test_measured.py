"""Measuring changes nothing but the metrics: a measured function behaves as it does unmeasured, with traces or not."""

import asyncio
import contextlib
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ha import Attribute, Histogram, measured
from tests.recorded import Recorded
from tests.traced import Traced, current

OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(OUTCOME,))

EXCEPTIONS = st.sampled_from([ValueError, KeyError, OSError])
# The steps that drive a generator.
STEPS = st.lists(
    st.one_of(
        st.just(("next", None)),
        st.tuples(st.just("send"), st.integers()),
        st.tuples(st.just("throw"), EXCEPTIONS),
        st.just(("close", None)),
    ),
    max_size=8,
)
# A resumed generator yields, returns, raises, or handles a thrown exception and continues.
BODY = st.lists(st.sampled_from(["yield", "handle", "return", "raise"]), max_size=6)
TRACES = st.sampled_from([contextlib.nullcontext, Traced])


def generator(body):
    got = None
    for action in body:
        if action == "return":
            return got
        if action == "raise":
            raise LookupError(str(got))
        if action == "yield":
            got = yield got
        else:
            try:
                got = yield "handling"
            except ValueError as error:
                got = type(error).__name__
    return "end"


async def async_generator(body):
    got = None
    for action in body:
        await asyncio.sleep(0)
        if action == "return":
            return
        if action == "raise":
            raise LookupError(str(got))
        if action == "yield":
            got = yield got
        else:
            try:
                got = yield "handling"
            except ValueError as error:
                got = type(error).__name__


def seen(error):
    """Return everything that a caller can see of an exception."""
    context = type(error.__context__).__name__ if error.__context__ else None
    return type(error).__name__, str(error), context, getattr(error, "value", None)


def drive(made, steps):
    """Return the outcome of every step of a generator."""
    out = []
    for verb, argument in steps:
        try:
            if verb == "next":
                out.append(next(made))
            elif verb == "close":
                out.append(made.close())
            else:
                out.append(getattr(made, verb)(argument() if verb == "throw" else argument))
        except BaseException as error:  # noqa: BLE001 - every outcome is compared
            out.append(seen(error))
    return out


async def drive_async(made, steps):
    """Return the outcome of every step of an async generator."""
    out = []
    for verb, argument in steps:
        try:
            if verb == "next":
                out.append(await anext(made))
            elif verb == "close":
                out.append(await made.aclose())
            elif verb == "send":
                out.append(await made.asend(argument))
            else:
                out.append(await made.athrow(argument()))
        except BaseException as error:  # noqa: BLE001 - every outcome is compared
            out.append(seen(error))
    await made.aclose()
    return out


def number_of_spans(traced):
    return None if traced is None else len(traced.spans)


def count(recorded):
    return sum(distribution.count for distribution in recorded.series(WORK).values())


@given(BODY, STEPS, TRACES)
def test_a_measured_generator_behaves_like_the_unmeasured_one(body, steps, traces):
    with Recorded(WORK), traces():
        assert drive(measured(WORK)(generator)(body), steps) == drive(generator(body), steps)


@given(BODY, STEPS, TRACES)
def test_a_generator_is_counted_once_if_it_started(body, steps, traces):
    with Recorded(WORK) as recorded, traces() as traced:
        drive(measured(WORK)(generator)(body), steps)
        gc.collect(1)  # the young objects only: a full collection for each example takes too long among many tests
        assert count(recorded) == begins(steps)
        assert number_of_spans(traced) in {None, begins(steps)}
        assert current() is None


def begins(steps):
    """Whether a generator ever runs: before its start, sending is refused, and closing or throwing ends it."""
    for verb, _ in steps:
        if verb == "next":
            return True
        if verb in {"close", "throw"}:
            return False
    return False


@given(BODY, STEPS, TRACES)
def test_a_measured_async_generator_behaves_like_the_unmeasured_one(body, steps, traces):
    with Recorded(WORK), traces(), asyncio.Runner() as runner:
        ours = runner.run(drive_async(measured(WORK)(async_generator)(body), steps))
        assert ours == runner.run(drive_async(async_generator(body), steps))


@given(BODY, STEPS, TRACES)
def test_an_async_generator_is_counted_once_if_it_started(body, steps, traces):
    with Recorded(WORK) as recorded, traces() as traced:
        asyncio.run(drive_async(measured(WORK)(async_generator)(body), steps))
        assert count(recorded) == begins(steps)
        assert number_of_spans(traced) in {None, begins(steps)}


@given(st.integers(0, 5), st.sampled_from([None, ValueError, KeyboardInterrupt, asyncio.CancelledError]), TRACES)
def test_blocks_within_blocks_are_counted_once_each(depth, error, traces):
    measure = measured(WORK)

    def work(left):
        with measure:
            if left:
                work(left - 1)
            elif error is not None:
                raise error

    with Recorded(WORK) as recorded, traces() as traced:
        with contextlib.nullcontext() if error is None else pytest.raises(error):
            work(depth)
        assert count(recorded) == depth + 1
        assert number_of_spans(traced) in {None, depth + 1}


@given(st.permutations(range(4)), st.permutations(range(4)), TRACES)
def test_generators_that_begin_and_end_in_any_order_are_measured_separately(begin, end, traces):
    shape = Attribute("test.shape", "A shape.")
    work = Histogram("test.apart", unit="s", description="Work.", attributes=(shape, OUTCOME))
    measure = measured(work)

    def in_a_stack(number):
        with contextlib.ExitStack() as stack:
            measurement = stack.enter_context(measure)
            measurement.set(shape=number)
            yield
            if number % 2:
                measurement.cancel()

    def in_a_block(number):
        with measure as measurement:
            measurement.set(shape=number)
            yield
            if number % 2:
                measurement.cancel()

    made = [in_a_block(i) if i < 2 else in_a_stack(i) for i in range(4)]
    with Recorded(work) as recorded, traces():
        for number in begin:
            next(made[number])
        for number in end:
            assert next(made[number], None) is None
        assert current() is None
        assert {frozenset(key): v.count for key, v in recorded.series(work).items()} == {
            frozenset({("test.shape", i), ("test.outcome", "cancelled" if i % 2 else "ok")}): 1 for i in range(4)
        }
