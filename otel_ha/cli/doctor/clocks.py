"""Clocks: whether two machines agree about the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from otel_ha.cli.doctor.step import Result, Step
from otel_ha.serve.summary import words

_EXACT: Final = 1.0
"""Seconds that are shown as none: the header Date has no smaller unit."""

__all__ = ["TOLERANCE", "clock_step", "of_date"]

TOLERANCE: Final = 30.0
"""Seconds by which clocks may differ: Prometheus accepts samples that are a little late or early."""


def of_date(header: str | None) -> float | None:
    """Return the time that the header Date states, in seconds since the epoch; None if it states none."""
    try:
        moment = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clock_step(step: Callable[..., Step], whose: str, there: float, here: float) -> Step:
    """Return the step that compares the time `there` with the time `here`, both read at the same moment."""
    ahead = there - here
    differs = abs(ahead) > TOLERANCE
    by = f"{words.duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    agrees = abs(ahead) < _EXACT
    return step(
        result=Result.FINDING if differs else Result.OK,
        found=f"the clock of {whose} {'agrees with this one, to a second' if agrees else f'is {by}'}",
        cause="clock_differs" if differs else "",
        remedy="synchronize both clocks (NTP; timedatectl shows the state): samples from another time are refused, or "
        "land where nobody looks"
        if differs
        else "",
        facts={"ahead": ahead},
    )
