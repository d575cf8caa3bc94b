"""Handles: the objects that `bind()` returns, a declaration together with its attributes."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Protocol, TypeVar, cast

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Attributes, Line, Recorder, call_of

Verb = TypeVar("Verb", bound=Callable[..., None])


class Records(Protocol):
    """A declaration that the measured code records to."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def recorder(self) -> Recorder | None:
        """Its recorder; None while it is inert."""


class _Handle:
    """A declaration with attributes that are resolved once per telemetry; inert while the declaration is."""

    __slots__ = ("_attributes", "_instrument", "_line")

    def __init__(self, instrument: Records, attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = attributes
        self._line: Line | None = None

    def __repr__(self) -> str:
        instrument = self._instrument
        return f"{type(instrument).__name__}({instrument.name}).{call_of('bind', self._attributes)}"

    # All in one call: every further call is more code that has left the CPU's caches since the last event.
    def _record(self, amount: float, /) -> None:
        """Record one measurement; never raises."""
        recorder = self._instrument.recorder
        if recorder is None:
            return
        line, kind = self._line, type(amount)
        if (
            line is None
            or line.recorder is not recorder
            or not ((kind is int or kind is float) and line.least <= amount < line.most)
            or ((context := current_context()) and line.samples(context))
        ):
            self._record_in_full(recorder, amount)
            return
        if len(line.amounts) > line.limit:
            line.shorten()
        line.amounts.append(amount)

    def _record_in_full(self, recorder: Recorder, amount: float) -> None:
        """Record a measurement that is the first one, in a sampled span, or possibly wrong."""
        line = self._line
        if (line is not None and line.recorder is recorder) or (fast := recorder.fast) is None:
            recorder.record(amount, self._attributes)
        else:
            self._line = fast.open_line(amount, self._attributes)


def _named(verb: Verb, name: str, text: str) -> Verb:
    """Return a copy of a verb that has a name and a docstring of its own, but does not cost a further call."""
    own = FunctionType(verb.__code__, verb.__globals__, name.rpartition(".")[2])
    own.__qualname__, own.__doc__, own.__annotations__ = name, text, verb.__annotations__
    return cast("Verb", own)


class BoundCounter(_Handle):
    """A Counter or an UpDownCounter with its attributes."""

    __slots__ = ()

    add = _named(_Handle._record, "BoundCounter.add", "Add an amount; a counter's is at least 0. Never raises.")


class BoundGauge(_Handle):
    """A Gauge with its attributes."""

    __slots__ = ()

    set = _named(_Handle._record, "BoundGauge.set", "Make an amount the value; never raises.")


class BoundHistogram(_Handle):
    """A Histogram with its attributes."""

    __slots__ = ()

    record = _named(_Handle._record, "BoundHistogram.record", "Record an amount (at least 0); never raises.")
