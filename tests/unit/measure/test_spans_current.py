"""The span of measured work is current in its body, and nowhere else."""

import asyncio
import contextlib
import gc
import logging
import threading

import pytest
from opentelemetry import baggage, context, trace

from otel_ha import measured
from otel_ha.declare.work_span import WorkSpan
from tests.traced import current, id_of
from tests.unit.measure.conftest import WORK, boom, counts, raising


def named(number):
    """Return a measured() whose spans can be told apart."""
    return measured(WORK, shape=number)


@pytest.fixture(autouse=True)
def nothing_leaks(caplog):
    """After each test nothing is current, and no context could not be detached."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert current() is None
    assert not [each.getMessage() for each in caplog.records if "detach" in each.getMessage()]


def ids(traced):
    """Return the id of each span by its shape."""
    return {span.attributes["test.shape"]: id_of(span) for span in traced.spans}


def parents(traced):
    """Return the shape of each span's parent by its own."""
    by_id = {id_of(span): span.attributes["test.shape"] for span in traced.spans}
    return {
        span.attributes["test.shape"]: by_id.get(span.parent.span_id) if span.parent else None for span in traced.spans
    }


# ---- Functions, coroutines and blocks


def test_the_span_is_current_in_a_function(recorded, traced):
    assert measured(WORK)(current)() == id_of(traced.one)


def test_the_span_is_not_current_after_an_error(recorded, traced):
    with pytest.raises(RuntimeError):
        measured(WORK)(boom)()
    assert current() is None


async def test_the_span_is_current_in_a_coroutine_and_not_in_other_tasks(recorded, traced):
    async def work(turn):
        before = current()
        await turn.wait()
        return before, current()

    turn = asyncio.Event()
    tasks = [asyncio.ensure_future(named(number)(work)(turn)) for number in "ab"]
    await asyncio.sleep(0)
    assert current() is None
    turn.set()
    found = [await task for task in tasks]
    assert found == [(ids(traced)[number],) * 2 for number in "ab"]


def test_work_within_work_is_its_child(recorded, traced):
    with named("outer"):
        named("function")(named("innermost")(int))()
        with named("block"):
            pass
        list(named("generator")(generator)(None))
    assert parents(traced) == {
        "outer": None,
        "function": "outer",
        "innermost": "function",
        "block": "outer",
        "generator": "outer",
    }


def test_the_parent_may_be_a_span_of_the_program(recorded, traced):
    with traced.tracer.start_as_current_span("request") as request:
        measured(WORK)(lambda: None)()
        assert current() == request.get_span_context().span_id
    assert traced.spans[0].parent.span_id == request.get_span_context().span_id


def test_a_span_of_the_program_is_a_child_of_the_work_around_it(recorded, traced):
    with measured(WORK), traced.tracer.start_as_current_span("query"):
        pass
    query, work = traced.spans
    assert query.parent.span_id == id_of(work)


def test_a_block_in_a_thread_is_current_there_only(recorded, traced):
    entered, left, seen = threading.Event(), threading.Event(), []

    def work():
        with named("thread"):
            seen.append(current())
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    assert current() is None
    left.set()
    thread.join()
    assert seen == [ids(traced)["thread"]]


def test_what_the_work_adds_to_the_context_stays(recorded, traced):
    before = context.get_current()
    with measured(WORK):
        context.attach(baggage.set_baggage("room", "kitchen"))
    assert (baggage.get_baggage("room"), current()) == ("kitchen", None)
    context.attach(before)


# ---- Generators


@pytest.fixture
def steps():
    """A measured generator that yields the current span at each step, and what it is sent."""

    @named("steps")
    def steps():
        try:
            sent = yield current()
            yield current(), sent
            with contextlib.suppress(KeyError):
                yield current()
            yield current()
        finally:
            seen.append(current())

    seen = steps.seen = []
    return steps


