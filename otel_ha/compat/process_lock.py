"""Locks that a fork does not leave held."""

from __future__ import annotations

import os
import threading
import weakref


class ProcessLock:
    """A reentrant lock, and in a forked child a new one: a thread that only the parent has may hold the old one.

    ``with lock():`` holds it. Reentrant, as a signal handler may need it that interrupts the thread which holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __call__(self) -> threading.RLock:
        """Return this process's lock; who holds it releases the same one, also where it forked in between."""
        return self._lock

    def renew(self) -> None:
        """Replace it by a new one, which nobody holds."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


os.register_at_fork(after_in_child=_renew_all)
