"""measured(): measure a function, a coroutine, a generator or a block, by decorator or context manager."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar, cast

from otel_ha.declare.context import current_context
from otel_ha.declare.fastpath import FastPaths
from otel_ha.declare.instruments import Attribute, Histogram
from otel_ha.declare.measurement import Expected, Judge, Measurement, MeasurementInSpan, OutcomeOf, new_measurement
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK
from otel_ha.declare.plain import is_same
from otel_ha.declare.ports import GENERATION, AttributeValue, shown
from otel_ha.declare.resolved import SET_BY_STEPS
from otel_ha.errors import CatalogError
from otel_ha.measure.steps import async_steps, steps

F = TypeVar("F", bound=Callable[..., Any])

Given = AttributeValue | Callable[..., AttributeValue | None] | None
"""An attribute as measured() accepts it: its value, or a function of the measured call's arguments."""

_SET_BY_THE_MEASUREMENT = SET_BY_STEPS | {"error_type"}


def measured(
    operation: Operation | Histogram,
    /,
    *,
    outcome_of: OutcomeOf | None = None,
    expected: Expected = (),
    **attributes: Given,
) -> Measured:
    """Return a decorator, also usable as a context manager, that measures functions or blocks.

    It records the duration in seconds, the outcome (ok, error, cancelled) and error_type, the exception's qualified
    name, on those instruments that declare these attributes. `attributes` are values, or functions that are called with
    the arguments of the measured call. `outcome_of` judges the result of the call: "error", "cancelled",
    Discarded(reason), or None for ok. `expected` exceptions do not count as errors. A generator is measured from its
    first step to its end. While traces are on, each call has a span, which is current in it. Exceptions pass through.
    Raises CatalogError for an attribute that no instrument declares.
    """
    return Measured(operation, outcome_of, expected, attributes)


class Measured:
    """The object that measured() returns: decorates any kind of function, and measures blocks, even concurrent ones."""

    def __init__(
        self,
        operation: Operation | Histogram,
        outcome_of: OutcomeOf | None,
        expected: Expected,
        attributes: dict[str, Given],
    ) -> None:
        if not isinstance(operation, Operation | Histogram):
            given = shown(operation)
            raise CatalogError(f"measured() takes an Operation or a Histogram, as in @measured(HISTOGRAM); not {given}")
        self.operation = operation if isinstance(operation, Operation) else _alone(operation)
        self._judge = Judge(self.operation, outcome_of, expected)
        for keyword, value in attributes.items():
            _check(keyword, value, self.operation.attributes)
        self._fixed = {keyword: value for keyword, value in attributes.items() if not callable(value)}
        self._computed = {keyword: value for keyword, value in attributes.items() if callable(value)}
        self._paths: FastPaths | None = None
        self.open_blocks: dict[int | tuple[int, int], Measurement] = {}

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

    def __enter__(self) -> Measurement:
        """Start measuring a block."""
        measurement = self.start((), {}).__enter__()
        # One object may measure blocks in several threads, tasks and generators at once. A block is entered and left in
        # the same frame, which therefore identifies it; within a frame the last block entered is the first one left.
        # No lock: a generator that is collected half-read leaves its block wherever it interrupts, and a fork copies
        # locks as they are. Each of these steps is atomic, and each block has a place of its own: an ExitStack leaves
        # blocks of functions that have returned, whose frame's identity another thread may use meanwhile.
        block, depth = _block(), 0
        place: int | tuple[int, int] = block
        while self.open_blocks.setdefault(place, measurement) is not measurement:
            depth += 1
            place = block, depth
        return measurement

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the block; an exception passes through."""
        measurement = self._close(_block())
        if measurement is not None:
            measurement.__exit__(kind, error, tb)

    def _close(self, block: int) -> Measurement | None:
        """Remove and return the measurement that was begun last in a block."""
        place: int | tuple[int, int] = block
        if len(self.open_blocks) > 1:
            depth = 1
            while (block, depth) in self.open_blocks:
                place = block, depth
                depth += 1
        measurement = self.open_blocks.pop(place, None)
        if measurement is not None:
            return measurement
        # Entered in one function by an ExitStack that is closed in another. Others may take the blocks seen here.
        while self.open_blocks:
            for other in reversed(list(self.open_blocks)):
                if (measurement := self.open_blocks.pop(other, None)) is not None:
                    return measurement
        return None

    def start(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Measurement:
        """Return the measurement of a call with these arguments."""
        path = self._look_up().of(args, kwargs)
        # new_measurement(), in place
        return Measurement(self._judge, path) if path.open_span is None else MeasurementInSpan(self._judge, path)

    def _look_up(self) -> FastPaths:
        """Return the fast paths for the current recorders."""
        if self._paths is None or self._paths.generation is not GENERATION.current:
            self._paths = FastPaths(self.operation, self._fixed, self._computed, self._judge.failed)
        return self._paths

    # The next two differ in one word. Sharing code between them by a call would double the cost of a measurement.

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        judge, paths = self._judge, self._look_up()
        judges = judge.looks_at_results

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal paths
            if paths.idle is GENERATION.current:
                return function(*args, **kwargs)
            if paths.generation is not GENERATION.current:
                paths = self._look_up()
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
                Measurement(judge, path).ended_by(error, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (outcome := judge.outcome_of(result)) is not OK:
                path.ended(outcome, elapsed)
            else:
                path.ended_ok(elapsed)
            return result

        return wrapper

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        judge, paths = self._judge, self._look_up()
        judges = judge.looks_at_results

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal paths
            if paths.idle is GENERATION.current:
                return await function(*args, **kwargs)
            if paths.generation is not GENERATION.current:
                paths = self._look_up()
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
                Measurement(judge, path).ended_by(error, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (outcome := judge.outcome_of(result)) is not OK:
                path.ended(outcome, elapsed)
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


@functools.lru_cache
def _alone(duration: Histogram) -> Operation:
    """Return an operation that consists of a duration only."""
    return Operation(duration=duration)


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the __call__ of an object, is of this kind."""
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked for


def _check(keyword: str, value: Given, declared: Mapping[str, Attribute]) -> None:
    """Raise CatalogError, when the decorator is applied, for a mistake that recording could only warn of."""
    if keyword in _SET_BY_THE_MEASUREMENT:
        raise CatalogError(f"measured(): {keyword!r} is set by the measurement itself; leave it out")
    if keyword not in declared:
        from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

        allowed = sorted(declared.keys() - _SET_BY_THE_MEASUREMENT)
        near = get_close_matches(keyword, allowed, 1)
        suggestion = f"; did you mean {near[0]!r}?" if near else ""
        raise CatalogError(
            f"measured(): no attribute {keyword!r}; declared: {', '.join(allowed) or 'none'}{suggestion}"
        )
    values = declared[keyword].values
    if values and value is not None and not callable(value) and not any(is_same(value, each) for each in values):
        raise CatalogError(f"measured(): {keyword} is {shown(value)}; allowed: {', '.join(values)}")


def _block() -> int:
    """Return the identity of the frame that contains the block, skipping the frames of an ExitStack."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "contextlib" and frame.f_back is not None:
        frame = frame.f_back
    return id(frame)
