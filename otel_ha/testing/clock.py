"""Clock: the time of captured telemetry, which a test sets."""

from __future__ import annotations

import time
from collections.abc import Callable

from otel_ha.history.store import Moment


class Clock:
    """The time by which series expire and the history dates its collections; it stands still until a test moves it."""

    def __init__(self) -> None:
        self._timestamp = time.time()
        self._seconds = 0.0
        self._moved: Callable[[], object] = lambda: None

    def now(self) -> Moment:
        """Return the current moment."""
        return Moment(self._timestamp + self._seconds, self._seconds)

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._seconds += seconds
