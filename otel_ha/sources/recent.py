"""Recent: one reading for the collections of several readers.

A scrape, a push and the history collect separately, often within the same second, and each of them would pay for a
reading. Amounts may be shared: they are a little older, and no less true.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")

LIFETIME = 0.5
"""Seconds that amounts are shared: if two readers collect every second, one of them finds the other's reading."""


class Recent(Generic[Result]):
    """Calls `read`, and returns its result again for `lifetime` seconds; a forked child reads for itself.

    An exception passes through, and the next call reads again.
    """

    def __init__(self, read: Callable[[], Result], lifetime: float = LIFETIME) -> None:
        self._read = read
        self._lifetime = lifetime
        self._last: tuple[float, int, Result] | None = None
        """Time and process of the last reading, and its result."""

    def __call__(self) -> Result:
        """Return the recent reading."""
        now, process, last = time.monotonic(), os.getpid(), self._last
        if last is not None and last[1] == process and now - last[0] < self._lifetime:
            return last[2]
        result = self._read()
        self._last = now, process, result
        return result
