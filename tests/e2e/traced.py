"""A service for the tests of traces and logs: it opens a span, logs a record, then ends in the way of its argument.

Run as `python -m tests.e2e.traced WAY`; the environment configures telemetry. It prints "ready" once it has done that.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time

from opentelemetry import trace

from otel_ha import setup_telemetry
from otel_ha.vocabulary import ingest

logger = logging.getLogger("traced")
tracer = trace.get_tracer("traced")


def work(name: str) -> None:
    with tracer.start_as_current_span(name):
        logger.warning("%s", name)


def main(way: str) -> None:
    if way == "asyncio":
        asyncio.run(serve())
        return
    setup_telemetry("traced")
    ingest.RECEIVED.add(1, source="mqtt")
    work("parent")
    WAYS[way]()


def ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def busy() -> None:
    """Log and open spans without a pause, so that a signal often interrupts telemetry."""
    print("ready", flush=True)
    while True:
        work("busy")


async def serve() -> None:
    stopping = asyncio.Event()
    async with setup_telemetry("traced"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        work("parent")
        print("ready", flush=True)
        await stopping.wait()
        work("late")


def fork() -> None:
    """Fork within a span; parent and child end it, and each opens one of its own."""
    with tracer.start_as_current_span("shared"):
        child = os.fork()
    if child == 0:
        work("child")
        sys.exit()
    os.waitpid(child, 0)
    work("after")
    print("ready", flush=True)


def in_process() -> None:
    """Do the same in a child of multiprocessing, which its parent ends by SIGTERM."""
    context = multiprocessing.get_context("fork")
    done = context.Event()
    child = context.Process(target=_in_child, args=(done,))
    child.start()
    done.wait(30)
    child.terminate()
    child.join()
    print("ready", flush=True)


def _in_child(done: object) -> None:
    work("child")
    done.set()
    time.sleep(60)


WAYS = {"wait": ready, "busy": busy, "fork": fork, "multiprocessing": in_process}

if __name__ == "__main__":
    main(sys.argv[1])
