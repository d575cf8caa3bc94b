import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import pytest

from otel_ha import Attribute, CatalogError, Discarded, Histogram, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, unbalanced

OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
ERROR_TYPE = Attribute("error.type", "The error.", keyword="error_type", budget=3)
COLOUR = Attribute("test.colour", "A colour.", values=("red", "green"))
SHAPE = Attribute("test.shape", "A shape.")
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(OUTCOME, ERROR_TYPE, COLOUR, SHAPE))


@pytest.fixture(params=["through the API", "bound"])
def recorded(request):
    with Recorded(WORK, catalog=ingest.CATALOG, bound=request.param == "bound") as recorded:
        yield recorded


def counts(recorded, instrument=WORK):
    """Return {attributes by the last part of their names: count}."""
    return {
        tuple(sorted((key.rpartition(".")[2], value) for key, value in attributes)): distribution.count
        for attributes, distribution in recorded.series(instrument).items()
    }


OK = (("outcome", "ok"),)
CANCELLED = (("outcome", "cancelled"),)
VALUE_ERROR = (("outcome", "error"), ("type", "ValueError"))


def total(recorded):
    return sum(distribution.total for distribution in recorded.series(WORK).values())


def in_flight(recorded):
    return sum(recorded.series(ingest.IN_FLIGHT).values())


# Functions


def test_a_function_is_measured(recorded):
    @measured(WORK)
    def work():
        time.sleep(0.02)

    work()
    assert counts(recorded) == {OK: 1}
    assert total(recorded) >= 0.02


def test_a_function_returns_what_it_returns(recorded):
    thing = object()
    assert measured(WORK)(lambda: thing)() is thing


def test_a_function_gets_its_arguments(recorded):
    work = measured(WORK)(lambda *args, **kwargs: (args, kwargs))
    assert work(1, 2, self=3, args=4) == ((1, 2), {"self": 3, "args": 4})


def test_a_function_that_raises_is_an_error(recorded):
    @measured(WORK)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded) == {VALUE_ERROR: 1}


class Custom(Exception):  # noqa: N818
    class Inner(Exception):  # noqa: N818
        pass


def test_an_error_is_named_with_its_module(recorded):
    @measured(WORK)
    def work():
        raise Custom.Inner

    with pytest.raises(Custom.Inner):
        work()
    assert counts(recorded) == {(("outcome", "error"), ("type", f"{__name__}.Custom.Inner")): 1}


def test_the_types_of_errors_are_bounded(recorded):
    for number in range(5):
        error = type(f"Error{number}", (Exception,), {})
        with pytest.raises(error):
            measured(WORK)(raising)(error)
    assert counts(recorded)[(("outcome", "error"), ("type", "_OTHER"))] == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_passes_and_is_a_cancellation(recorded, error):
    @measured(WORK)
    def work():
        raise error

    with pytest.raises(error):
        work()
    assert counts(recorded) == {CANCELLED: 1}


def test_a_recursion_is_measured_at_every_depth(recorded):
    @measured(WORK)
    def factorial(n):
        return n * factorial(n - 1) if n else 1

    assert factorial(5) == 120
    assert counts(recorded) == {OK: 6}


def test_one_decorator_may_decorate_several_functions(recorded):
    measure = measured(WORK)
    first, second = measure(lambda: 1), measure(lambda: 2)
    assert (first(), second()) == (1, 2)
    assert counts(recorded) == {OK: 2}


def test_decorators_may_be_stacked(recorded):
    work = measured(WORK, colour="red")(measured(WORK, colour="green")(lambda: 1))
    work()
    assert counts(recorded) == {(("colour", c), ("outcome", "ok")): 1 for c in ("red", "green")}


def test_what_is_measured_before_telemetry_is_not_recorded():
    work = measured(WORK)(lambda: 1)
    assert work() == 1
    with Recorded(WORK) as recorded:
        assert recorded.collect() == {}


def test_what_was_decorated_before_telemetry_is_recorded_after():
    work = measured(WORK)(lambda: 1)
    with Recorded(WORK) as recorded:
        work()
        assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("bound", [False, True])
