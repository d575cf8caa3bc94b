"""Clock: the time of captured telemetry, which a test sets."""

from __future__ import annotations

import math
import time
import weakref
from datetime import UTC, datetime

from otel_ha.declare.plain import plain_number
from otel_ha.declare.ports import shown
from otel_ha.errors import TelemetryError
from otel_ha.history.reader import HistoryReader
from otel_ha.history.store import Moment
from otel_ha.telemetry import running_telemetry

_LATEST = datetime(3000, 1, 1, tzinfo=UTC).timestamp()
"""The end of time: a moment in milliseconds or nanoseconds, which a test has mistaken for seconds, is after it."""


class Clock:
    """The time by which series expire and the history dates its collections; it stands still until a test moves it.

    It begins at `start`, a date with its time zone or seconds since the epoch; by default, now. While it moves, the
    history collects whenever its interval ends. The program under test does not see it: durations remain real.
    """

    def __init__(self, start: datetime | float | None = None) -> None:
        self._timestamp = time.time() if start is None else _timestamp(start)
        if not 0 <= self._timestamp <= _LATEST:
            raise TelemetryError(f"the clock cannot begin at {start}; allowed: from 1970 to the year 2999")
        self._seconds = 0.0
        self._due: weakref.WeakKeyDictionary[HistoryReader, float] = weakref.WeakKeyDictionary()

    def now(self) -> Moment:
        """Return the current moment: seconds since the epoch, and seconds of a monotonic clock."""
        return Moment(self._timestamp + self._seconds, self._seconds)

    def set(self, moment: datetime | float) -> None:
        """Move the time forward to a date with its time zone, or to seconds since the epoch."""
        self._move(_timestamp(moment) - self._timestamp, f"to {moment}")

    def advance(self, seconds: float) -> None:
        """Move the time forward by this many seconds."""
        if plain_number(seconds) is None:
            raise TelemetryError(f"the clock cannot move by {shown(seconds)}; allowed: a number of seconds, such as 60")
        self._move(self._seconds + float(seconds), f"by {seconds} seconds")

    def _move(self, seconds: float, how: str) -> None:
        """Move to `seconds` since the clock was made, and collect on the way."""
        if not self._seconds <= seconds <= _LATEST - self._timestamp:
            now = datetime.fromtimestamp(self.now().timestamp, UTC)
            raise TelemetryError(f"the clock is at {now}; it cannot move {how}, only forward, until the year 2999")
        while (reader := _running()) is not None and (due := self._next(reader, seconds)) <= seconds:
            self._seconds = due
            self._due[reader] = due + reader.history.interval
            reader.collect_and_store()
        self._seconds = seconds

    def _next(self, reader: HistoryReader, seconds: float) -> float:
        """Return when a history collects next; it leaves out collections that it would forget before `seconds`."""
        length, interval = reader.history.length, reader.history.interval
        due = self._due.setdefault(reader, self._seconds + interval)
        due += max(int((seconds - due) / interval) - length, 0) * interval
        # Intervals such as 0.1 do not add up exactly.
        return seconds if math.isclose(due, seconds, rel_tol=1e-12, abs_tol=interval * 1e-6) else due


def _running() -> HistoryReader | None:
    """Return the reader of the running history."""
    telemetry = running_telemetry()
    return None if telemetry is None or telemetry.pipeline is None else telemetry.pipeline.history


def _timestamp(moment: datetime | float) -> float:
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise TelemetryError(f"the date {moment} has no time zone; add one, such as tzinfo=UTC")
    if isinstance(moment, datetime):
        return moment.timestamp()
    if plain_number(moment) is None:
        raise TelemetryError(
            f"the moment is {shown(moment)}; allowed: a date with its time zone, or seconds since 1970"
        )
    return float(moment)
