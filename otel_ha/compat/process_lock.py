"""Locks that are never held at the start of a forked child, and for which no thread waits for ever."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from otel_ha.turn import PATIENCE


class ProcessLock:
    """A reentrant lock that a forked child replaces: a thread that exists only in the parent may hold it.

    ``with lock():`` holds it. Reentrant, because a signal handler may interrupt the thread that holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock of this process for a block, even if it forks.

        After PATIENCE seconds, the block goes on without it: the thread that holds it may be interrupted by a handler
        that waits for this thread, or wait for a lock that this thread has.
        """
        lock = self._lock
        is_held = False
        try:
            is_held = lock.acquire(timeout=PATIENCE)
            yield
        finally:
            if is_held:
                lock.release()

    def renew(self) -> None:
        """Replace the lock by a new one that is not held."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_all)
