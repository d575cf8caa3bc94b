"""Scales of charts: the units of their values, and the round values that an axis names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from otel_ha.serve.summary import words

__all__ = ["BYTES_PER_SECOND", "MILLISECONDS", "PERCENT", "PER_SECOND", "SHARE", "Axis", "Unit", "axis", "round_step"]

INTERVALS = 4
"""The most intervals between the round values of an axis."""

_SMALLEST = 1e-12
"""Everything below is drawn as zero: steps of an axis shall not underflow."""

_LARGEST = 1e300
"""Everything beyond is drawn here: sums of coordinates shall not overflow."""

_WITHOUT_EXPONENT = 1e12

_MANTISSAS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a chart's values: how one is shown in words, and which multiples of it an axis has.

    multiples: sizes in units of the values, with their names, largest first.
    least_top: the axis reaches at least this value.
    """

    show: Callable[[float | None], str]
    multiples: tuple[tuple[float, str], ...]
    least_top: float = 0.0


PER_SECOND = Unit(words.rate, ((1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")))
MILLISECONDS = Unit(
    lambda value: words.duration(None if value is None else value / 1000),
    ((3_600_000.0, " h"), (60_000.0, " min"), (1000.0, " s"), (1.0, " ms"), (1e-3, " µs")),
)
PERCENT = Unit(words.percent, ((1.0, " %"),), least_top=100.0)
SHARE = Unit(words.share, ((0.01, " %"),), least_top=1.0)
BYTES_PER_SECOND = Unit(
    lambda value: words.NOTHING if value is None else f"{words.size(value)}/s",
    ((2.0**30, " GiB/s"), (2.0**20, " MiB/s"), (2.0**10, " KiB/s"), (1.0, " B/s")),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """The range of an axis, and its ticks: round values, ascending, that cover the range, each with its text."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Return where a value is between low (0) and high (1), one outside at the nearer end."""
        return min(1.0, max(0.0, (clamped(value) - self.low) / (self.high - self.low)))


def axis(values: list[float], unit: Unit) -> Axis:
    """Return the axis for these values, from zero, or from below the least negative one."""
    top = clamped(max(values, default=0.0))
    bottom = clamped(min(0.0, min(values, default=0.0)))
    top = max(top, unit.least_top, 0.0)
    if top - bottom < _SMALLEST:
        top, bottom = 1.0, 0.0
    extent = max(top, -bottom)
    size, name = next((each for each in unit.multiples if each[0] <= extent), unit.multiples[-1])
    step = round_step((top - bottom) / size / INTERVALS)
    first, last = math.floor(bottom / size / step), math.ceil(top / size / step - 1e-9)
    ticks = tuple((number * step * size, _text(number * step, name)) for number in range(first, last + 1))
    return Axis(ticks[0][0], ticks[-1][0], ticks)


def round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below this positive number."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((each * power for each in _MANTISSAS if each * power >= least * (1 - 1e-9)), 10 * power)


def clamped(value: float) -> float:
    """Return a value without the digits and sizes that a drawing cannot show."""
    if abs(value) < _SMALLEST:
        return 0.0
    return min(_LARGEST, max(-_LARGEST, value))


def _text(value: float, unit: str) -> str:
    """Return a round value with its unit, zero without one."""
    if value == 0:
        return "0"
    text = f"{value:,.6f}" if 1 <= abs(value) < _WITHOUT_EXPONENT else f"{value:.6g}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text and 'e' not in text else text}{unit}"
