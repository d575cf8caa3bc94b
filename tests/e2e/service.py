"""A service for the life-cycle tests: it counts, then ends in the way that its argument names.

Run as `python -m tests.e2e.service WAY`; the environment configures telemetry. Once it has counted, it
prints "ready" with its metrics URL, and waits for a line on standard input if the way needs one.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time

from otel_ha import Attribute, Catalog, Counter, ObservableUpDownCounter, setup_telemetry

ROLE = Attribute("test.role", "Who counted.")
JOBS = Counter("test.jobs", unit="{job}", description="Jobs.", attributes=(ROLE,))
DEPTH = ObservableUpDownCounter("test.depth", unit="{job}", description="Jobs that wait.")
CATALOG = Catalog(JOBS, DEPTH)


def main(way: str) -> None:
    if way == "asyncio handler before":
        asyncio.run(serve_asyncio(before=True))
        return
    if way == "asyncio handler after":
        asyncio.run(serve_asyncio(before=False))
        return
    if way == "handler":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    if way == "thread":
        signal.signal(signal.SIGTERM, lambda *_: None)
    if way == "ignored":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    telemetry = setup_telemetry("test-service", catalog=CATALOG)
    JOBS.add(3, role="parent")
    print("ready", telemetry.metrics_url, flush=True)
    {"fork": fork, "multiprocessing": in_process, "work": work, "thread": in_thread}.get(way, wait)()
    if way == "return":
        JOBS.add(1, role="late")


async def serve_asyncio(*, before: bool) -> None:
    """Drain on SIGTERM as services do: the loop's own handler sets an event, and later events are still counted."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    if before:
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with setup_telemetry("test-service", catalog=CATALOG) as telemetry:
        if not before:
            loop.add_signal_handler(signal.SIGTERM, stopping.set)
        JOBS.add(3, role="parent")
        print("ready", telemetry.metrics_url, flush=True)
        await stopping.wait()
        await asyncio.sleep(0.2)
        JOBS.add(1, role="late")


def wait() -> None:
    sys.stdin.readline()


def work() -> None:
    """Record without a pause, so that a signal often interrupts the SDK while it holds a lock."""
    while True:
        JOBS.add(0, role="parent")


def in_thread() -> None:
    """Run in a thread after the main thread has ended, until the service's signal handler stops it."""
    stopping = threading.Event()
    previous = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        stopping.set()
        previous(number, frame)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=stopping.wait).start()


def fork() -> None:
    DEPTH.observe(lambda: 5)
    child = os.fork()
    JOBS.add(1 if child else 20, role="child" if not child else "parent")
    if child:
        os.waitpid(child, 0)


def in_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=JOBS.add, args=(20,), kwargs={"role": "child"})
    process.start()
    process.join()
    JOBS.add(1, role="parent")
    time.sleep(0)


if __name__ == "__main__":
    main(sys.argv[1])