def test_what_started_before_telemetry_is_not_counted(bound):
    with contextlib.ExitStack() as stack:
        with measured(ingest.EVENT, source="mqtt"):
            recorded = stack.enter_context(Recorded(catalog=ingest.CATALOG, bound=bound))
        assert recorded.collect() == {}


@pytest.mark.parametrize("bound", [False, True])
def test_what_started_in_an_earlier_telemetry_is_not_counted_in_the_next(bound):
    with contextlib.ExitStack() as stack:
        with Recorded(catalog=ingest.CATALOG, bound=bound):
            stack.enter_context(measured(ingest.EVENT, source="mqtt"))
        with Recorded(catalog=ingest.CATALOG, bound=bound) as later:
            stack.close()
            assert later.collect() == {}


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_call_that_outlives_its_telemetry_is_not_counted_in_the_next(error):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Recorded(catalog=ingest.CATALOG, bound=True))

        @measured(ingest.EVENT, source="mqtt")
        def work(error=None, *, sets_up_anew=False):
            if sets_up_anew:
                stack.close()
                stack.enter_context(later)
            if error is not None:
                raise error

        work()
        work()
        assert accounts(first.collect())["mqtt"]["processed"] == 2
        later = Recorded(catalog=ingest.CATALOG, bound=True)
        with contextlib.nullcontext() if error is None else pytest.raises(error):
            work(error, sets_up_anew=True)
        assert later.collect() == {}
        work()
        assert accounts(later.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


# What kind of thing it is


def plain(a: int, b: str = "x", *args: int, c: float, **kwargs: str) -> bool:
    """Say something."""
    return True


async def coroutine(a: int) -> bool:
    """Say something."""
    return True


def generator(a: int):
    """Say something."""
    yield a


async def async_generator(a: int):
    """Say something."""
    yield a


FUNCTIONS = [plain, coroutine, generator, async_generator]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_signature_stays(function):
    assert inspect.signature(measured(WORK)(function)) == inspect.signature(function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["__doc__", "__name__", "__qualname__", "__module__", "__annotations__"])
def test_what_a_function_says_of_itself_stays(function, name):
    assert getattr(measured(WORK)(function), name) == getattr(function, name)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "kind",
    [
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        callable,
    ],
    ids=lambda k: k.__name__,
)
def test_the_kind_of_function_stays(function, kind):
    assert kind(measured(WORK)(function)) == kind(function)


def test_a_partial_of_a_coroutine_is_measured_to_its_end(recorded):
    async def work(gap):
        await asyncio.sleep(gap)

    asyncio.run(measured(WORK)(functools.partial(work, 0.02))())
    assert total(recorded) >= 0.019


class Methods:
    @measured(WORK)
    def method(self, a):
        return self, a

    @measured(WORK)
    @classmethod
    def outside_class(cls, a):
        return cls, a

    @classmethod
    @measured(WORK)
    def inside_class(cls, a):
        return cls, a

    @measured(WORK)
    @staticmethod
    def outside_static(a):
        return a

    @staticmethod
    @measured(WORK)
    def inside_static(a):
        return a

    @measured(WORK, shape=lambda self: self.shape)
    def of_itself(self):
        return self.shape

    @property
    @measured(WORK)
    def shape(self):
        return "round"

    @measured(WORK)
    @classmethod
    async def asynchronous(cls):
        return cls


def test_a_method_is_measured(recorded):
    methods = Methods()
    assert methods.method(1) == (methods, 1)
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("name", ["outside_class", "inside_class"])
@pytest.mark.parametrize("owner", [Methods, Methods()], ids=["class", "instance"])
def test_a_class_method_is_measured_in_both_orders(recorded, name, owner):
    assert getattr(owner, name)(1) == (Methods, 1)
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("name", ["outside_static", "inside_static"])
@pytest.mark.parametrize("owner", [Methods, Methods()], ids=["class", "instance"])
def test_a_static_method_is_measured_in_both_orders(recorded, name, owner):
    assert getattr(owner, name)(1) == 1
    assert counts(recorded) == {OK: 1}


def test_a_class_method_may_be_a_coroutine(recorded):
    assert asyncio.run(Methods.asynchronous()) is Methods
    assert counts(recorded) == {OK: 1}


