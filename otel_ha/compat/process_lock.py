"""Locks that are never held at the start of a forked child."""

from __future__ import annotations

import os
import threading
import weakref


class ProcessLock:
    """A reentrant lock that a forked child replaces: a thread that exists only in the parent may hold it.

    ``with lock():`` holds it. Reentrant, because a signal handler may interrupt the thread that holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __call__(self) -> threading.RLock:
        """Return the lock of this process; a ``with`` block releases this one even if it forks."""
        return self._lock

    def renew(self) -> None:
        """Replace the lock by a new one that is not held."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_all)
