"""Measurement: one piece of work while it is measured, and how its outcome is judged."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otel_ha.declare.amounts import cannot_record, plain_duration
from otel_ha.declare.context import current_context
from otel_ha.declare.fastpath import Ends, FastPath, Measurable
from otel_ha.declare.instruments import OTHER
from otel_ha.declare.outcome import OK, Discarded, Outcome, Way, outcome_of, way_of
from otel_ha.declare.ports import AttributeValue, shown

if TYPE_CHECKING:
    from otel_ha.declare.work_span import WorkSpan

OutcomeOf = Callable[[Any], Outcome | Discarded | None]
"""A function that judges the result of a call."""

Expected = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that are not errors: their types, or a predicate."""

NEW, RESERVED, IDLE, ENDED, STARTED, APPENDED = range(6)
"""The states of a measurement, in this order. A block that is about to start may reserve it; it is idle in a block that
starts while nothing is recorded; its start was recorded in full, or appended."""


class Judge:
    """Decides the outcome of work from its result or exception, with the functions given to measured()."""

    def __init__(self, operation: Measurable, outcome_of: OutcomeOf | None, expected: Expected) -> None:
        self._operation = operation
        self._outcome_of = outcome_of
        self._is_expected = _predicate(expected)
        self.looks_at_results = outcome_of is not None

    def way_of(self, result: object) -> Way:
        """Return how a call that returned `result` ended."""
        if self._outcome_of is None:
            return OK
        try:
            outcome = self._outcome_of(result)
            return way_of(outcome) if outcome else OK
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("outcome_of", error)
            return OK

    def ended_by(self, error: BaseException, path: FastPath, elapsed: float) -> None:
        """Record the end of a call, whose start was an append, by an exception."""
        ends, way = self.end_by(error, path, OK)
        if issubclass(type(error), GeneratorExit):  # is_of_finalizer(), in place
            ends.ended_in_full(way, elapsed, later=True)
        else:
            ends.ended(way, elapsed)

    def end_by(self, error: BaseException, ends: Ends, way: Way) -> tuple[Ends, Way]:
        """Return the end of work by an exception; `ends` and `way` are those that it would have without one."""
        if self._is_expected is not None and self._expects(self._is_expected, error):
            return ends, way
        if not issubclass(type(error), Exception):
            return ends, "cancelled"
        return ends.failed(qualified_name(type(error))), "error"

    def _expects(self, is_expected: Callable[[BaseException], object], error: BaseException) -> bool:
        """Whether an exception does not count as an error; asked each time, as a predicate may look at anything."""
        try:
            return bool(is_expected(error))
        except Exception as failure:  # noqa: BLE001 - recording never raises into the measured code
            self.failed("expected", failure)
            return False

    def got_wrong_time(self, seconds: object) -> None:
        """Report a time that is not a duration."""
        self.report("invalid_amount", cannot_record(seconds, self._operation.duration))

    def failed(self, argument: str, error: Exception) -> None:
        """Report that the function given as `argument` raised."""
        self.report("function_failed", f"the function given as {argument} failed: {shown(error)}")

    def report(self, reason: str, message: str) -> None:
        """Report a problem with the work."""
        if (recorder := self._operation.recorder) is not None:
            recorder.report(reason, message)


def _predicate(expected: Expected) -> Callable[[BaseException], object] | None:
    """Return the function that tells whether an exception is expected; None if all exceptions are errors."""
    if not isinstance(expected, type | tuple):
        return expected
    if isinstance(expected, tuple) and not expected:
        return None
    return lambda error: isinstance(error, expected)


