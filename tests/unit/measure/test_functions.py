"""Measured functions: their calls, arguments, results and errors."""

import asyncio
import logging
import time

import pytest

from otel_ha import CatalogError, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, raising, total


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
def test_a_base_exception_passes_and_is_a_cancellation(recorded, error):
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


def test_measuring_logs_nothing_if_nothing_is_wrong(recorded, caplog):
    caplog.set_level(logging.DEBUG)
    measured(ingest.EVENT, source="mqtt")(lambda: 1)()
    assert caplog.records == []
    assert recorded.problems() == {}


def test_measured_without_parentheses_says_how_it_is_used():
    with pytest.raises(CatalogError, match=r"as in @measured\(HISTOGRAM\)"):

        @measured
        def work():
            pass


def test_a_long_value_is_cut_and_not_kept_in_memory_as_a_whole():
    with Recorded(WORK, journalled=True) as recorded:
        paths = measured(WORK, shape=lambda shape: shape)
        work = paths(lambda _: None)
        for number in range(3):
            for _ in range(2):
                work(f"{number}{'x' * 10_000}")
        work("short")
        assert [path.attributes["shape"] for path in paths.operation.resolved().fast_paths.values()] == ["short"]
        assert {(("shape", f"{number}{'x' * 254}"), *OK): 2 for number in range(3)}.items() <= {
            tuple(sorted(key, key=lambda pair: pair[0] == "outcome")): count for key, count in counts(recorded).items()
        }.items()
