"""Life cycle: a last push on SIGTERM, and at the end of multiprocessing's children."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

_LAST_WORD = 1.0
"""Seconds that the main thread has to handle the second SIGTERM before the process ends without it."""

_WORDS = 10
"""How often the second SIGTERM is sent meanwhile."""


_NUDGE = 0.05
"""Seconds that the main thread has to handle a signal before it is sent to it again."""


class Flushable(Protocol):
    """An object that is flushed or shut down when a signal arrives."""

    def flush(self) -> bool:
        """Push everything."""

    def shutdown(self) -> None:
        """Push everything and stop."""


class Sigterm:
    """Makes SIGTERM push the last measurements before its previous action.

    The push runs in its own thread: the signal interrupts the main thread anywhere, perhaps while it holds a lock that
    the push needs. That thread is started early, because a process can start no threads at its end. A signal that
    arrives during the last push, whoever started it, takes its previous action when the push has ended.
    """

    def __init__(self, telemetry: Flushable) -> None:
        self._telemetry = telemetry
        self._previous: Any = None
        self._is_holding = False
        self._is_over = False
        self._held: list[int] = []
        """The signal that waits for the end of the last push, once for each time that it arrived."""
        self._tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._is_handled = False
        self._ears: tuple[socket.socket, socket.socket] | None = None

    def install(self) -> bool:
        """Insert itself before the present handler; return False if the signal is ignored, or in another thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        previous = _present_handler()
        if previous in (signal.SIG_IGN, None):
            return False
        self._previous = previous
        self._start_thread()
        signal.signal(signal.SIGTERM, self._handle)
        return True

    def after_fork_in_child(self, *, is_running: bool) -> None:
        """Start the thread again, which the fork has left behind; or end, if telemetry does not run in this child."""
        self._held, self._is_holding = [], False
        if self._ears is not None:  # a child's child: the parent must not hear of its signals
            signal.set_wakeup_fd(-1)
            self._ears = None
        if not is_running:
            self.release()
        elif signal.getsignal(signal.SIGTERM) == self._handle:
            self._start_thread()

    def hold(self) -> None:
        """Let the signal wait from now on: the last push begins."""
        self._is_holding = True

    def release(self) -> None:
        """End the thread, restore the previous handler, and let a signal that waits take its action: the push is over.

        Another thread than the main one cannot restore it; if other code has installed a handler since, that one stays.
        """
        self._is_over = True
        self._is_holding = False
        self._tasks.put(None)
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)
        if self._take_held():
            os.kill(os.getpid(), signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._is_handled = True
        if self._is_over:
            self._act(number, frame)
        elif self._is_holding:
            self._held.append(number)
            # Another thread may have released it before that line.
            if not self._is_holding and self._take_held():
                self._act(number, frame)
        elif callable(self._previous):
            # The service, or its event loop, ends in its own time; its normal exit pushes later measurements.
            self._tasks.put(self._telemetry.flush)
            self._previous(number, frame)
        else:
            self._is_holding = True
            self._tasks.put(self._shut_down_and_end)

    def _act(self, number: int, frame: FrameType | None) -> None:
        """Do what the signal did before."""
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _take_held(self) -> bool:
        """Return whether the signal waits, to one caller only."""
        with suppress(IndexError):
            self._held.pop()
            self._held.clear()
            return True
        return False

    def _shut_down_and_end(self) -> None:
        self._telemetry.shutdown()
        self._is_over = True
        # Only the main thread can restore the default action; the same signal, a second time, makes it do so.
        for _ in range(_WORDS):  # again, if that thread was about to wait in C and missed it
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_LAST_WORD / _WORDS)
        os._exit(128 + signal.SIGTERM)

    def listen(self) -> None:
        """Make sure that the main thread handles the signal, in a process that its parent ends by it.

        Python notes a signal when it arrives, and its main thread calls the handler later. If that thread is about to
        wait for a lock in C, it does not wake for this; the default action would have ended the process.
        """
        if not hasattr(signal, "pthread_kill"):  # Windows
            return
        ear, writer = self._ears = socket.socketpair()
        writer.setblocking(False)  # noqa: FBT003 - the only way to say it
        other = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if other != -1:  # an event loop, which wakes by itself
            signal.set_wakeup_fd(other)
            self._ears = None
            return

        def work() -> None:
            while arrived := ear.recv(64):
                if signal.SIGTERM in arrived:
                    self._nudge()

        threading.Thread(target=work, name="otel-ha-signals", daemon=True).start()

    def _nudge(self) -> None:
        """Send the signal to the main thread until it handles it, unless other code handles it now."""
        time.sleep(_NUDGE)
        while not self._is_handled and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(_NUDGE)
        self._is_handled = False

    def _start_thread(self) -> None:
        tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._tasks = tasks

        def work() -> None:
            while (task := tasks.get()) is not None:
                task()

        threading.Thread(target=work, name="otel-ha-sigterm", daemon=True).start()


def _present_handler() -> Any:
    """Return the handler of SIGTERM, without those of telemetry that is over and could not restore the previous one."""
    handler: Any = signal.getsignal(signal.SIGTERM)
    while isinstance(over := getattr(handler, "__self__", None), Sigterm) and over._is_over:
        handler = over._previous
    return handler


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


def at_end_of_multiprocessing_child(end: Callable[[], object]) -> None:
    """Call `end` when this child of multiprocessing ends, which often happens without atexit.

    To be called from an after-fork hook, or in a child that runs already. After a fork, multiprocessing first forgets
    its finalizers, then calls its own after-fork hooks, and at the child's end runs the finalizers that these made.
    """
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is None or process is None:
        return

    def begin(it: Callable[[], object]) -> None:
        util.Finalize(None, it, exitpriority=0)
        handling = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(handling, Sigterm) and handling._ears is None:
            handling.listen()

    util.register_after_fork(end, begin)
    if process.parent_process() is not None:
        begin(end)
