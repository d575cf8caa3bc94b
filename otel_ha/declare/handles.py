"""Handles: what `bind()` returns, a declaration together with its attributes."""

from __future__ import annotations

from typing import Protocol

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Attributes, Line, Recorder


class Records(Protocol):
    """A declaration that the measured code records to."""

    @property
    def recorder(self) -> Recorder | None:
        """What it hands its measurements to; None while it is inert."""


class _Bound:
    """A declaration and attributes that are resolved once for each telemetry; inert as the declaration is."""

    __slots__ = ("_attributes", "_instrument", "_line")

    def __init__(self, instrument: Records, attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = attributes
        self._line: Line | None = None

    # All of it in one call: each further one is more code that has left the CPU's caches since the last event.
    def _take(self, amount: float, /) -> None:
        """Take one measurement; never raises."""
        recorder = self._instrument.recorder
        if recorder is None:
            return
        line, kind = self._line, type(amount)
        if (
            line is None
            or line.recorder is not recorder
            or not ((kind is int or kind is float) and line.least <= amount < line.most)
            or ((context := current_context()) and recorder.samples(context))
        ):
            self._take_with_care(recorder, amount)
            return
        if len(line.amounts) > line.limit:
            line.shorten()
        line.amounts.append(amount)

    def _take_with_care(self, recorder: Recorder, amount: float) -> None:
        """Take a measurement that is the first of its kind, or in a span, or that something may be wrong with."""
        line = self._line
        if line is not None and line.recorder is recorder:
            recorder.record(amount, self._attributes)
        else:
            self._line = recorder.open_line(amount, self._attributes)


class BoundCounter(_Bound):
    """A Counter or an UpDownCounter with its attributes."""

    add = _Bound._take


class BoundGauge(_Bound):
    """A Gauge with its attributes."""

    set = _Bound._take


class BoundHistogram(_Bound):
    """A Histogram with its attributes."""

    record = _Bound._take
