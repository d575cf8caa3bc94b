"""Figures in words for people, as the status page and the command line show them: with units, three digits, or a dash.

None and NaN, for figures that are not measured or not known, are a dash.
"""

from __future__ import annotations

import math
from typing import TypeGuard

__all__ = ["NOTHING", "count", "duration", "percent", "rate", "share", "size"]

NOTHING = "-"
"""Stands for a figure that is not measured or not known."""

_MINUTE = 60.0
_THREE_DIGITS = 100
_DURATIONS = ((86_400.0, "d"), (3600.0, "h"), (_MINUTE, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SIZES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


def count(value: float | None) -> str:
    """Return a number of things, with commas between thousands."""
    return f"{value:,.0f}" if _is_known(value) else NOTHING


def rate(value: float | None, of: str = "") -> str:
    """Return a number per second: 12.3/s, or 12.3 events/s."""
    return f"{_number(value)}{' ' if of else ''}{of}/s" if _is_known(value) else NOTHING


def share(value: float | None) -> str:
    """Return a share from 0 to 1 in percent."""
    return percent(100 * value) if _is_known(value) else NOTHING


def percent(value: float | None) -> str:
    """Return a number of percent."""
    return f"{_number(value)} %" if _is_known(value) else NOTHING


def duration(seconds: float | None) -> str:
    """Return a time in a suitable unit, of days to microseconds; from a minute on, in two: 3 h 20 min, or 3 h."""
    if not _is_known(seconds):
        return NOTHING
    for index, (unit, name) in enumerate(_DURATIONS):
        if abs(seconds) >= unit:
            if unit < _MINUTE:
                return f"{_number(seconds / unit)} {name}"
            whole, rest = divmod(abs(seconds), unit)
            smaller, its_name = _DURATIONS[index + 1]
            sign = "-" if seconds < 0 else ""
            more = f" {floored} {its_name}" if (floored := math.floor(rest / smaller)) else ""
            return f"{sign}{whole:.0f} {name}{more}"
    return "0 s"


def size(value: float | None) -> str:
    """Return a number of bytes, in multiples of 1,024."""
    if not _is_known(value):
        return NOTHING
    for unit, name in _SIZES:
        if abs(value) >= unit:
            return f"{_number(value / unit)} {name}"
    return f"{_number(value)} B"


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _number(value: float) -> str:
    """Return three digits, or all digits before the point."""
    if abs(value) >= _THREE_DIGITS:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text else text