def test_an_attribute_is_computed_from_a_methods_self(recorded):
    Methods().of_itself()
    assert counts(recorded)[(("outcome", "ok"), ("shape", "round"))] == 1


# Attributes


def test_an_attribute_may_be_fixed(recorded):
    measured(WORK, colour="red")(lambda: 1)()
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): 1}


def test_an_attribute_may_be_computed_from_the_arguments(recorded):
    measured(WORK, shape=lambda event, *, deep: f"{event}-{deep}")(lambda event, *, deep: (event, deep))("a", deep="b")
    assert counts(recorded) == {(("outcome", "ok"), ("shape", "a-b")): 1}


def test_an_attribute_that_is_none_is_left_out(recorded):
    measured(WORK, colour=None, shape=lambda: None)(lambda: 1)()
    assert counts(recorded) == {OK: 1}


def test_an_attribute_is_computed_at_the_start(recorded):
    things = []
    measured(WORK, shape=len)(lambda things: things.append(1))(things)
    assert counts(recorded) == {(("outcome", "ok"), ("shape", 0)): 1}


def test_an_attribute_that_no_instrument_which_is_on_has_is_not_computed():
    calls = []
    work = measured(ingest.EVENT, source="mqtt", entity=lambda: calls.append("entity"))(lambda: None)
    with Recorded(catalog=ingest.CATALOG, bound=True, entity_metrics=False) as recorded:
        work()
        assert accounts(recorded.collect())["mqtt"]["processed"] == 1
    assert calls == []


def test_an_attribute_is_not_computed_before_telemetry():
    asked = []
    measured(WORK, shape=asked.append)(lambda thing: thing)(1)
    assert asked == []


def boom(*_, **__):
    raise RuntimeError("boom")


def test_a_function_that_cannot_compute_does_not_reach_the_caller(recorded):
    assert measured(WORK, shape=boom)(lambda: 1)() == 1
    assert counts(recorded) == {OK: 1}


def test_a_function_that_cannot_compute_is_counted_and_warned_of_once(recorded, caplog):
    work = measured(WORK, shape=boom)(lambda: 1)
    work()
    work()
    assert recorded.problems() == {("test.work", "function_failed", None): 2}
    (record,) = caplog.records
    assert "given as shape failed: RuntimeError('boom')" in record.getMessage()


def test_an_interrupt_while_computing_passes(recorded):
    def compute():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(WORK, shape=compute)(lambda: 1)()


class Unprintable(Exception):  # noqa: N818
    def __repr__(self):
        raise ValueError("no repr")


def test_an_error_that_cannot_be_shown_does_not_reach_the_caller(recorded):
    def compute():
        raise Unprintable

    assert measured(WORK, shape=compute)(lambda: 1)() == 1
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


def test_an_attribute_that_is_not_declared_is_refused_at_once():
    with pytest.raises(CatalogError, match="no attribute 'color'; declared: colour, error_type, outcome, shape"):
        measured(WORK, color="red")


def test_a_fixed_value_outside_the_closed_set_is_refused_at_once():
    with pytest.raises(CatalogError, match="colour is 'blue'; allowed: red, green"):
        measured(WORK, colour="blue")


@pytest.mark.parametrize("keyword", ["outcome", "error_type", "reason", "state"])
def test_what_the_measurement_sets_is_refused_at_once(keyword):
    with pytest.raises(CatalogError, match="set by the measurement itself"):
        measured(ingest.EVENT, **{keyword: "ok"})


def test_a_computed_value_outside_the_closed_set_is_counted(recorded):
    measured(WORK, colour=lambda: "blue")(lambda: 1)()
    assert recorded.problems() == {("test.work", "undeclared_value", "test.colour"): 1}


# Outcomes


@pytest.mark.parametrize("expected", [ValueError, (KeyError, ValueError), Exception, lambda e: "no" in str(e)])
def test_an_expected_exception_is_no_error(recorded, expected):
    @measured(WORK, expected=expected)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("expected", [KeyError, (), (KeyError, OSError), lambda _: False])