class Measurement:
    """One piece of work while it is measured; the body of a `with measured(...)` may set its outcome and attributes.

    It measures one block: entered again, it records nothing and is reported; left without having been entered, it
    records nothing.
    """

    __slots__ = ("_begun", "_ends", "_judge", "_path", "_state", "_way")

    # new_measurement() sets these: a call of __init__() would cost a tenth of a block.
    _begun: float
    _ends: Ends
    _judge: Judge
    _path: FastPath
    _state: int
    _way: Way

    span: WorkSpan | None = None
    """The span of this work, if it has one."""

    def set(self, /, **attributes: AttributeValue | None) -> None:
        """Set attributes that became known only now; those by which work in flight is counted cannot change.

        The outcome is set by fail(), discard() and cancel().
        """
        self._ends = self._ends.late(attributes)

    def discard(self, reason: str) -> None:
        """Mark the work as given up for this reason: it counts as discarded, not as processed.

        Of several calls of discard(), fail() and cancel(), the last one counts. An exception that leaves the block
        afterwards wins; an expected one leaves the discard.
        """
        self._way = (reason,)

    def fail(self, error: str | BaseException | type[BaseException]) -> None:
        """Mark the work as failed although no exception leaves the block, with the type of error.

        An exception, or its type, counts by its qualified name, as if it left the block.
        """
        self._way = "error"
        self._ends = self._ends.failed(error if type(error) is str else _error_type(error))

    def cancel(self) -> None:
        """Mark the work as cancelled."""
        self._way = "cancelled"

    def lasted(self, seconds: float) -> None:
        """Set the time that the work took, just before it ends: it shared the time of the block with other work.

        A time that is not valid (negative, not a number) is reported, and the clock counts.
        """
        duration = plain_duration(seconds)
        if duration is not None:
            self._begun = perf_counter() - duration
        else:
            self._judge.got_wrong_time(seconds)

    def returned(self, result: object) -> None:
        """Set the outcome by a result, as the function given as `outcome_of` judges it; ok without one."""
        self._way = self._judge.way_of(result)

    def __enter__(self) -> Self:
        """Start."""
        if self._state > RESERVED:
            self._judge.report("block_reused", "a block entered again records nothing; call measured() for each block")
            return self
        path = self._path
        started = path.started
        if started is None or ((context := current_context()) and path.samples(context)):
            path.start_in_full()
            self._state = STARTED
        else:
            if len(started) > path.limit:
                path.shorten()
            started.append(None)
            self._state = APPENDED
        self._begun = perf_counter()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End; an exception passes through."""
        state, self._state = self._state, ENDED
        if state < STARTED:
            return
        elapsed = perf_counter() - self._begun
        if error is not None:
            self._end_by(error, elapsed, by_append=state is APPENDED)
            return
        if state is APPENDED:
            try:  # look_up(), in place
                end = self._ends.known.get(self._way)
            except Exception:  # noqa: BLE001 - see look_up()
                end = None
            if end is not None:
                end(elapsed)
                return
        self._ends.ended_first(self._way, elapsed)

    def _end_by(self, error: BaseException, elapsed: float, *, by_append: bool) -> None:
        # Work that started before telemetry did, or in the parent of a fork, was not counted and is not counted now.
        if not by_append and self.span is None and not self._path.is_current():
            return
        ends, way = self._ends, self._way = self._judge.end_by(error, self._ends, self._way)
        if is_of_finalizer(error):
            ends.ended_in_full(way, elapsed, later=True)
        elif by_append:
            ends.ended(way, elapsed)
        else:
            ends.ended_first(way, elapsed)


class MeasurementInSpan(Measurement):
    """A piece of work in a span; a class of its own, so that work without a span stays as cheap as it was."""

    __slots__ = ("span",)

    def __enter__(self) -> Self:
        """Open the span, and start."""
        if self._state is NEW:
            opened = self._path.open_span
            self.span = None if opened is None else opened(self._path.operation)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End, and end the span; an exception passes through."""
        if self._state < STARTED or (span := self.span) is None:
            super().__exit__(kind, error, tb)
            return
        elapsed = perf_counter() - self._begun
        span.resume()
        try:
            self.lasted(elapsed)
            super().__exit__(kind, error, tb)
        finally:
            span.finish(outcome_of(self._way), self._ends.attributes, error)


class Unmeasured(Measurement):
    """A piece of work while nothing is recorded: nothing that it does has an effect, so all share one object."""

    __slots__ = ()

    def set(self, /, **attributes: AttributeValue | None) -> None:
        """Do nothing."""

    def discard(self, reason: str) -> None:
        """Do nothing."""

    def fail(self, error: str | BaseException | type[BaseException]) -> None:
        """Do nothing."""

    def cancel(self) -> None:
        """Do nothing."""

    def lasted(self, seconds: float) -> None:
        """Do nothing."""

    def returned(self, result: object) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Do nothing; an exception passes through."""


UNMEASURED = Unmeasured()
"""The measurement of every piece of work that starts while nothing is recorded."""


def new_measurement(judge: Judge, path: FastPath) -> Measurement:
    """Return a measurement on a path, in a span while traces are on."""
    measurement = Measurement() if path.open_span is None else MeasurementInSpan()
    measurement._judge = judge
    measurement._path = measurement._ends = path
    measurement._way = OK
    measurement._state = NEW
    return measurement


def is_of_finalizer(error: BaseException) -> bool:
    """Whether a generator is closed, maybe because it is collected: wherever the garbage collector interrupts."""
    return issubclass(type(error), GeneratorExit)


def _error_type(error: Any) -> Any:
    """Return the name of an exception or of its type; anything else as it is, for the recorder to judge."""
    kind = error if issubclass(type(error), type) else type(error)
    return qualified_name(kind) if issubclass(kind, BaseException) else error


def qualified_name(kind: type) -> str:
    """Return a class's name with its module, as error.type is spelled (semantic conventions, error attributes)."""
    try:
        return f"{kind.__qualname__}" if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # noqa: BLE001 - a metaclass may do anything, and the exception has to pass through
        return OTHER
