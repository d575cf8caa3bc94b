"""Measurement: one piece of work that is being measured, and how its end is judged."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import Attributes, AttributeValue, shown
from otel_ha.measure.fastpath import FastPath

OutcomeOf = Callable[[Any], Outcome | Discarded | None]
"""What judges the result of a call."""

Expected = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that are no error: their types, or a predicate."""


class Judge:
    """Says what became of work, by what its caller said of results and exceptions."""

    def __init__(self, operation: Operation, outcome_of: OutcomeOf | None, expected: Expected) -> None:
        self._operation = operation
        self._outcome_of = outcome_of
        self._expected = expected
        self.looks_at_results = outcome_of is not None

    def judged(self, result: object) -> Outcome | Discarded:
        """Return the outcome of a call that returned this."""
        if self._outcome_of is None:
            return OK
        try:
            return self._outcome_of(result) or OK
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("outcome_of", error)
            return OK

    def expects(self, error: BaseException) -> bool:
        """Whether this exception is none that counts as an error."""
        if isinstance(self._expected, type | tuple):
            return isinstance(error, self._expected)
        try:
            return bool(self._expected(error))
        except Exception as failure:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("expected", failure)
            return False

    def failed(self, what: str, error: Exception) -> None:
        """Report that a function of the caller's failed; `what` is what it was given as."""
        if (recorder := self._operation.recorder) is not None:
            recorder.report("function_failed", f"the function given as {what} failed: {shown(error)}")


class Measurement:
    """One piece of work that is being measured; the body of a `with measured(...)` may say how it ended."""

    __slots__ = ("_at_end", "_begun", "_by_append", "_judge", "_outcome", "_track")

    def __init__(self, judge: Judge, track: FastPath) -> None:
        self._judge = judge
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
        self._outcome = self._judge.judged(result)

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
        if not self._judge.expects(error):
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


def _qualified_name(kind: type) -> str:
    """Return a class's name with its module, as error.type is spelled (semantic conventions, error attributes)."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