def test_any_other_exception_is_an_error(recorded, expected):
    @measured(WORK, expected=expected)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded) == {VALUE_ERROR: 1}


def test_a_cancellation_may_be_expected(recorded):
    @measured(WORK, expected=asyncio.CancelledError)
    def work():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        work()
    assert counts(recorded) == {OK: 1}


def test_a_predicate_that_fails_does_not_reach_the_caller(recorded):
    @measured(WORK, expected=boom)
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        work()
    assert caught.value.__context__ is None
    assert counts(recorded) == {VALUE_ERROR: 1}
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(None, "ok"), ("ok", "ok"), ("error", "error"), ("cancelled", "cancelled"), ("nonsense", "_OTHER")],
)
def test_a_result_may_be_judged(recorded, answer, outcome):
    assert measured(WORK, outcome_of=lambda _: answer)(lambda: 1)() == 1
    assert counts(recorded) == {(("outcome", outcome),): 1}


def test_a_judge_gets_the_result(recorded):
    judge = {200: None, 500: "error"}.get
    work = measured(WORK, outcome_of=judge)(lambda status: status)
    assert [work(200), work(500), work(500)] == [200, 500, 500]
    assert counts(recorded) == {OK: 1, (("outcome", "error"),): 2}


def test_a_result_may_mean_a_discard(recorded):
    measured(ingest.EVENT, source="mqtt", outcome_of=lambda _: Discarded("duplicate"))(lambda: 1)()
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 1
    assert unbalanced(recorded.collect()) == {}


@pytest.mark.parametrize("answer", [[1], {"a": 1}, object(), Discarded([1]), "maybe"])
def test_an_answer_that_is_no_outcome_does_not_reach_the_caller(recorded, answer):
    work = measured(ingest.EVENT, source="mqtt", outcome_of=lambda result: result)(lambda: answer)
    for _ in range(3):
        assert work() is answer
    assert in_flight(recorded) == 0
    assert sum(recorded.problems().values()) == 3


@pytest.mark.parametrize("outcome", ["ok", "error", "cancelled", Discarded("filtered"), None])
def test_a_result_may_be_judged_alike_many_times(recorded, outcome):
    work = measured(ingest.EVENT, source="mqtt", outcome_of=lambda result: result)(lambda: outcome)
    for _ in range(4):
        work()
    discarded = 4 if isinstance(outcome, Discarded) else 0
    assert accounts(recorded.collect()) == {
        "mqtt": {"received": 4, "processed": 4 - discarded, "discarded": discarded, "in_flight": 0}
    }


def test_a_judge_that_fails_does_not_reach_the_caller(recorded):
    assert measured(WORK, outcome_of=boom)(lambda: 1)() == 1
    assert counts(recorded) == {OK: 1}
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


def test_what_raises_is_not_judged(recorded):
    asked = []
    with pytest.raises(RuntimeError):
        measured(WORK, outcome_of=asked.append)(boom)()
    assert asked == []


# Blocks


def test_a_block_is_measured(recorded):
    with measured(WORK, colour="red"):
        time.sleep(0.02)
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): 1}
    assert total(recorded) >= 0.02


def test_a_block_that_raises_is_an_error(recorded):
    with pytest.raises(ValueError, match="no"), measured(WORK):
        raise ValueError("no")
    assert counts(recorded) == {VALUE_ERROR: 1}


def test_a_block_may_set_attributes(recorded):
    with measured(WORK, colour="red") as measurement:
        measurement.set(colour="green", shape="round")
    assert counts(recorded) == {(("colour", "green"), ("outcome", "ok"), ("shape", "round")): 1}


def test_a_block_may_fail_without_an_exception(recorded):
    with measured(WORK) as measurement:
        measurement.fail("timeout")
    assert counts(recorded) == {(("outcome", "error"), ("type", "timeout")): 1}


def test_a_block_may_be_cancelled_without_an_exception(recorded):
    with measured(WORK) as measurement:
        measurement.cancel()
    assert counts(recorded) == {CANCELLED: 1}


def test_a_block_may_discard(recorded):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.discard("filtered")
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="filtered") == 1
    assert recorded.series(ingest.EVENT_DURATION) == {}


