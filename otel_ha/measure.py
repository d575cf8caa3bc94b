"""measured(): measure a function, a coroutine, a generator or a block, by decorator or context manager."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from otel_ha.context import current_context
from otel_ha.errors import CatalogError
from otel_ha.instruments import Attribute, Histogram
from otel_ha.operation import OK, Discarded, Operation, Outcome
from otel_ha.recorder import GENERATION, Attributes, AttributeValue, shown
from otel_ha.track import Track, Tracks

F = TypeVar("F", bound=Callable[..., Any])

Given = AttributeValue | Callable[..., AttributeValue | None] | None
"""What `measured` takes for an attribute: its value, or a function of the measured call's arguments."""

Expected = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that are no error: their types, or a predicate."""

_SET_BY_THE_MEASUREMENT = frozenset({"outcome", "error_type", "reason", "state"})


def measured(
    what: Operation | Histogram,
    /,
    *,
    outcome_of: Callable[[Any], Outcome | Discarded | None] | None = None,
    expected: Expected = (),
    **attributes: Given,
) -> Measured:
    """Return a decorator, which is a context manager as well, that measures `what`.

    It records the duration in seconds, outcome (ok, error, cancelled) and error_type, the exception's qualified name,
    as far as the instruments declare them. `attributes` are values, or functions that are called with the arguments of
    the measured call. `outcome_of` judges what the call returned: "error", "cancelled", Discarded(reason) or None for
    ok. `expected` exceptions are no error. A generator is measured from its first step to its end. Exceptions pass
    through. Raises CatalogError for an attribute that no instrument of `what` declares.
    """
    return Measured(what, outcome_of, expected, attributes)


class Measurement:
    """One piece of work that is being measured; the body of a `with measured(...)` may say how it ended."""

    __slots__ = ("_at_end", "_begun", "_by_append", "_measured", "_outcome", "_track")

    def __init__(self, measured: Measured, track: Track) -> None:
        self._measured = measured
        self._track = track
        self._at_end: Attributes = track.attributes
        self._outcome: Outcome | Discarded = OK
        self._by_append = False

    def set(self, /, **attributes: AttributeValue | None) -> None:
        """Give attributes that became known only now; those that work in flight is told apart by cannot change."""
        track = self._track
        self._at_end = {**self._at_end, **track.operation.late(track.attributes, attributes)}

    def discard(self, reason: str) -> None:
        """Say that the work was given up for this reason: it counts as discarded, not as processed."""
        self._outcome = Discarded(reason)

    def fail(self, error_type: str) -> None:
        """Say that the work failed although no exception leaves the block."""
        self._outcome = "error"
        self._at_end = {**self._at_end, "error_type": error_type}

    def cancel(self) -> None:
        """Say that the work was cancelled."""
        self._outcome = "cancelled"

    def returned(self, result: object) -> None:
        """Judge what the measured call returned."""
        self._outcome = self._measured.judged(result)

    def __enter__(self) -> Self:
        """Start."""
        self._by_append = self._track.start()
        self._begun = perf_counter()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End; an exception passes through."""
        elapsed = perf_counter() - self._begun
        track = self._track
        if error is not None:
            self.ended_by(error, elapsed)
        elif self._at_end is not track.attributes:
            self._end(elapsed)
        elif self._by_append:
            track.end(self._outcome, elapsed)
        else:
            track.end_at_first(self._outcome, elapsed)

    def ended_by(self, error: BaseException, elapsed: float) -> None:
        """Record the end by an exception."""
        # What started before telemetry did, or in the parent of a fork, was not counted then and is not counted now.
        if not self._track.is_current():
            return
        if not self._measured.expects(error):
            if isinstance(error, Exception):
                self.fail(_qualified_name(type(error)))
            else:
                self.cancel()
        # A generator that is collected half-read is closed wherever the garbage collector happens to interrupt.
        self._end(elapsed, later=isinstance(error, GeneratorExit))

    def _end(self, elapsed: float, *, later: bool = False) -> None:
        track = self._track
        if track.is_current():
            track.operation.end(self._outcome, elapsed, at_start=track.attributes, at_end=self._at_end, later=later)


