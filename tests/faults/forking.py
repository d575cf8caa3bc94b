"""A program with children in every way of Python's, each of which handles events.

Run as `python -m tests.faults.forking DIRECTORY WAY [METHOD]`. Meanwhile its other threads record, scrape, push and
log, so that children are forked in the middle of that.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from otel_ha import Telemetry, setup_telemetry
from tests.faults.events import DIRECTORY, handle_events

EVENTS = 100
"""Events that each child and each task handles."""
LATE = 30
"""Events that a child handles after its last push."""
NEVER = 600.0


class _Written(logging.StreamHandler[TextIO]):
    """Writes each record without Python's buffer of stderr.

    A thread that logs holds its lock, and a child forked meanwhile would wait for it for ever, as soon as it logs or
    multiprocessing flushes its streams.
    """

    def emit(self, record: logging.LogRecord) -> None:
        os.write(sys.stderr.fileno(), f"{self.format(record)}\n".encode())


def begin() -> None:
    """Set telemetry up, as every process does that is not forked; in a forked child it runs already."""
    handlers = [_Written()]
    logging.basicConfig(handlers=handlers, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    setup_telemetry("faults")


def task(_: object = None) -> None:
    """Handle the events of a task."""
    handle_events(EVENTS)


def push() -> None:
    """Push until it arrives."""
    while not setup_telemetry("faults").flush():
        pass


def returning() -> None:
    """Return."""
    begin()
    task()


def raising() -> None:
    """End by an exception, whose traceback multiprocessing prints."""
    returning()
    raise ZeroDivisionError


def exiting() -> None:
    """End by SystemExit."""
    returning()
    sys.exit(3)


def ending_at_once() -> None:
    """Push, then end without a last word."""
    returning()
    push()
    os._exit(4)


def waiting(ready: Any) -> None:
    """Wait for a signal, which another process sends as soon as the events are handled."""
    returning()
    ready.set()
    time.sleep(NEVER)


def starting_another(method: str) -> None:
    """Have a child of its own."""
    returning()
    child = multiprocessing.get_context(method).Process(target=returning)
    child.start()
    child.join()


def in_processes(method: str) -> None:
    """Have children that end in every way, all at the same time."""
    context = multiprocessing.get_context(method)
    ready = context.Event()
    waits = context.Process(target=waiting, args=(ready,))
    children = [context.Process(target=each) for each in (returning, raising, exiting, ending_at_once)]
    children += [context.Process(target=starting_another, args=(method,)), waits]
    for child in children:
        child.start()
    ready.wait()
    waits.terminate()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 1, 3, 4, 0, -signal.SIGTERM]


def in_pools(method: str) -> None:
    """Have pools: one that is terminated, one whose children are replaced after two tasks each, and an executor."""
    context = multiprocessing.get_context(method)
    with context.Pool(3, begin) as pool:
        pool.map(task, range(12), chunksize=1)
    replacing = context.Pool(2, begin, maxtasksperchild=2)
    replacing.map(task, range(8), chunksize=1)
    replacing.close()
    replacing.join()
    with ProcessPoolExecutor(2, context, begin) as executor:
        list(executor.map(task, range(6)))


def in_forks(_: str) -> None:
    """Fork directly, and in a child again; each process ends as a program does, or pushes and ends at once."""
    children = []
    for number in range(8):
        child = os.fork()
        if not child:
            task()
            if number % 2:
                ending_at_once()
            if not os.fork():
                task()
                sys.exit(0)
            os.wait()
            sys.exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def without_a_last_word(_: str) -> None:
    """Have children that end by os._exit() and by SIGKILL after their last push."""
    for end in (os._exit, lambda _: os.kill(os.getpid(), signal.SIGKILL)):
        child = os.fork()
        if not child:
            task()
            push()
            handle_events(LATE)
            end(0)
        os.waitpid(child, 0)


@contextmanager
def beside(telemetry: Telemetry) -> Iterator[None]:
    """Record, scrape, push and log in other threads."""
    ended = threading.Event()
    logger = logging.getLogger("service")

    def repeat(work: Callable[[], object], pause: float) -> None:
        while not ended.wait(pause):
            work()

    works = [
        (lambda: handle_events(10), 0.002),
        (telemetry.prometheus_text, 0.002),
        (telemetry.flush, 0.002),
        (lambda: logger.info("at work"), 0.0005),
    ]
    threads = [threading.Thread(target=repeat, args=each) for each in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


WAYS = {"processes": in_processes, "pools": in_pools, "forks": in_forks, "without a last word": without_a_last_word}


def main() -> None:
    """Have children, then write the account."""
    directory, way, *method = sys.argv[1:]
    os.environ[DIRECTORY] = directory
    begin()
    telemetry = setup_telemetry("faults")
    print("ready", telemetry.metrics_url, flush=True)
    with beside(telemetry):
        WAYS[way](*method or [""])
    start = time.perf_counter()
    telemetry.shutdown()
    account = {"shutdown": time.perf_counter() - start}
    (Path(directory) / "account.json").write_text(json.dumps(account), encoding="utf-8")


if __name__ == "__main__":
    main()