def test_an_exception_counts_for_more_than_what_the_block_said(recorded):
    def work():
        with measured(ingest.EVENT, source="mqtt") as measurement:
            measurement.discard("filtered")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded, ingest.EVENT_DURATION) == {(*VALUE_ERROR[:1], ("source", "mqtt"), VALUE_ERROR[1]): 1}


def test_what_a_block_sets_but_nothing_declares_is_counted_and_warned_of(recorded, caplog):
    with measured(WORK) as measurement:
        measurement.set(size=3)
    assert recorded.problems() == {("test.work", "undeclared_attribute", "size"): 1}
    assert len(caplog.records) == 1
    assert counts(recorded) == {OK: 1}


def test_a_block_cannot_change_what_work_in_flight_is_told_apart_by(recorded, caplog):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.set(source="websocket", domain="light")
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}
    assert recorded.problems() == {("homeassistant.event.process.duration", "late_attribute", "source"): 1}


def test_a_block_may_repeat_what_it_started_with(recorded):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.set(source="mqtt")
    assert recorded.problems() == {}


def test_a_measurement_may_be_used_before_telemetry():
    with measured(WORK) as measurement:
        measurement.set(nonsense=1)
        measurement.fail("x")
        measurement.discard("x")
        measurement.cancel()


def test_work_is_in_flight_while_its_block_lasts(recorded):
    with measured(ingest.EVENT, source="mqtt"):
        assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="active") == 1
    assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="active") == 0


# Exceptions


def raising(error):
    raise error