class Measured:
    """What measured() returns: decorates any kind of function, and measures blocks, also several at a time."""

    def __init__(
        self,
        what: Operation | Histogram,
        outcome_of: Callable[[Any], Outcome | Discarded | None] | None,
        expected: Expected,
        attributes: dict[str, Given],
    ) -> None:
        if not isinstance(what, Operation | Histogram):
            given = shown(what)
            raise CatalogError(f"measured() takes an Operation or a Histogram, as in @measured(HISTOGRAM); not {given}")
        self.operation = what if isinstance(what, Operation) else _alone(what)
        self._outcome_of = outcome_of
        self._expected = expected
        for keyword, value in attributes.items():
            _check(keyword, value, self.operation.attributes)
        self._fixed = {keyword: value for keyword, value in attributes.items() if not callable(value)}
        self._computed = {keyword: value for keyword, value in attributes.items() if callable(value)}
        self._tracks: Tracks | None = None
        self._open: dict[int, list[Measurement]] = {}
        # Reentrant: a generator that is collected half-read can leave its block wherever it interrupts.
        self._lock = threading.RLock()

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
        # the same frame, which therefore tells them apart; within a frame the last one entered is the first one left.
        with self._lock:
            self._open.setdefault(_block(), []).append(measurement)
        return measurement

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the block; an exception passes through."""
        with self._lock:
            block = _block()
            if not self._open:
                return
            if block not in self._open:  # entered in one function by an ExitStack that is closed in another
                block = list(self._open)[-1]
            measurement = self._open[block].pop()
            if not self._open[block]:
                del self._open[block]
        measurement.__exit__(kind, error, tb)

    def start(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Measurement:
        """Return the measurement of a call with these arguments."""
        return Measurement(self, self._look_up().of(args, kwargs))

    def _look_up(self) -> Tracks:
        """Return the tracks with the recorders of now."""
        if self._tracks is None or self._tracks.generation is not GENERATION.current:
            self._tracks = Tracks(self.operation, self._fixed, self._computed, self._failed)
        return self._tracks

    def judged(self, result: object) -> Outcome | Discarded:
        """Return the outcome of a call that returned this."""
        if self._outcome_of is None:
            return OK
        try:
            return self._outcome_of(result) or OK
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self._failed("outcome_of", error)
            return OK

    def expects(self, error: BaseException) -> bool:
        """Whether this exception is none that counts as an error."""
        if isinstance(self._expected, type | tuple):
            return isinstance(error, self._expected)
        try:
            return bool(self._expected(error))
        except Exception as failure:  # noqa: BLE001 - recording never raises into the measured code
            self._failed("expected", failure)
            return False

    def _failed(self, what: str, error: Exception) -> None:
        if (recorder := self.operation.recorder) is not None:
            recorder.report("function_failed", f"the function given as {what} failed: {shown(error)}")

    # The next two are alike but for one word. What they share in calls would cost as much as all the rest.

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        tracks, judges = self._look_up(), self._outcome_of is not None

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal tracks
            if tracks.idle is GENERATION.current:
                return function(*args, **kwargs)
            if tracks.generation is not GENERATION.current:
                tracks = self._look_up()
                if tracks.idle is not None:
                    return function(*args, **kwargs)
            track = tracks.only or tracks.of(args, kwargs)
            started = track.started
            if started is None or ((context := current_context()) and track.samples(context)):
                with Measurement(self, track) as measurement:
                    result = function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            if len(started) > track.limit:
                track.shorten()
            started.append(None)
            begun = perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                Measurement(self, track).ended_by(error, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (outcome := self.judged(result)) is not OK:
                track.end(outcome, elapsed)
            else:
                track.end_well(elapsed)
            return result

        return wrapper

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        tracks, judges = self._look_up(), self._outcome_of is not None

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal tracks
            if tracks.idle is GENERATION.current:
                return await function(*args, **kwargs)
            if tracks.generation is not GENERATION.current:
                tracks = self._look_up()
                if tracks.idle is not None:
                    return await function(*args, **kwargs)
            track = tracks.only or tracks.of(args, kwargs)
            started = track.started
            if started is None or ((context := current_context()) and track.samples(context)):
                with Measurement(self, track) as measurement:
                    result = await function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            if len(started) > track.limit:
                track.shorten()
            started.append(None)
            begun = perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                Measurement(self, track).ended_by(error, perf_counter() - begun)
                raise
            elapsed = perf_counter() - begun
            if judges and (outcome := self.judged(result)) is not OK:
                track.end(outcome, elapsed)
            else:
                track.end_well(elapsed)
            return result

        return wrapper

    def _generator(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with self.start(args, kwargs) as measurement:
                result = yield from function(*args, **kwargs)
                measurement.returned(result)
                return result

        return wrapper

    def _async_generator(self, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with self.start(args, kwargs):
                generator = function(*args, **kwargs)
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
                    except BaseException as error:  # noqa: BLE001 - it is the inner generator's to handle
                        step = generator.athrow(error)
                    else:
                        step = generator.asend(sent)

        return wrapper


@functools.lru_cache
def _alone(duration: Histogram) -> Operation:
    """Return the operation of work that has a duration and no accounts."""
    return Operation(duration=duration)


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the __call__ of an object, is of this kind."""
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004 - not whether, but which


def _check(keyword: str, value: Given, declared: Mapping[str, Attribute]) -> None:
    """Refuse, when the decorator is applied, what could only be warned of when it records."""
    if keyword in _SET_BY_THE_MEASUREMENT:
        raise CatalogError(f"measured(): {keyword!r} is set by the measurement itself")
    if keyword not in declared:
        raise CatalogError(f"measured(): no attribute {keyword!r}; declared are {', '.join(sorted(declared))}")
    values = declared[keyword].values
    if values and value is not None and not callable(value) and value not in values:
        raise CatalogError(f"measured(): {keyword}={value!r} is none of {', '.join(values)}")


def _block() -> int:
    """Return what identifies the frame that the block stands in; an ExitStack's own frames are passed over."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "contextlib" and frame.f_back is not None:
        frame = frame.f_back
    return id(frame)


def _qualified_name(kind: type) -> str:
    """Return a class's name with its module, as error.type is spelled (semantic conventions, error attributes)."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
