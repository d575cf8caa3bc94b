"""Life cycle: a last push on SIGTERM, and at the end of multiprocessing's children."""

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
"""Seconds that the main thread has to handle the second SIGTERM before the process ends without it."""


class Flushable(Protocol):
    """An object that is flushed or shut down when a signal arrives."""

    def flush(self) -> bool:
        """Push everything."""

    def shutdown(self) -> None:
        """Push everything and stop."""


class Sigterm:
    """Makes SIGTERM push the last measurements before its previous action.

    The push runs in its own thread: the signal interrupts the main thread anywhere, perhaps while it holds a lock that
    the push needs. That thread is started early, because a process can start no threads at its end.
    """

    def __init__(self, telemetry: Flushable) -> None:
        self._telemetry = telemetry
        self._previous: Any = None
        self._ending = False
        self._tasks: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def install(self) -> bool:
        """Insert itself before the present handler; return False if the signal is ignored, or in another thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        self._previous = signal.getsignal(signal.SIGTERM)
        if self._previous in (signal.SIG_IGN, None):
            return False
        self._start_thread()
        signal.signal(signal.SIGTERM, self._handle)
        return True

    def after_fork_in_child(self) -> None:
        """Start the thread again, which the fork has left behind, if it is needed here as well."""
        if signal.getsignal(signal.SIGTERM) == self._handle:
            self._start_thread()

    def uninstall(self) -> None:
        """Restore the previous handler, unless other code has installed one since."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if callable(self._previous):
            # The service, or its event loop, ends in its own time; its normal exit pushes later measurements.
            self._tasks.put(self._telemetry.flush)
            self._previous(number, frame)
        elif self._ending:
            self._die()
        else:
            self._ending = True
            self._tasks.put(self._shut_down_and_end)

    def _shut_down_and_end(self) -> None:
        self._telemetry.shutdown()
        # Only the main thread can restore the default action; the same signal, a second time, makes it do so.
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
    """Shut `telemetry` down when this forked child of multiprocessing ends, which happens without atexit.

    To be called from an after-fork hook: multiprocessing first forgets its finalizers, then calls its own after-fork
    hooks, and at the child's end runs the finalizers that these made.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(telemetry, lambda it: util.Finalize(None, it.shutdown, exitpriority=0))
