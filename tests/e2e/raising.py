"""A process for the tests of handlers that raise: `python -m tests.e2e.raising WAY`, configured by the environment.

It records, or scrapes, while a signal handler raises every millisecond, and the service goes on. Then it prints one
line: whether telemetry still answers, and whether what was recorded has arrived.
"""

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable

from otel_ha import measured, setup_telemetry, turn
from otel_ha.vocabulary import ingest
from tests.e2e.interrupted import CATALOG, JOBS, LEVEL, VISITS, WAIT, value

SECONDS = 2.0


class Stop(BaseException):
    """Raised by the handler, as Ctrl-C in a notebook or a task's time limit."""


def interrupted(work: Callable[[], object]) -> tuple[int, int]:
    """Call `work` again and again while a handler raises; return how often it ended, and how often it did not."""
    may_raise = False

    def handle(*_: object) -> None:
        nonlocal may_raise
        if may_raise:
            may_raise = False  # Python drops what is raised in a finalizer or a callback of its own; `while` sees this
            raise Stop

    done, stopped, end = 0, 0, time.monotonic() + SECONDS

    def until_raised() -> None:
        # In a function: in Python 3.13, `except` does not cover what is raised at the jump back of its own loop.
        nonlocal done
        while may_raise:
            work()
            done += 1

    signal.signal(signal.SIGALRM, handle)
    while time.monotonic() < end:
        try:
            may_raise = True
            signal.setitimer(signal.ITIMER_REAL, 0.001 + stopped % 97 / 50_000)
            until_raised()
        except Stop:
            pass
        stopped += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return done, stopped


@measured(ingest.EVENT, source="mqtt")
def handle_event() -> None:
    """Handle an event."""


WORK: dict[str, tuple[Callable[[], object], str]] = {
    "counter": (lambda: JOBS.add(1), "test_jobs_total"),
    "histogram": (lambda: WAIT.record(0.1), "test_wait_seconds_count"),
    "expiring": (lambda: VISITS.add(1, key="a"), "test_visits_total"),
    "gauge": (lambda: LEVEL.set(1, key="a"), ""),
    "event": (handle_event, ""),
}


def main(way: str) -> None:
    """Record in a way, or scrape."""
    telemetry = setup_telemetry("test", catalog=CATALOG)
    work, name = WORK.get(way, (telemetry.prometheus_text, ""))
    if way == "collection":
        work = telemetry.pipeline.scrape.collect
    done, stopped = interrupted(work)
    assert stopped > 100, "the handler was not called"
    # Recordings that the handler has cut off may have arrived.
    arrived = not name or done <= value(telemetry, name) <= done + stopped
    print(arrived, turn.is_working(), telemetry.flush(), in_thread(telemetry), telemetry.pipeline.gate.waiting)


def in_thread(telemetry) -> float:
    """Return what a scrape in another thread sees of one recording."""
    found: list[float] = []

    def look() -> None:
        before = value(telemetry, "test_wait_seconds_count")
        WAIT.record(0.1)
        found.append(value(telemetry, "test_wait_seconds_count") - before)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(20)
    return found[0] if found else 0


if __name__ == "__main__":
    faulthandler.dump_traceback_later(45, exit=True)
    main(sys.argv[1])
