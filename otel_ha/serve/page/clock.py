"""Clock times on the page: those of the service's own time zone, which is stated beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["time_ticks", "times_of_day", "zone_at", "zone_name"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * step for step in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * step for step in (1, 2, 3, 6, 12)),
    *(_DAY * step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)
"""Seconds between two ticks."""

_MONTHS = 60 * _DAY


def zone_at(time: float) -> timezone:
    """Return the offset of the service's time zone at a time, in seconds since the epoch.

    A chart has one offset, that of its newest time: its clock does not jump when summer time ends.
    """
    try:
        return timezone(datetime.fromtimestamp(time, UTC).astimezone().utcoffset() or timedelta())
    except (OverflowError, OSError, ValueError):
        return UTC


def zone_name(zone: timezone) -> str:
    """Return an offset as people write it: UTC, UTC+1, UTC-3:30."""
    seconds = round(zone.utcoffset(None).total_seconds())
    hours, minutes = divmod(abs(seconds) // _MINUTE, _MINUTE)
    if not hours and not minutes:
        return "UTC"
    return f"UTC{'+' if seconds > 0 else '-'}{hours}{f':{minutes:02}' if minutes else ''}"


def times_of_day(times: Sequence[float], zone: timezone) -> list[str]:
    """Return the clock times of times, which ascend; with the date if they are not of one day."""
    days = {_shown(time, zone, "%F") for time in (*times[:1], *times[-1:])}
    form = "%H:%M:%S" if len(days) <= 1 else "%-d %b %H:%M:%S"
    return [_shown(time, zone, form) for time in times]


def time_ticks(low: float, high: float, zone: timezone, most: int = 5) -> list[tuple[float, str]]:
    """Return at most so many round clock times within a range, ascending, each with its text.

    Midnight has the date as its text.
    """
    step = next((step for step in _STEPS if (high - low) / step <= most - 1), 0)
    if not step:
        return []
    offset = zone.utcoffset(None).total_seconds()
    first = math.ceil((low + offset) / step)
    last = math.floor((high + offset) / step)
    times = [number * step - offset for number in range(first, last + 1)]
    return [(time, _shown(time, zone, _form(time + offset, step))) for time in times]


def _shown(time: float, zone: timezone, form: str) -> str:
    """Return a time in seconds since the epoch in a form; the number itself if no calendar has it."""
    try:
        return datetime.fromtimestamp(time, zone).strftime(form)
    except (OverflowError, OSError, ValueError):
        return f"{time:.3g}"


def _form(local: float, step: int) -> str:
    if step > _MONTHS:
        return "%b %Y"
    if local % _DAY == 0 and step >= _MINUTE:
        return "%-d %b"
    return "%H:%M:%S" if step < _MINUTE else "%H:%M"
