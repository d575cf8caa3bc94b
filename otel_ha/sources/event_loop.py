"""The delay of the event loop, measured by a timer in the loop.

The timer ticks every PERIOD. A late tick means that something blocked the loop, but its lateness understates the block
by the part before the tick was due, which can be nearly a whole period. The block cannot have begun before the previous
tick, so a late tick is recorded as the time since that one:

    late = now - previous - PERIOD
    recorded = late             if late <= TOLERANCE
               now - previous   if late > TOLERANCE

Every block longer than PERIOD + TOLERANCE makes a tick late by more than TOLERANCE, wherever it begins, and is recorded
at its full length or more: at most one PERIOD more than the block and the lateness of the timer itself. A shorter block
may lie between two ticks and remain unseen. Within TOLERANCE, the ordinary lateness of timers, about a millisecond, is
recorded unchanged.
"""

from __future__ import annotations

import contextvars
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from otel_ha.vocabulary.runtime import EVENT_LOOP_DELAY

# A service without a loop should not load asyncio: that is slow.
if TYPE_CHECKING:
    import asyncio

PERIOD = 0.05
"""Seconds between two ticks. Their main cost is 20 wake-ups a second of an idle loop; a busy loop is awake anyway."""

TOLERANCE = 0.005
"""Seconds by which a tick may be late without indicating a block."""

TOGETHER = 20
"""Ticks that are recorded at once, unless one is late: single records find cold caches and cost ten times as much."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop running in this thread, or None."""
    loaded: Any = sys.modules.get("asyncio")
    if loaded is None:
        return None
    try:
        loop: asyncio.AbstractEventLoop = loaded.get_running_loop()
    except RuntimeError:  # none is running
        return None
    return loop


def watch_event_loop(loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Record the delay of `loop` (default: the running one) in EVENT_LOOP_DELAY; return a function that stops that.

    Both can be called from any thread. Without a loop, or if it is closed, nothing happens. The time that a loop is
    stopped between two runs counts as blocked. Watching a loop ends an earlier watch of it.
    """
    loop = loop or running_loop()
    try:
        return _Watch(loop).stop if loop else lambda: None
    except RuntimeError:  # the loop is closed
        return lambda: None


@contextmanager
def watched_run(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Record the delay of a loop that the block runs in this thread; the time between two runs is not blocked."""
    try:
        watch = _Watch(loop)
    except Exception:  # noqa: BLE001 - it is closed, or a class of its own that refuses; the program sees that
        yield
        return
    try:
        yield
    finally:
        watch.finish()


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()
"""The watch of each loop: two would record each delay twice."""


class _Watch:
    """A timer that ticks in a loop until it is stopped; not a task, because a closing loop reports pending tasks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stopped = False
        self._previous = 0.0
        self._delays: list[float] = []
        if (earlier := _watches.get(loop)) is not None:
            earlier.stop()
        _watches[loop] = self
        # An empty context: the caller's would keep its span and other values alive as long as the loop.
        self._context = contextvars.Context()
        loop.call_soon_threadsafe(self._start, context=self._context)

    def stop(self) -> None:
        """Stop at the next tick; ticks on time since the last record are lost."""
        self._stopped = True

    def finish(self) -> None:
        """Stop, and record the ticks since the last record; for the thread of the loop, when that has ended."""
        if not self._stopped:
            self._stopped = True
            self._record()

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
        self._delays.append(elapsed if late > TOLERANCE else max(late, 0.0))
        if late > TOLERANCE or len(self._delays) >= TOGETHER:
            self._record()
        self._schedule()

    def _record(self) -> None:
        for delay in self._delays:
            EVENT_LOOP_DELAY.record(delay)
        self._delays.clear()

    def _schedule(self) -> None:
        # The watch does not hold the loop, which would keep it in memory: each tick looks up the running one.
        if loop := running_loop():
            loop.call_later(PERIOD, self._tick, context=self._context)
