"""Measurement: one piece of work while it is measured, and how its outcome is judged."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otel_ha.declare.fastpath import FastPath
from otel_ha.declare.instruments import OTHER
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import Attributes, AttributeValue, shown

if TYPE_CHECKING:
    from otel_ha.declare.work_span import WorkSpan

OutcomeOf = Callable[[Any], Outcome | Discarded | None]
"""A function that judges the result of a call."""

Expected = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that are not errors: their types, or a predicate."""


class Judge:
    """Decides the outcome of work from its result or exception, with the functions given to measured()."""

    def __init__(self, operation: Operation, outcome_of: OutcomeOf | None, expected: Expected) -> None:
        self._operation = operation
        self._outcome_of = outcome_of
        self._expected = expected
        self.looks_at_results = outcome_of is not None

    def outcome_of(self, result: object) -> Outcome | Discarded:
        """Return the outcome of a call that returned `result`."""
        if self._outcome_of is None:
            return OK
        try:
            return self._outcome_of(result) or OK
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("outcome_of", error)
            return OK

    def expects(self, error: BaseException) -> bool:
        """Whether an exception does not count as an error."""
        try:
            if isinstance(self._expected, type | tuple):
                return isinstance(error, self._expected)
            return bool(self._expected(error))
        except Exception as failure:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("expected", failure)
            return False

    def failed(self, argument: str, error: Exception) -> None:
        """Report that the function given as `argument` raised."""
        if (recorder := self._operation.recorder) is not None:
            recorder.report("function_failed", f"the function given as {argument} failed: {shown(error)}")


class Measurement:
    """One piece of work while it is measured; the body of a `with measured(...)` may set its outcome and attributes."""

    __slots__ = ("_at_end", "_begun", "_by_append", "_judge", "_outcome", "_path")

    span: WorkSpan | None = None
    """The span of this work, if it has one."""

    def __init__(self, judge: Judge, path: FastPath) -> None:
        self._judge = judge
        self._path = path
        self._at_end: Attributes = path.attributes
        self._outcome: Outcome | Discarded = OK
        self._by_append = False

    def set(self, /, **attributes: AttributeValue | None) -> None:
        """Set attributes that became known only now; those by which work in flight is counted cannot change."""
        path = self._path
        self._at_end = {**self._at_end, **path.operation.late(path.attributes, attributes)}

    def discard(self, reason: str) -> None:
        """Mark the work as given up for this reason: it counts as discarded, not as processed.

        Of several calls of discard(), fail() and cancel(), the last one counts.
        """
        self._outcome = Discarded(reason)

    def fail(self, error_type: str) -> None:
        """Mark the work as failed although no exception leaves the block."""
        self._outcome = "error"
        self._at_end = {**self._at_end, "error_type": error_type}

    def cancel(self) -> None:
        """Mark the work as cancelled."""
        self._outcome = "cancelled"

    def lasted(self, seconds: float) -> None:
        """Set the time that the work took, just before it ends: it shared the time of the block with other work."""
        self._begun = perf_counter() - seconds

    def returned(self, result: object) -> None:
        """Set the outcome by the result of the measured call."""
        self._outcome = self._judge.outcome_of(result)

    def __enter__(self) -> Self:
        """Start."""
        self._by_append = self._path.start()
        self._begun = perf_counter()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End; an exception passes through."""
        elapsed = perf_counter() - self._begun
        path = self._path
        if error is not None:
            self.ended_by(error, elapsed)
        elif self._at_end is not path.attributes:
            self._ended(elapsed)
        elif self._by_append:
            path.ended(self._outcome, elapsed)
        else:
            path.ended_first(self._outcome, elapsed)

    def ended_by(self, error: BaseException, elapsed: float) -> None:
        """Record the end by an exception."""
        # Work that started before telemetry did, or in the parent of a fork, was not counted and is not counted now.
        if self.span is None and not self._path.is_current():
            return
        if not self._judge.expects(error):
            if isinstance(error, Exception):
                self.fail(qualified_name(type(error)))
            else:
                self.cancel()
        # A generator that is collected half-read is closed wherever the garbage collector happens to interrupt.
        self._ended(elapsed, later=isinstance(error, GeneratorExit))

    def _ended(self, elapsed: float, *, later: bool = False) -> None:
        path = self._path
        if path.is_current():
            path.operation.ended(self._outcome, elapsed, at_start=path.attributes, at_end=self._at_end, later=later)


class MeasurementInSpan(Measurement):
    """A piece of work in a span; a class of its own, so that work without a span stays as cheap as it was."""

    __slots__ = ("span",)

    def __enter__(self) -> Self:
        """Open the span, and start."""
        opened = self._path.open_span
        self.span = None if opened is None else opened(self._path.operation)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End, and end the span; an exception passes through."""
        elapsed, span = perf_counter() - self._begun, self.span
        if span is None:
            super().__exit__(kind, error, tb)
            return
        span.resume()
        try:
            self.lasted(elapsed)
            super().__exit__(kind, error, tb)
        finally:
            span.finish(self._outcome, self._at_end, error)


def new_measurement(judge: Judge, path: FastPath) -> Measurement:
    """Return a measurement on a path, in a span while traces are on."""
    return Measurement(judge, path) if path.open_span is None else MeasurementInSpan(judge, path)


def qualified_name(kind: type) -> str:
    """Return a class's name with its module, as error.type is spelled (semantic conventions, error attributes)."""
    try:
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # noqa: BLE001 - a metaclass may do anything, and the exception has to pass through
        return OTHER
