"""Readings that serve for a while: what several readers ask at about the same time is read once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

FRESH = 0.9
"""Seconds that a reading serves. Less than a second, so that who asks every second gets a new one each time."""

Value = TypeVar("Value")


def fresh(read: Callable[[], Value], seconds: float = FRESH) -> Callable[[], Value]:
    """Return what gives the last reading while it is fresh, and else reads; in a forked child it begins anew.

    What `read` raises is raised, and not kept.
    """
    last: tuple[float, int, Value] | None = None

    def reading() -> Value:
        nonlocal last
        now, process = time.monotonic(), os.getpid()
        if last is None or now - last[0] >= seconds or last[1] != process:
            last = now, process, read()
        return last[2]

    return reading
