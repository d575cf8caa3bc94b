"""Life cycle: a last push on SIGTERM, before the signal acts."""

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

from otel_ha.async_end import is_of_uvicorn
from otel_ha.forks import is_multiprocessing_child

_LAST_WORD = 1.0
"""Seconds that the main thread has to handle the second SIGTERM before the process ends without it."""

_WORDS = 10
"""How often the second SIGTERM is sent meanwhile."""


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
        if is_multiprocessing_child():
            self.listen()
        return True

    def after_fork_in_child(self, *, is_running: bool) -> None:
        """Start the thread again, which the fork has left behind; or end, if telemetry does not run in this child."""
        self._held, self._is_holding = [], False
        _Listener.after_fork_in_child()
        if not is_running:
            self.release()
        elif signal.getsignal(signal.SIGTERM) == self._handle:
            self._start_thread()
            if is_multiprocessing_child():
                self.listen()

    def listen(self) -> None:
        """Start the last push when the signal arrives, even if the main thread misses it.

        Python notes a signal when it arrives, and its main thread calls the handler later. If that thread is about to
        wait for a lock in C, it does not wake for this; the default action would have ended the process.
        """
        if signal.getsignal(signal.SIGTERM) == self._handle:
            _Listener.start()

    @property
    def stays(self) -> bool:
        """Whether the signal comes here to the end: no server of uvicorn restores an action that it found before."""
        return signal.getsignal(signal.SIGTERM) == self._handle and not is_of_uvicorn(self._previous)

    def hear(self) -> None:
        """Start the last push, unless it is under way, or a handler of the service decides."""
        if self._previous == signal.SIG_DFL and not self._is_holding and not self._is_over:
            self._tasks.put(self._shut_down_and_end)

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
        if in_main_thread:
            _Listener.stop()
        if self._take_held():
            _send()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:
            self._act(number, frame)
        elif self._is_holding and not _is_of_event_loop(self._previous):
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
        """Take the signal's previous action."""
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _send()

    def _take_held(self) -> bool:
        """Return whether the signal waits, to one caller only."""
        with suppress(IndexError):
            self._held.pop()
            self._held.clear()
            return True
        return False

    def _shut_down_and_end(self) -> None:
        try:
            self._telemetry.shutdown()
        finally:  # whatever happens, the process ends
            self._is_over = True
            # Only the main thread can restore the default action; the same signal, a second time, makes it do so.
            for _ in range(_WORDS):  # again, if that thread was about to wait in C and missed it
                _send()
                time.sleep(_LAST_WORD / _WORDS)
            os._exit(128 + signal.SIGTERM)

    def _start_thread(self) -> None:
        tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._tasks = tasks

        def work() -> None:
            while (task := tasks.get()) is not None:
                task()

        threading.Thread(target=work, name="otel-ha-sigterm", daemon=True).start()


class _Listener:
    """A thread that hears of SIGTERM as soon as it arrives, by Python's wakeup descriptor; at most one in a process.

    Its methods are for the main thread.
    """

    _current: _Listener | None = None

    def __init__(self) -> None:
        self._ear, self._voice = socket.socketpair()
        self._voice.setblocking(False)  # noqa: FBT003 - the only way to say it

    @classmethod
    def start(cls) -> None:
        """Start listening, unless that has been done, or other code listens, such as an event loop."""
        if cls._current is not None:
            return
        listener = cls()
        other = signal.set_wakeup_fd(listener._voice.fileno(), warn_on_full_buffer=False)
        if other != -1:
            signal.set_wakeup_fd(other)
            listener._close()
            return
        cls._current = listener
        threading.Thread(target=listener._work, name="otel-ha-signals", daemon=True).start()

    @classmethod
    def stop(cls) -> None:
        """End the thread."""
        if (listener := cls._withdrawn()) is not None:
            listener._voice.shutdown(socket.SHUT_RDWR)  # even if a child has copies that are still open
            listener._voice.close()

    @classmethod
    def after_fork_in_child(cls) -> None:
        """Forget the parent's: it must not hear of the child's signals."""
        if (listener := cls._withdrawn()) is not None:
            listener._close()

    @classmethod
    def _withdrawn(cls) -> _Listener | None:
        listener, cls._current = cls._current, None
        if listener is not None:
            other = signal.set_wakeup_fd(-1)
            if other not in {-1, listener._voice.fileno()}:
                signal.set_wakeup_fd(other)
        return listener

    def _close(self) -> None:
        self._ear.close()
        self._voice.close()

    def _work(self) -> None:
        with self._ear:
            while arrived := self._ear.recv(64):
                present = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
                if signal.SIGTERM in arrived and isinstance(present, Sigterm):
                    present.hear()


def _present_handler() -> Any:
    """Return the handler of SIGTERM, without those of telemetry that is over and could not restore the previous one."""
    handler: Any = signal.getsignal(signal.SIGTERM)
    while isinstance(over := getattr(handler, "__self__", None), Sigterm) and over._is_over:
        handler = over._previous
    return handler


def _is_of_event_loop(handler: Any) -> bool:
    """Whether a handler is asyncio's, which does nothing: the loop hears of the signal by itself, and at once."""
    events = sys.modules.get("asyncio.unix_events")
    return events is not None and handler is getattr(events, "_sighandler_noop", None)


def _send() -> None:
    """Send SIGTERM to this process, and wake its main thread if the system can do that."""
    if hasattr(signal, "pthread_kill"):
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # Windows, where os.kill() ends the process at once
        signal.raise_signal(signal.SIGTERM)