def test_a_generator_is_in_its_span_at_each_step_and_its_caller_is_not(recorded, traced, steps):
    generator = steps()
    found = [next(generator)]
    assert current() is None
    found.append(generator.send("something")[0])
    assert current() is None
    found.append(next(generator))
    found.append(generator.throw(KeyError("known")))
    assert current() is None
    assert list(generator) == []
    assert found + steps.seen == [ids(traced)["steps"]] * 5


def test_a_generator_is_sent_what_its_caller_sends(recorded, traced, steps):
    generator = steps()
    next(generator)
    assert generator.send("something")[1] == "something"
    generator.close()


def test_a_generator_cleans_up_in_its_span(recorded, traced, steps):
    generator = steps()
    next(generator)
    generator.close()
    assert steps.seen == [id_of(traced.one)]


def test_a_generator_that_is_dropped_cleans_up_in_its_span(recorded, traced, steps):
    generator = steps()
    next(generator)
    del generator
    gc.collect()
    assert steps.seen == [id_of(traced.one)]


def test_generators_that_are_read_in_turn_have_spans_of_their_own(recorded, traced):
    def letters(number):
        yield number, current()
        yield number, current()

    found = [pair for pairs in zip(*(named(each)(letters)(each) for each in "ab"), strict=True) for pair in pairs]
    assert found == [(each, ids(traced)[each]) for each in "abab"]
    assert parents(traced) == {"a": None, "b": None}


def test_a_generator_may_end_in_another_thread(recorded, traced, steps):
    generator = steps()
    next(generator)
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()
    assert steps.seen == [id_of(traced.one)]


def test_the_caller_of_a_generator_may_change_its_own_span_between_steps(recorded, traced, steps):
    generator = steps()
    with named("caller"):
        next(generator)
        mine = current()
    next(generator)
    with named("another"):
        assert current() != mine
        inside = current()
        next(generator)
        assert current() == inside
    generator.close()
    assert parents(traced) == {"steps": "caller", "caller": None, "another": None}


def test_a_span_that_a_generator_opens_is_current_at_its_next_step_only(recorded, traced):
    @named("steps")
    def steps():
        with traced.tracer.start_as_current_span("inner", attributes={"test.shape": "inner"}):
            yield current()
            yield current()
        yield current()

    generator = steps()
    first = next(generator)
    assert current() is None
    assert next(generator) == first
    assert next(generator) != first
    generator.close()
    assert parents(traced) == {"inner": "steps", "steps": None}


def test_the_body_of_a_context_manager_is_in_its_span(recorded, traced):
    @contextlib.contextmanager
    @named("manager")
    def manager():
        yield current()

    with manager() as inside:
        assert current() == inside
        named("inner")(lambda: None)()
    assert parents(traced) == {"inner": "manager", "manager": None}


async def test_the_body_of_an_asynchronous_context_manager_is_in_its_span(recorded, traced):
    @contextlib.asynccontextmanager
    @named("manager")
    async def manager():
        yield current()

    async with manager() as inside:
        assert current() == inside
    assert inside == ids(traced)["manager"]


async def test_an_async_generator_is_in_its_span_at_each_step_and_its_caller_is_not(recorded, traced):
    @named("steps")
    async def steps():
        await asyncio.sleep(0)
        sent = yield current()
        await asyncio.sleep(0)
        with contextlib.suppress(KeyError):
            yield current(), sent
        await asyncio.sleep(0)
        yield current()

    generator = steps()
    found = [await anext(generator)]
    assert current() is None
    second, sent = await generator.asend("something")
    assert current() is None
    found += [second, await generator.athrow(KeyError("known"))]
    assert current() is None
    assert [each async for each in generator] == []
    assert found == [id_of(traced.one)] * 3
    assert sent == "something"


async def test_an_async_generator_may_be_closed_by_another_task(recorded, traced):
    seen = []

    @named("steps")
    async def steps():
        try:
            yield current()
        finally:
            await asyncio.sleep(0)
            seen.append(current())

    generator = steps()
    await anext(generator)
    await asyncio.create_task(generator.aclose())
    assert seen == [id_of(traced.one)]


