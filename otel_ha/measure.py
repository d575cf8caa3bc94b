"""measured(): measure a function, a coroutine, a generator or a block, by decorator or context manager."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from opentelemetry.context import get_current

from otel_ha.errors import CatalogError
from otel_ha.instruments import LONG, Attribute, AttributeValue, Direct, Histogram, Prepared, Recorder, shown
from otel_ha.operation import Discarded, Operation, Outcome

F = TypeVar("F", bound=Callable[..., Any])

Given = AttributeValue | Callable[..., AttributeValue | None] | None
"""What `measured` takes for an attribute: its value, or a function of the measured call's arguments."""

Expected = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that are no error: their types, or a predicate."""

_MOST_PREPARED = 1_000
"""Attribute sets of one measured() that are kept resolved."""

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

    __slots__ = ("_at_end", "_at_start", "_measured", "_outcome", "_recorder", "_started")

    def __init__(
        self, measured: Measured, recorder: Recorder | None, attributes: dict[str, AttributeValue | None]
    ) -> None:
        self._measured = measured
        self._recorder = recorder
        self._at_start = self._at_end = attributes
        self._outcome: Outcome | Discarded = "ok"

    def set(self, /, **attributes: AttributeValue | None) -> None:
        """Give attributes that became known only now; those that work in flight is told apart by cannot change."""
        self._at_end = {**self._at_end, **self._measured.operation.late(self._at_start, attributes)}

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
        judge = self._measured.outcome_of
        if judge is not None:
            self._outcome = self._measured.asked("outcome_of", lambda: judge(result)) or "ok"

    def __enter__(self) -> Self:
        """Start."""
        if self._recorder is not None:
            self._measured.operation.start(self._at_start)
        self._started = time.perf_counter()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End; an exception passes through."""
        elapsed = time.perf_counter() - self._started
        operation = self._measured.operation
        # What started before telemetry did, or in the parent of a fork, was not counted then and is not counted now.
        if self._recorder is None or self._recorder is not operation.recorder:
            return
        self.ended_by(error, elapsed)

    def ended_by(self, error: BaseException | None, elapsed: float) -> None:
        """Record the end, by an exception or without."""
        if error is not None and not self._measured.expects(error):
            if isinstance(error, Exception):
                self.fail(_qualified_name(type(error)))
            else:
                self.cancel()
        # A generator that is collected half-read is closed wherever the garbage collector happens to interrupt.
        later = isinstance(error, GeneratorExit)
        operation = self._measured.operation
        operation.end(self._outcome, elapsed, at_start=self._at_start, at_end=self._at_end, later=later)


class _Quick:
    """The quick way of calls with the same attributes: two appends of what is resolved already."""

    __slots__ = ("_attributes", "_measured", "append", "duration", "entries", "rest", "shorten", "started")

    def __init__(
        self,
        measured: Measured,
        direct: Direct,
        attributes: dict[str, AttributeValue | None],
        prepared: tuple[Prepared, Prepared],
    ) -> None:
        self._measured = measured
        self._attributes = attributes
        self.append, self.entries, self.shorten = direct
        self.started, (_, self.duration, self.rest) = prepared

    def raised(self, error: BaseException, elapsed: float) -> None:
        """End a call that raised."""
        operation = self._measured.operation
        if operation.duration.recorder is self._measured.quick_for:
            measurement = Measurement(self._measured, None, self._attributes)
            measurement.ended_by(error, elapsed)


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
        self.operation = what if isinstance(what, Operation) else Operation(duration=what)
        self.outcome_of = outcome_of
        self._expected = expected
        declared = {a.keyword: a for instrument in self.operation.instruments for a in instrument.attributes}
        for keyword, value in attributes.items():
            _check(keyword, value, declared)
        self._fixed = {keyword: value for keyword, value in attributes.items() if not callable(value)}
        self._computed = {keyword: value for keyword, value in attributes.items() if callable(value)}
        self.quick_for: Recorder | None = None
        self._quick: dict[tuple[AttributeValue | None, ...], _Quick] = {}
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

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Measurement:
        """Return the measurement of a call with these arguments."""
        recorder = self.operation.recorder
        return Measurement(self, recorder, self._attributes(args, kwargs) if recorder is not None else self._fixed)

    def _attributes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, AttributeValue | None]:
        if not self._computed:
            return self._fixed
        attributes = dict(self._fixed)
        for keyword, compute in self._computed.items():
            try:
                attributes[keyword] = compute(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
                attributes[keyword] = None
                self._failed(keyword, error)
        return attributes

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Quick | Measurement:
        """Return the quick way of a call, if it can be taken: what a call in a span records may become an exemplar."""
        recorder = self.operation.duration.recorder
        if recorder is None or recorder.direct is None or self.outcome_of is not None or get_current():
            return self.start(args, kwargs)
        if recorder is not self.quick_for:
            self._quick, self.quick_for = {}, recorder
        if not self._computed:
            return self._quick.get(()) or self._prepare(recorder, (), self._fixed)
        attributes = self._attributes(args, kwargs)
        key = tuple(attributes.values())
        try:
            return self._quick.get(key) or self._prepare(recorder, key, attributes)
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            return Measurement(self, recorder, attributes)

    def _prepare(
        self, recorder: Recorder, key: tuple[Any, ...], attributes: dict[str, AttributeValue | None]
    ) -> _Quick | Measurement:
        # Of values that equal others (1, 1.0 and True) the key would not say which.
        plain = all(isinstance(value, str | None) for value in key)
        if plain and recorder.direct is not None and len(self._quick) < _MOST_PREPARED:
            prepared = self.operation.prepare(attributes)
            if prepared is not None:
                self._quick[key] = quick = _Quick(self, recorder.direct, attributes, prepared)
                return quick
        return Measurement(self, recorder, attributes)

    def expects(self, error: BaseException) -> bool:
        """Whether this exception is none that counts as an error."""
        if isinstance(self._expected, type | tuple):
            return isinstance(error, self._expected)
        predicate = self._expected
        return bool(self.asked("expected", lambda: predicate(error)))

    def asked(self, what: str, question: Callable[[], Any]) -> Any:
        """Return what a caller's function answers; if it fails, report that and return None."""
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self._failed(what, error)
            return None

    def _failed(self, what: str, error: Exception) -> None:
        if (recorder := self.operation.recorder) is not None:
            recorder.report("function_failed", f"the function given as {what} failed: {shown(error)}")

    # The next two are alike but for one word. A context manager that both shared would cost as much as all the rest.

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self.operation.recorder is None:
                return function(*args, **kwargs)
            begun = self._begin(args, kwargs)
            if isinstance(begun, Measurement):
                with begun as measurement:
                    result = function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            begun.append(begun.started)
            start = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                begun.raised(error, time.perf_counter() - start)
                raise
            begun.append((time.perf_counter() - start, begun.duration, begun.rest))
            if len(begun.entries) > LONG:
                begun.shorten()
            return result

        return wrapper

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self.operation.recorder is None:
                return await function(*args, **kwargs)
            begun = self._begin(args, kwargs)
            if isinstance(begun, Measurement):
                with begun as measurement:
                    result = await function(*args, **kwargs)
                    measurement.returned(result)
                    return result
            begun.append(begun.started)
            start = time.perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                begun.raised(error, time.perf_counter() - start)
                raise
            begun.append((time.perf_counter() - start, begun.duration, begun.rest))
            if len(begun.entries) > LONG:
                begun.shorten()
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


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the __call__ of an object, is of this kind."""
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004 - not whether, but which


def _check(keyword: str, value: Given, declared: dict[str, Attribute]) -> None:
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
