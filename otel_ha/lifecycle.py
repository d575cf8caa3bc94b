"""Life cycle: what the end of a process, SIGTERM and fork mean to the telemetry that runs in it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

_LAST_WORD = 1.0
"""Seconds that the main thread has to answer the second SIGTERM before the process is ended without it."""


class Flushable(Protocol):
    """What a signal is passed on to."""

    def flush(self) -> bool:
        """Push everything."""

    def shutdown(self) -> None:
        """Push everything and stop."""


class Sigterm:
    """Lets SIGTERM push the last measurements before it does what it would have done.

    The push runs in a thread of its own: the signal interrupts the main thread anywhere, perhaps where it holds a lock
    that the push needs. That thread waits from the start on: a process that is about to end may start none any more.
    """

    def __init__(self, telemetry: Flushable) -> None:
        self._telemetry = telemetry
        self._previous: Any = None
        self._ending = False
        self._tasks: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def install(self) -> bool:
        """Put itself before the handler that is there; False where that is not to be (ignored, not the main thread)."""
        if threading.current_thread() is not threading.main_thread():
            return False
        self._previous = signal.getsignal(signal.SIGTERM)
        if self._previous in (signal.SIG_IGN, None):
            return False
        self._start_thread()
        signal.signal(signal.SIGTERM, self._handle)
        return True

    def after_fork_in_child(self) -> None:
        """Start the thread anew, which the fork has left behind, if it is needed here as well."""
        if signal.getsignal(signal.SIGTERM) == self._handle:
            self._start_thread()

    def uninstall(self) -> None:
        """Put the former handler back, unless somebody else put one of their own in between."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if callable(self._previous):
            # The service, or its event loop, ends in its own time; its normal exit pushes what comes until then.
            self._tasks.put(self._telemetry.flush)
            self._previous(number, frame)
        elif self._ending:
            self._die()
        else:
            self._ending = True
            self._tasks.put(self._shut_down_and_end)

    def _shut_down_and_end(self) -> None:
        self._telemetry.shutdown()
        # Only the main thread may restore the default action; the same signal, a second time, tells it to.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_WORD)
        os._exit(128 + signal.SIGTERM)

    def _die(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def _start_thread(self) -> None:
        tasks: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._tasks = tasks

        def work() -> None:
            while True:
                tasks.get()()

        threading.Thread(target=work, name="otel-ha-sigterm", daemon=True).start()


def at_end_of_multiprocessing_child(telemetry: Flushable) -> None:
    """Shut `telemetry` down when this forked child is one of multiprocessing's and ends, which it does without atexit.

    To be called from an after-fork hook: multiprocessing forgets its finalizers first, then calls those registered for
    after the fork, and runs at the child's end the finalizers that these made.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(telemetry, lambda it: util.Finalize(None, it.shutdown, exitpriority=0))