def test_an_async_generator_may_outlive_its_loop(recorded, traced):
    @named("steps")
    async def steps():
        yield current()
        yield current()

    async def leave_half_read():
        async for _ in steps():
            break

    asyncio.run(leave_half_read())
    gc.collect()
    assert id_of(traced.one)


# ---- Blocks that overlap, or end elsewhere


def test_blocks_that_overlap_leave_nothing_behind(recorded, traced):
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(named("first"))
    second.enter_context(named("second"))
    inside = current()
    first.close()
    assert current() == inside
    second.close()
    assert current() is None
    assert inside == ids(traced)["second"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)])
def test_blocks_may_end_in_any_order(recorded, traced, order):
    with traced.tracer.start_as_current_span("around", attributes={"test.shape": "around"}):
        around = current()
        stacks = [contextlib.ExitStack() for _ in order]
        for number, stack in enumerate(stacks):
            stack.enter_context(named(f"{number}"))
        for number in order:
            stacks[number].close()
        assert current() == around
    assert parents(traced) == {"0": "around", "1": "0", "2": "1", "around": None}


def test_blocks_of_generators_that_overlap_leave_nothing_behind(recorded, traced):
    def block(number):
        with named(number):
            yield

    first, second = block("first"), block("second")
    next(first)
    next(second)
    first.close()
    second.close()
    assert current() is None


async def test_an_exit_stack_may_be_closed_in_another_task(recorded, traced):
    stack = contextlib.ExitStack()

    async def enter():
        stack.enter_context(named("elsewhere"))

    async def leave():
        stack.close()
        return current()

    await asyncio.create_task(enter())
    assert await asyncio.create_task(leave()) is None
    assert counts(recorded)


def test_an_exit_stack_may_be_closed_in_another_thread_within_other_work(recorded, traced):
    stack, seen = contextlib.ExitStack(), []
    before = context.get_current()
    stack.enter_context(named("elsewhere"))

    def leave():
        with named("other"):
            inside = current()
            stack.close()
            seen.append(current() == inside)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert seen == [True]
    context.attach(before)  # as no other thread can do


async def test_a_task_that_outlives_the_work_stays_its_child(recorded, traced):
    ended = asyncio.Event()

    async def background():
        await ended.wait()
        for number in ("first", "second"):
            named(number)(lambda: None)()

    with named("work"):
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
    ended.set()
    await task
    assert parents(traced) == {"work": None, "first": "work", "second": "work"}


def test_work_that_starts_the_next_one_holds_no_chain_of_earlier_ones(recorded, traced):
    gc.collect()
    loop, seen, before = asyncio.new_event_loop(), [], number_of_work_spans()

    @named("again")
    def again(left):
        seen.append(trace.get_current_span())
        if left:
            loop.call_soon(again, left - 1)
        else:
            loop.call_soon(loop.stop)

    loop.call_soon(again, 50)
    loop.run_forever()
    loop.close()
    del seen[:-1]
    gc.collect()
    assert number_of_work_spans() < before + 5


def test_the_span_of_work_is_freed_without_the_garbage_collector(recorded, traced):
    gc.collect()
    before = number_of_work_spans()
    gc.disable()
    try:
        work = measured(WORK)(lambda: None)
        for _ in range(20):
            work()
        assert number_of_work_spans() <= before
    finally:
        gc.enable()


def number_of_work_spans():
    return sum(type(each) is WorkSpan for each in gc.get_objects())


async def test_a_task_that_is_cancelled_leaves_nothing_behind(recorded, traced):
    task = asyncio.ensure_future(named("cancelled")(asyncio.sleep)(60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert traced.one.attributes["test.outcome"] == "cancelled"


def test_an_exception_passes_through_unchanged(recorded, traced):
    error = ValueError("mine")
    for form in (measured(WORK)(raising), lambda each: list(measured(WORK)(generator)(each))):
        with pytest.raises(ValueError, match="mine") as caught:
            form(error)
        assert caught.value is error
        assert error.__context__ is None


def generator(error):
    yield 1
    if error:
        raise error
