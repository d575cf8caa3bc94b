"""measured(): measure a function, a coroutine, a generator or a block, by decorator or context manager."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter
from typing import Any, TypeVar, cast

from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Histogram
from otel_ha.declare.measurement import NEW, Expected, Judge, Measurement, OutcomeOf, new_measurement
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK
from otel_ha.declare.ports import GENERATION
from otel_ha.measure.blocks import Blocks
from otel_ha.measure.steps import async_steps, steps
from otel_ha.measure.work import Given, Work, alone, work_of

F = TypeVar("F", bound=Callable[..., Any])

_NOTHING: Expected = ()


def measured(
    operation: Operation | Histogram,
    /,
    *,
    outcome_of: OutcomeOf | None = None,
    expected: Expected = _NOTHING,
    **attributes: Given,
) -> Measured:
    """Return a decorator, also usable as a context manager, that measures functions or blocks.

    It records the duration in seconds, the outcome (ok, error, cancelled) and error_type, the exception's qualified
    name, on those instruments that declare these attributes. `attributes` are values, or functions that are called with
    the arguments of the measured call. `outcome_of` judges the result of the call: "error", "cancelled",
    Discarded(reason), or None for ok; a block has no result, so call event.returned(result) in it. `expected`
    exceptions do not count as errors. A generator is measured from its first step to its end. While traces are on, each
    call has a span, which is current in it. Exceptions pass through. Raises CatalogError for an attribute that no
    instrument declares.
    """
    if isinstance(operation, Histogram):
        operation = alone(operation)
    try:  # a part of work_of(), in place, as a block makes its measured() each time
        work: Work | None = operation.last_work.get(tuple(attributes.values()))
        is_it = work is not None and work.given == attributes
    except Exception:  # noqa: BLE001 - a value may do anything when it is hashed or compared
        is_it = False
    if not is_it or work is None:
        work = work_of(operation, attributes)
    found = Measured()
    found._work = work
    if outcome_of is None and expected is _NOTHING:
        found._judge = work.judge
    else:
        found._judge = Judge(work.operation, outcome_of, expected)
    found._state = NEW
    found.open_blocks = None
    return found


class Measured(Blocks):
    """The object that measured() returns: decorates any kind of function, and measures blocks, even concurrent ones."""

    __slots__ = ()

    def __call__(self, function: F) -> F:
        """Return `function` measured, with its own signature and kind."""
        if isinstance(function, staticmethod | classmethod):
            return cast("F", type(function)(self(function.__func__)))
        if _is(inspect.isasyncgenfunction, function):
            wrapper = self._async_generator(function)
        elif _is(inspect.iscoroutinefunction, function):
            wrapper = self._coroutine(function)
        elif _is(inspect.isgeneratorfunction, function):
            wrapper = self._generator(function)
        else:
            wrapper = self._function(function)
        return cast("F", functools.wraps(function)(wrapper))

    # The next two differ in one word. Sharing code between them by a call would double the cost of a measurement.

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        judge, work, paths = self._judge, self._work, self._work.look_up()
        judges = judge.looks_at_results

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal paths
            if paths.idle is GENERATION.current:
                return function(*args, **kwargs)
            if paths.generation is not GENERATION.current:
                paths = work.look_up()
                if paths.idle is not None:
                    return function(*args, **kwargs)
            path = paths.only or paths.of(args, kwargs)
            started = path.started
            if started is None or ((context := current_context()) and path.samples(context)):
                with new_measurement(judge, path) as measurement:
                    result = function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            if len(started) > path.limit:
                path.shorten()
            started.append(None)
            begun = perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                judge.ended_by(error, path, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (way := judge.way_of(result)) is not OK:
                path.ended(way, elapsed)
            else:
                path.ended_ok(elapsed)
            return result

        return wrapper

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        judge, work, paths = self._judge, self._work, self._work.look_up()
        judges = judge.looks_at_results

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal paths
            if paths.idle is GENERATION.current:
                return await function(*args, **kwargs)
            if paths.generation is not GENERATION.current:
                paths = work.look_up()
                if paths.idle is not None:
                    return await function(*args, **kwargs)
            path = paths.only or paths.of(args, kwargs)
            started = path.started
            if started is None or ((context := current_context()) and path.samples(context)):
                with new_measurement(judge, path) as measurement:
                    result = await function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            if len(started) > path.limit:
                path.shorten()
            started.append(None)
            begun = perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                judge.ended_by(error, path, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (way := judge.way_of(result)) is not OK:
                path.ended(way, elapsed)
            else:
                path.ended_ok(elapsed)
            return result

        return wrapper

    def _generator(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with self.start(args, kwargs) as measurement:
                if type(measurement) is Measurement:
                    result = yield from function(*args, **kwargs)
                else:
                    result = yield from steps(function(*args, **kwargs), measurement.span)
                measurement.returned(result)
                return result

        return wrapper

    def _async_generator(self, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with self.start(args, kwargs) as measurement:
                generator = function(*args, **kwargs)
                if type(measurement) is not Measurement:
                    generator = async_steps(generator, measurement.span)
                step = generator.__anext__()
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        return
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - the inner generator handles it
                        step = generator.athrow(error)
                    else:
                        step = generator.asend(sent)

        return wrapper


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the __call__ of an object, is of this kind."""
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked for
