"""A process for the tests of interruptions: `python -m tests.e2e.interrupted WAY`, configured by the environment.

It prints its result as one line, or ends in the way that its argument names.
"""

import asyncio
import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Gauge,
    Histogram,
    TelemetryConfig,
    TelemetryError,
    measured,
    setup_telemetry,
)
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ingest

KEY = Attribute("test.key", "A key.")
JOBS = Counter("test.jobs", unit="{job}", description="Jobs.")
VISITS = Counter("test.visits", unit="{visit}", description="Visits.", attributes=(KEY,), expires=60, series=5000)
LEVEL = Gauge("test.level", unit="{job}", description="A level.", attributes=(KEY,))
WAIT = Histogram("test.wait", unit="s", description="Waits.")
CATALOG = Catalog(JOBS, VISITS, LEVEL, WAIT) | ingest.CATALOG

SECONDS = 5.0
MOST_GARBAGE = 10_000
MOST_UNSETTLED = 40_000


def main(way: str) -> None:
    telemetry = setup_telemetry("test", catalog=CATALOG)
    WAYS[way](telemetry)


def interrupted_by(handler: Callable[[], object], work: Callable[[], object]) -> tuple[int, int]:
    """Call `work` in a loop that a signal interrupts every millisecond; return how often each was called."""
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        handler()
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # not before it has ended, or a slow one would interrupt itself

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    worked, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        work()
        worked += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    assert handled > 10, handled  # or nothing was tried
    return handled, worked


def value(telemetry, name: str) -> float:
    lines = telemetry.prometheus_text().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def record(telemetry) -> None:
    """Record everything from a signal handler that interrupts the same recordings."""

    @measured(ingest.EVENT, source="mqtt")
    def handle() -> None:
        pass

    def everything() -> None:
        VISITS.add(1, key="a")
        LEVEL.set(1, key="a")
        WAIT.record(0.1)
        JOBS.add(1)
        VISITS.forget(key="b")
        handle()

    times = sum(interrupted_by(everything, everything))
    names = ("test_visits_total", "test_wait_seconds_count", "test_jobs_total")
    print([value(telemetry, name) - times for name in names])


def finalize(telemetry) -> None:
    """Record from finalizers that the garbage collector runs, perhaps during a collection."""
    finalized = 0
    settled = 0

    class Cyclic:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal finalized
            VISITS.add(1, key="finalized")
            WAIT.record(0.1)
            finalized += 1

    # With exemplars of everything, a collection takes many times as long.
    series = 500 if os.environ.get("OTEL_METRICS_EXEMPLAR_FILTER") == "always_on" else 3000
    for number in range(series):
        VISITS.add(1, key=str(number))
    stopping = threading.Event()

    def scrape() -> None:
        nonlocal settled
        while not stopping.is_set():
            before = finalized
            telemetry.prometheus_text()
            settled = before

    thread = threading.Thread(target=scrape)
    thread.start()
    made, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        Cyclic()
        made += 1
        # The memory of the gate is limited, and finalizers that run in the thread that scrapes only add to it.
        while finalized - settled > MOST_UNSETTLED:
            time.sleep(0.001)
        while made - finalized > MOST_GARBAGE:
            gc.collect()  # which does nothing while another thread collects garbage
            time.sleep(0.001)
    stopping.set()
    thread.join()
    while finalized < made:
        gc.collect()
        time.sleep(0.001)
    print(value(telemetry, "test_visits_total") - series - made, value(telemetry, "test_wait_seconds_count") - made)


def ask(telemetry) -> None:
    """Ask telemetry for everything from a signal handler that interrupts the same questions."""
    refused = 0

    def everything() -> None:
        nonlocal refused
        JOBS.add(1)
        setup_telemetry("test", catalog=CATALOG)
        telemetry.health()
        for question in (telemetry.history.collect, lambda: telemetry.history.rate(JOBS), telemetry.prometheus_text):
            try:
                question()
            except Exception:  # noqa: BLE001 - it says that it cannot answer in a handler
                refused += 1

    handled, worked = interrupted_by(everything, everything)
    print([value(telemetry, "test_jobs_total") - handled - worked])


def summarize(telemetry) -> None:
    """Flush and summarize in a handler."""

    def everything() -> None:
        with suppress(TelemetryError):  # in the middle of storing, it cannot answer
            telemetry.summary()
        telemetry.flush(0.01)

    interrupted_by(everything, telemetry.summary)
    print("ended")


def interrupt_twice(telemetry) -> None:
    """Shut down in a handler of Ctrl-C."""

    def stop(*_: object) -> None:
        telemetry.shutdown()

    signal.signal(signal.SIGINT, stop)
    JOBS.add(3)
    print("ready", flush=True)
    sys.stdin.readline()


def shut_down_while_recording(telemetry) -> None:
    """Shut down and exit in a handler that interrupts recording without a pause."""
    times = 0

    def stop(*_: object) -> None:
        telemetry.shutdown()
        sys.exit(0)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3 + os.getpid() % 100 / 1e4)
    try:
        while True:
            WAIT.record(0.1)
            JOBS.add(1)
            times += 1
    finally:
        print(times)


def in_pool(_) -> None:
    """Count in the children of a pool."""
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(count, range(4000))


