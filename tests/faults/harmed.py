"""The measured program (tests.faults.service) with a fault in its own process.

Run as `python -m tests.faults.harmed DIRECTORY …`; the variable HARM names the fault, which begins at SIGHUP and ends
at SIGUSR2.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

HARM = "HARM"
HOURS = 3600.0
FEW = 200
"""Descriptors that the process may have, all of which it opens."""
TOO_LARGE = 1 << 46
"""Bytes of a thread's stack that no process has room for: starting a thread fails, as for lack of memory."""

Change = Callable[[], object]


def steps_of_the_clock() -> tuple[Change, Change]:
    """Let the clock of the day jump three hours forward, and then five back; others continue."""
    now, now_ns = time.time, time.time_ns
    shift = 0.0

    def jump(hours: float) -> None:
        nonlocal shift
        shift += hours * HOURS

    time.time = lambda: now() + shift
    time.time_ns = lambda: now_ns() + int(shift * 1e9)
    return lambda: jump(3), lambda: jump(-5)


def lack_of_descriptors() -> tuple[Change, Change]:
    """Open files until there are no descriptors left, and those that others close."""
    taken: list[int] = []
    ended = threading.Event()

    def keep_taking() -> None:
        while not ended.wait(0.01):
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
        while taken:
            os.close(taken.pop())

    def begin() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        threading.Thread(target=keep_taking, daemon=True).start()

    return begin, ended.set


def lack_of_threads() -> tuple[Change, Change]:
    """Let no thread start."""
    return lambda: threading.stack_size(TOO_LARGE), lambda: threading.stack_size(0)


def busy_threads() -> tuple[Change, Change]:
    """Let four threads calculate without a pause."""
    ended = threading.Event()

    def calculate() -> None:
        while not ended.is_set():
            sum(range(1000))

    def begin() -> None:
        for _ in range(4):
            threading.Thread(target=calculate, daemon=True).start()

    return begin, ended.set


def another_loop() -> tuple[Change, Change]:
    """Run on uvloop from the beginning."""
    import uvloop  # noqa: PLC0415 - only here

    asyncio.run = uvloop.run
    return (lambda: None), (lambda: None)


HARMS = {
    "clock": steps_of_the_clock,
    "descriptors": lack_of_descriptors,
    "threads": lack_of_threads,
    "busy": busy_threads,
    "uvloop": another_loop,
}


def main() -> None:
    """Prepare the fault before anything else is imported, then run the program."""
    begin, end = HARMS[os.environ[HARM]]()
    signal.signal(signal.SIGHUP, lambda *_: begin())
    signal.signal(signal.SIGUSR2, lambda *_: end())

    from tests.faults import service  # noqa: PLC0415 - a clock is replaced before others take it

    service.main()


if __name__ == "__main__":
    main()
