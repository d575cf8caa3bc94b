"""Handles: what `bind()` returns, a declaration together with its attributes."""

from __future__ import annotations

from typing import Protocol

from otel_ha.recorder import Attributes, Recorder


class Records(Protocol):
    """A declaration that the measured code records to."""

    @property
    def recorder(self) -> Recorder | None:
        """What it hands its measurements to; None while it is inert."""


class _Bound:
    """A declaration and attributes that are resolved when telemetry is set up, once; inert as the declaration is."""

    __slots__ = ("_attributes", "_instrument", "_recorder", "_write")

    def __init__(self, instrument: Records, attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = attributes
        self._recorder: Recorder | None = None

    def _take(self, amount: float, /) -> None:
        """Take one measurement; never raises."""
        recorder = self._instrument.recorder
        if recorder is None:
            return
        if recorder is not self._recorder:
            self._write = recorder.bind(self._attributes)
            self._recorder = recorder
        self._write(amount)


class BoundCounter(_Bound):
    """A Counter or an UpDownCounter with its attributes."""

    add = _Bound._take


class BoundGauge(_Bound):
    """A Gauge with its attributes."""

    set = _Bound._take


class BoundHistogram(_Bound):
    """A Histogram with its attributes."""

    record = _Bound._take
