"""Forks: what surrounds one, and the beginning and the end of a child of multiprocessing."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

_forking = threading.local()


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
