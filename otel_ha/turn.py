"""Turn: a lock for telemetry's own work that never makes a thread wait for itself.

A signal handler, or a finalizer that the garbage collector runs, interrupts a thread anywhere, perhaps while it holds a
lock. If it then waited for that lock, the thread would wait for ever. So a thread that has a turn is refused another
one, and is_working() tells code that is about to wait for telemetry whether it would wait for its own thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds to wait for work of microseconds: its thread may be interrupted by a handler that waits for this one."""


class _Thread(threading.local):
    """The telemetry's own work in this thread: how much is under way, and the actions that follow it."""

    def __init__(self) -> None:
        self.depth = 0
        self.later: list[Callable[[], object]] = []


_thread = _Thread()


class Turn:
    """A lock that a thread takes, unless it has it already."""

    def __init__(self) -> None:
        # Reentrant, so that only the thread that has the turn finds it taken.
        self._lock = threading.RLock()
        self._is_taken = False

    def take(self, timeout: float = -1) -> bool:
        """Take the turn and return True; return False if this thread has it, or another one for `timeout` seconds."""
        if not self._lock.acquire(timeout=timeout):
            return False
        if self._is_taken:
            self._lock.release()
            return False
        self._is_taken = True
        _thread.depth += 1
        return True

    def give_back(self) -> None:
        """End the turn."""
        self._is_taken = False
        self._lock.release()
        _end()

    @contextmanager
    def taken(self, timeout: float = -1) -> Iterator[bool]:
        """Take the turn for a block, which is given whether that worked; see take()."""
        is_mine = self.take(timeout)
        try:
            yield is_mine
        finally:
            if is_mine:
                self.give_back()


@contextmanager
def working() -> Iterator[None]:
    """Mark a block as telemetry's own work, during which this thread must not wait for telemetry."""
    _thread.depth += 1
    try:
        yield
    finally:
        _end()


def is_working() -> bool:
    """Whether this thread is in the middle of telemetry's own work, so that a handler interrupts it."""
    return _thread.depth > 0


def after_own_work(action: Callable[[], object]) -> None:
    """Call `action` now or, in a handler that interrupts telemetry's own work, as soon as that work is done."""
    if is_working():
        _thread.later.append(action)
    else:
        action()


def after_fork_in_child() -> None:
    """Forget the work in which a handler has forked this child: it belongs to the parent."""
    _thread.depth = 0
    _thread.later.clear()


def _end() -> None:
    _thread.depth = max(_thread.depth - 1, 0)  # 0 already in a child that a handler has forked
    while _thread.depth == 0 and _thread.later:
        _thread.later.pop(0)()
