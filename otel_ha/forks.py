"""Forks: the steps around one, work for which it waits, and the beginning and end of a child of multiprocessing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

_forking = threading.local()


_LONGEST = 1.0
"""Seconds for which a fork waits for work that must not be forked."""


class ForkBarrier:
    """A context for work of libraries that do not survive a fork: a fork waits for its end, a second at the most.

    Its objects are for the life of the process, as Python cannot forget their hooks.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(
                before=self._hold, after_in_parent=self._changed.release, after_in_child=self._begin_in_child
            )

    def __enter__(self) -> None:
        """Begin the work, after a fork that is under way."""
        with self._changed:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        """End it."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _hold(self) -> None:
        self._changed.acquire()
        self._changed.wait_for(lambda: self._under_way <= 0, _LONGEST)

    def _begin_in_child(self) -> None:
        self._under_way = 0  # whatever took too long is the parent's
        self._changed.release()


def block_at_fork() -> None:
    """Let the kernel keep SIGTERM from this thread, and from its child, until unblock_after_fork().

    In a child that begins, Python forgets the signals that have arrived, and telemetry cannot act on one yet.
    """
    if hasattr(signal, "pthread_sigmask"):
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def unblock_after_fork() -> None:
    """Let the signal through again, in the parent and in the child."""
    mask, _forking.mask = getattr(_forking, "mask", None), None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def is_multiprocessing_child() -> bool:
    """Whether multiprocessing started this process, whose parent may end it by SIGTERM at any time."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def in_multiprocessing_child(begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Call `begin` when this child of multiprocessing begins, and `end` when it ends, which often skips atexit.

    To be called from an after-fork hook, or in a child that runs already. After a fork, multiprocessing first forgets
    its finalizers, then calls its own after-fork hooks, and at the child's end runs the finalizers that these made.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is None:
        return

    def start(finish: Callable[[], object]) -> None:
        util.Finalize(None, finish, exitpriority=0)
        begin()

    util.register_after_fork(end, start)
    if is_multiprocessing_child():
        start(end)
