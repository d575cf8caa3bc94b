"""The event loop: how late it is.

A timer ticks in the loop every PERIOD. A tick that comes late was kept waiting by something that blocked the loop; how
late it is understates the block by the part that lay before the tick was due, which can be nearly a whole period. The
block cannot have begun before the previous tick, though, so a late tick is recorded as the time since that one:

    late = now - previous - PERIOD
    recorded = late             where late <= TOLERANCE
               now - previous   where late > TOLERANCE

Every block longer than PERIOD + TOLERANCE makes a tick late by more than TOLERANCE, wherever it begins, and is recorded
at its full length or more: at the most one PERIOD more than the block and the lateness of the timer itself. A shorter
block may lie between two ticks and go unseen. TOLERANCE is there so that the ordinary lateness of timers, about a
millisecond, is recorded as what it is.
"""

from __future__ import annotations

import contextvars
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otel_ha.vocabulary.runtime import EVENT_LOOP_DELAY

# A service without a loop need not load asyncio: that is slow.
if TYPE_CHECKING:
    import asyncio

PERIOD = 0.05
"""Seconds between two ticks. Nearly all that they cost is the 20 wake-ups a second of a loop that has nothing to do; a
busy loop is awake anyway."""

TOLERANCE = 0.005
"""Seconds by which a tick may be late without being taken for the end of a block."""

TOGETHER = 20
"""Ticks that are recorded at once, unless one is late: a record by itself, now and then, finds no cache warm and costs
ten times what it does in a row."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    loaded: Any = sys.modules.get("asyncio")
    if loaded is None:
        return None
    try:
        loop: asyncio.AbstractEventLoop = loaded.get_running_loop()
    except RuntimeError:  # none is running
        return None
    return loop


def watch_event_loop(loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Measure the delay of `loop` (default: the running one) into EVENT_LOOP_DELAY; returns what ends that.

    It can be called, and ended, from any thread. Where no loop runs and none is given, or it is closed, nothing
    happens. Time in which a loop is stopped between two runs counts as blocked.
    """
    loop = loop or running_loop()
    try:
        return _Watch(loop).stop if loop else lambda: None
    except RuntimeError:  # it is closed
        return lambda: None


class _Watch:
    """A timer that ticks in a loop until it is stopped; no task, so a loop that closes has nothing to complain of."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stopped = False
        self._previous = 0.0
        self._kept: list[float] = []
        # An empty context: the caller's would keep its span, and whatever else it holds, alive as long as the loop.
        self._context = contextvars.Context()
        loop.call_soon_threadsafe(self._start, context=self._context)

    def stop(self) -> None:
        """End it at the next tick; what was on time since the last record is lost."""
        self._stopped = True

    def _start(self) -> None:
        self._previous = time.perf_counter()
        self._schedule()

    def _tick(self) -> None:
        if self._stopped:
            return
        now = time.perf_counter()
        elapsed = now - self._previous
        self._previous = now
        late = elapsed - PERIOD
        self._kept.append(elapsed if late > TOLERANCE else max(late, 0.0))
        if late > TOLERANCE or len(self._kept) >= TOGETHER:
            for delay in self._kept:
                EVENT_LOOP_DELAY.record(delay)
            self._kept.clear()
        self._schedule()

    def _schedule(self) -> None:
        # The watch holds no loop, so that it keeps none in memory: a tick asks for the one it runs in.
        if loop := running_loop():
            loop.call_later(PERIOD, self._tick, context=self._context)
