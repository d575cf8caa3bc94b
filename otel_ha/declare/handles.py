"""Handles: the objects that `bind()` returns, a declaration together with its attributes."""

from __future__ import annotations

from typing import Protocol

from otel_ha.declare.context import current_context
from otel_ha.declare.ports import Attributes, Line, Recorder


class Records(Protocol):
    """A declaration that the measured code records to."""

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


class BoundCounter(_Handle):
    """A Counter or an UpDownCounter with its attributes."""

    add = _Handle._record


class BoundGauge(_Handle):
    """A Gauge with its attributes."""

    set = _Handle._record


class BoundHistogram(_Handle):
    """A Histogram with its attributes."""

    record = _Handle._record
