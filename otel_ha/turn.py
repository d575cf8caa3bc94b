"""Turn: a lock for telemetry's own work that never makes a thread wait for itself.

A signal handler, or a finalizer that the garbage collector runs, interrupts a thread anywhere, perhaps while it holds a
lock. If it then waited for that lock, the thread would wait for ever. So a thread that has a turn is refused another
one, and is_working() tells code that is about to wait for telemetry whether it would wait for its own thread.

A handler may also raise, anywhere. Python calls it between two instructions, but only at the start of a function, after
a call of C code and at the end of a loop's body. So the lines that belong together contain nothing of that kind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

PATIENCE = 5.0
"""Seconds to wait for work of milliseconds: its thread may be interrupted by a handler that waits for this one."""

T = TypeVar("T")


class _Thread(threading.local):
    """The telemetry's own work in this thread: how much is under way, and the actions that follow it."""

    def __init__(self) -> None:
        self.depth = 0
        self.later: list[Callable[[], object]] = []


_thread = _Thread()


class Turn:
    """A lock that a thread takes, unless it has it already.

    Where a handler may raise often, run() is the way: it gives the turn back whatever is raised wherever. The others
    have a gap of a few nanoseconds, before the first line of give_back().
    """

    def __init__(self) -> None:
        # Reentrant, so that only the thread that has the turn finds it taken.
        self._lock = threading.RLock()
        self._is_taken = False
        self._depth = 0

    def take(self, timeout: float = -1) -> bool:
        """Take the turn and return True; return False if this thread has it, or another one for `timeout` seconds."""
        depth = _thread.depth
        try:
            is_locked = self._lock.acquire(timeout=timeout)
        except BaseException:
            # A handler has raised, while this thread was waiting or after that.
            try:  # noqa: SIM105 - release() has to be the first call: another handler may raise after it
                self._lock.release()
            except RuntimeError:  # while it was waiting
                pass
            raise
        if not is_locked:
            return False
        if self._is_taken:
            self._lock.release()
            return False
        self._is_taken = True
        self._depth = depth
        _thread.depth = depth + 1
        return True

    def give_back(self) -> None:
        """End the turn."""
        self._is_taken = False
        _thread.depth = self._depth
        try:
            self._lock.release()
        finally:
            _follow_up()

    def run(self, work: Callable[[], T], timeout: float, otherwise: T) -> T:
        """Return the result of `work` in a turn, or `otherwise` if the turn is refused; see take()."""
        is_mine = False
        try:
            # No function starts between the turn and the next line, so no handler runs there.
            is_mine = self.take(timeout)
            return work() if is_mine else otherwise
        finally:
            if is_mine:  # give_back(), in place: a handler that runs at its start may raise
                self._is_taken = False
                _thread.depth = self._depth
                try:
                    self._lock.release()
                finally:
                    if _thread.later:
                        _follow_up()

    def taken(self, timeout: float = -1) -> _Taken:
        """Take the turn for a block, which is given whether that worked; see take()."""
        return _Taken(self, timeout)


class _Taken:
    """A block with a turn."""

    def __init__(self, turn: Turn, timeout: float) -> None:
        self._turn = turn
        self._timeout = timeout
        self._is_mine = False

    def __enter__(self) -> bool:
        self._is_mine = self._turn.take(self._timeout)
        return self._is_mine

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._is_mine:
            self._turn.give_back()


def as_own_work(work: Callable[[], T]) -> T:
    """Return the result of `work`, which is telemetry's own: during it, this thread must not wait for telemetry."""
    depth = _thread.depth
    try:
        _thread.depth = depth + 1
        return work()
    finally:
        _thread.depth = depth
        if _thread.later:
            _follow_up()


@contextmanager
def working() -> Iterator[None]:
    """Mark a block as telemetry's own work; see as_own_work(), which has no gap where a handler may raise."""
    depth = _thread.depth
    try:
        _thread.depth = depth + 1
        yield
    finally:
        _thread.depth = depth
        _follow_up()


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


def _follow_up() -> None:
    while _thread.depth == 0 and _thread.later:
        _thread.later.pop(0)()


def giving_way(items: Iterable[T], every: int = 1) -> Iterator[T]:
    """Return the items, and let other threads run before each `every`-th of them.

    Python makes a computing thread give way after 5 ms, for which the other thread has waited; that adds up for a
    thread that wakes often, such as an event loop.
    """
    for number, item in enumerate(items, 1):
        if not number % every:
            time.sleep(0)
        yield item