def frames(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_an_exception_is_the_same_object(recorded):
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(error)
    assert caught.value is error


def test_an_exception_keeps_its_frames(recorded):
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(ValueError("no"))
    assert frames(caught.value)[-1] == "raising"


def test_an_exception_gets_no_context(recorded):
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(ValueError("no"))
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_an_exception_keeps_its_cause_and_its_context(recorded):
    cause = KeyError("why")

    @measured(WORK)
    def work():
        try:
            raise cause
        except KeyError as error:
            raise ValueError("no") from error

    with pytest.raises(ValueError, match="no") as caught:
        work()
    assert (caught.value.__context__, caught.value.__cause__) == (cause, cause)


def test_what_a_coroutine_raises_keeps_its_frames_and_gets_no_context(recorded):
    @measured(WORK)
    async def work():
        await asyncio.sleep(0)
        raising(error)

    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        asyncio.run(work())
    assert (caught.value, frames(error)[-1], error.__context__) == (error, "raising", None)


# Coroutines


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


# Generators


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


def test_what_a_generator_returns_may_be_judged(recorded):
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


def test_a_generator_may_handle_what_is_thrown_into_it(recorded):
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


def test_what_a_generator_does_not_handle_comes_out(recorded):
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
        assert len(recorded.gate._deferred) == 1


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


def test_generators_may_be_collected_while_groups_are_recorded(recorded):
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


def test_generators_that_are_read_in_turn_are_measured_apart(recorded):
    @measured(WORK, shape=lambda name: name)
    def work(name):
        yield name
        yield name

    pairs = list(zip(work("a"), work("b"), strict=True))
    assert pairs == [("a", "b"), ("a", "b")]
    assert counts(recorded) == {(("outcome", "ok"), ("shape", s)): 1 for s in "ab"}


# Async generators


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


async def test_an_async_generator_may_handle_what_is_thrown_into_it(recorded):
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


async def test_what_an_async_generator_does_not_handle_comes_out(recorded):
    made, error = measured(WORK)(letters)(), ValueError("no")
    await anext(made)
    with pytest.raises(ValueError, match="no") as caught:
        await made.athrow(error)
    assert (caught.value, error.__context__, "letters" in frames(error)) == (error, None, True)
    assert counts(recorded) == {VALUE_ERROR: 1}


async def test_what_an_async_generator_raises_comes_out(recorded):
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
    for _ in range(3):  # the event loop closes it, in a task of its own
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


# One object, many at once


async def turn(number):
    """Wait, so that tasks go on one after another: first in, first out."""
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


def test_threads_whose_blocks_overlap_are_told_apart(recorded):
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


async def test_tasks_whose_blocks_overlap_are_told_apart(recorded):
    measure = measured(WORK)

    async def work(number):
        with measure as measurement:
            await turn(number)
            measurement.set(shape=number)

    await asyncio.gather(*(work(i) for i in range(5)))
    assert apart(recorded) == dict.fromkeys(range(5), 1)


def test_generators_whose_blocks_overlap_are_told_apart(recorded):
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


def test_exit_stacks_of_generators_that_overlap_are_told_apart(recorded):
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


async def test_async_exit_stacks_of_tasks_that_overlap_are_told_apart(recorded):
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

    in_threads(4, work)
    assert accounts(recorded.collect()) == {"mqtt": {"received": 800, "processed": 800, "discarded": 0, "in_flight": 0}}


def test_nothing_is_kept_of_blocks_that_have_ended(recorded):
    measure = measured(WORK)
    with measure, contextlib.ExitStack() as stack:
        stack.enter_context(measure)
    assert measure._open == {}


def test_one_object_may_be_decorator_and_context_manager_at_once(recorded):
    measure = measured(WORK)

    @measure
    def work():
        with measure:
            return 1

    assert work() == 1
    assert counts(recorded) == {OK: 2}


# Conduct


def test_measuring_says_nothing_where_nothing_is_wrong(recorded, caplog):
    caplog.set_level(logging.DEBUG)
    measured(ingest.EVENT, source="mqtt")(lambda: 1)()
    assert caplog.records == []
    assert recorded.problems() == {}


def test_mypy_sees_the_signature_that_was_decorated(tmp_path):
    pytest.importorskip("mypy")
    snippet = tmp_path / "snippet.py"
    snippet.write_text(
        textwrap.dedent("""
        from collections.abc import AsyncIterator, Iterator
        from otel_ha import measured
        from otel_ha.vocabulary import ingest

        @measured(ingest.TRANSFORM)
        def plain(a: int, *, b: str = "") -> list[int]:
            return [a]

        @measured(ingest.TRANSFORM)
        async def coroutine(a: int) -> str:
            return ""

        @measured(ingest.TRANSFORM)
        def generator() -> Iterator[int]:
            yield 1

        @measured(ingest.TRANSFORM)
        async def async_generator() -> AsyncIterator[int]:
            yield 1

        class Thing:
            @measured(ingest.TRANSFORM)
            def method(self, a: int) -> int:
                return a

            @classmethod
            @measured(ingest.TRANSFORM)
            def of_class(cls, a: int) -> str:
                return ""

            @measured(ingest.TRANSFORM)
            @staticmethod
            def static(a: int) -> float:
                return 1.0

        reveal_type(plain)
        reveal_type(coroutine)
        reveal_type(generator)
        reveal_type(async_generator)
        reveal_type(Thing().method)
        reveal_type(Thing.of_class)
        reveal_type(Thing.static)
        with measured(ingest.TRANSFORM) as measurement:
            reveal_type(measurement)
        """)
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", tmp_path, snippet]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    revealed = [line.partition("Revealed type is ")[2] for line in result.stdout.splitlines() if "Revealed" in line]
    assert [line.strip('"').replace("builtins.", "") for line in revealed] == [
        "def (a: int, *, b: str =) -> list[int]",
        "def (a: int) -> typing.Coroutine[Any, Any, str]",
        "def () -> typing.Iterator[int]",
        "def () -> typing.AsyncIterator[int]",
        "def (a: int) -> int",
        "def (a: int) -> str",
        "def (a: int) -> float",
        "otel_ha.measure.measurement.Measurement",
    ]
    assert result.returncode == 0, result.stdout


async def test_an_object_whose_call_is_a_coroutine_is_measured_to_its_end(recorded):
    class Slow:
        async def __call__(self):
            await asyncio.sleep(0.05)

    slow = Slow()
    await measured(WORK)(slow)()
    assert total(recorded) >= 0.049


def test_measured_without_parentheses_says_how_it_is_used():
    with pytest.raises(CatalogError, match=r"as in @measured\(HISTOGRAM\)"):

        @measured
        def work():
            pass