def set_up() -> None:
    setup_telemetry("test", catalog=CATALOG)


def in_spawned_pool(telemetry) -> None:
    """Count in the children of a pool that set telemetry up themselves."""
    telemetry.shutdown()
    with multiprocessing.get_context("spawn").Pool(2, set_up) as pool:
        pool.map(count, range(4000))


def count(_: object) -> None:
    JOBS.add(1)


def miss_signals(ready) -> None:
    """Count, and wait in C for ever, in a main thread that signals do not wake."""
    set_up()
    for _ in range(3):
        JOBS.add(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # other threads get it, and Python notes it
    ready.set()
    lock = threading.Lock()
    with lock:
        lock.acquire()


def terminate(telemetry, method: str) -> None:
    """End a child by SIGTERM, and print how it ended."""
    telemetry.shutdown()
    context = multiprocessing.get_context(method)
    ready = context.Event()
    child = context.Process(target=miss_signals, args=(ready,))
    child.start()
    ready.wait()
    child.terminate()
    child.join()
    print(child.exitcode)


def count_signals(connection) -> None:
    """Report how often the parent's handler has run in this child, after two signals."""
    connection.send("ready")
    while not HANDLED:
        time.sleep(0.01)
    time.sleep(1)
    connection.send(len(HANDLED))


HANDLED: list[object] = []


def handle_twice(telemetry) -> None:
    """Send a child two signals, and print how often its handler runs."""
    telemetry.shutdown()
    signal.signal(signal.SIGTERM, lambda *_: HANDLED.append(1))
    set_up()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=count_signals, args=(theirs,))
    child.start()
    ours.recv()
    for _ in range(2):
        os.kill(child.pid, signal.SIGTERM)
        time.sleep(0.02)
    print(ours.recv())
    child.join()


def handle_in_loop(telemetry) -> None:
    """Get SIGTERM once, during the last push, while an event loop handles it; print how often it does."""
    telemetry.shutdown()

    async def serve() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: HANDLED.append(1))
        async with setup_telemetry("test", catalog=CATALOG):
            JOBS.add(3)
            threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGTERM)).start()
        await asyncio.sleep(0.5)
        print(len(HANDLED))

    asyncio.run(serve())


def exit_in_handler(telemetry) -> None:
    """End by a handler of the service, which raises SystemExit."""
    telemetry.shutdown()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    with setup_telemetry("test", catalog=CATALOG):
        JOBS.add(3)
        print("ready", flush=True)
    time.sleep(10)


def exit_after_push(_) -> None:
    JOBS.add(3)
    print("ready", flush=True)


def shut_down_in_thread(telemetry) -> None:
    async def serve() -> None:
        async with telemetry:
            JOBS.add(3)
            print("ready", flush=True)
        await asyncio.sleep(10)

    asyncio.run(serve())


def cycle(telemetry) -> None:
    """Set up and shut down again and again; print the growth of threads, descriptors, hooks and memory."""
    import tracemalloc  # noqa: PLC0415 - traces from here on

    telemetry.shutdown()
    hooks = []
    register = os.register_at_fork
    os.register_at_fork = lambda **hook: (hooks.append(hook), register(**hook))

    def once() -> None:
        config = TelemetryConfig(metrics_exporters=("otlp", "prometheus"), prometheus_port=0)
        with setup_telemetry("test", config=config, catalog=CATALOG) as running:
            count(None)
            VISITS.add(1, key="a")
            running.flush()
            running.prometheus_text()

    def used() -> tuple[int, int, int]:
        gc.collect()
        time.sleep(0.2)  # the endpoint's thread ends when it wakes
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), len(hooks)

    for _ in range(5):
        once()
    tracemalloc.start()
    before, memory = used(), tracemalloc.get_traced_memory()[0]
    for _ in range(60):
        once()
    after = used()
    grown = (tracemalloc.get_traced_memory()[0] - memory) / 1e6
    print([now - then for now, then in zip(after, before, strict=True)], int(grown), round(grown, 2))


def stop_in_child(telemetry) -> None:
    """Print what a child of multiprocessing still has after the shutdown: threads, and a wakeup descriptor."""
    telemetry.shutdown()
    child = multiprocessing.get_context("spawn").Process(target=stop)
    child.start()
    child.join()


def stop() -> None:
    set_up()
    listens = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(listens)
    running_telemetry().shutdown()
    time.sleep(1)  # threads end when they wake
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("otel-ha")]
    print(listens != -1, names, signal.set_wakeup_fd(-1))


WAYS = {
    "record": record,
    "finalize": finalize,
    "ask": ask,
    "summarize": summarize,
    "interrupt twice": interrupt_twice,
    "shut down while recording": shut_down_while_recording,
    "pool": in_pool,
    "spawned pool": in_spawned_pool,
    "miss signals in fork": partial(terminate, method="fork"),
    "miss signals in spawn": partial(terminate, method="spawn"),
    "handle twice": handle_twice,
    "handle in loop": handle_in_loop,
    "exit in handler": exit_in_handler,
    "exit after push": exit_after_push,
    "shut down in thread": shut_down_in_thread,
    "cycle": cycle,
    "stop in child": stop_in_child,
}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(45, exit=True)
    main(sys.argv[1])
