"""The delay of the event loop: a timer every 50 ms, whose lateness goes to a histogram."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PERIOD, TOLERANCE = 0.05, 0.005


def watch(record: Callable[[float], None]) -> None:
    """Record the delay of the running loop until it ends; a block is recorded at its full length, as ours is."""
    loop = asyncio.get_running_loop()
    previous = time.perf_counter()

    def tick() -> None:
        nonlocal previous
        now = time.perf_counter()
        elapsed = now - previous
        previous = now
        late = elapsed - PERIOD
        record(elapsed if late > TOLERANCE else max(late, 0.0))
        loop.call_later(PERIOD, tick)

    loop.call_later(PERIOD, tick)
