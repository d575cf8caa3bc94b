"""Cost of the history. Run as a module, it fills a history with one kind of series and prints the cost."""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable

from benchmarks import children
from benchmarks.tables import Table
from otel_ha import Attribute, Catalog, Counter, Histogram, Telemetry, TelemetryConfig, setup_telemetry

COLLECTIONS, SERIES = 100, 500
MEMORY, EACH = "kept, kB", "bytes per series and collection"
COLLECTING, SUMMARY = "a collection, ms", "a summary, ms"
AMOUNTS = (0.0004, 0.003, 0.003, 0.04, 0.3, 2.2)

NUMBER = Attribute("acme.number", "A number.")
COUNTS = Counter("acme.counts", unit="1", description="Counts.", attributes=(NUMBER,))
TIMES = Histogram("acme.work.duration", unit="s", description="Time.", attributes=(NUMBER,))


def count(number: str) -> None:
    """Count once."""
    COUNTS.add(1, number=number)


def record(number: str) -> None:
    """Record six values in five buckets."""
    for amount in AMOUNTS:
        TIMES.record(amount, number=number)


def nothing(_: str) -> None:
    """Record nothing."""


KINDS: dict[str, tuple[str, Callable[[str], None], Callable[[str], None]]] = {
    "counters": ("counters that count in every interval", count, count),
    "histograms": ("histograms that record six values in every interval", record, record),
    "idle": ("histograms that recorded once", record, nothing),
}
"""By key: the name of a row, a function that makes a series, and one for its work in every interval."""


def measure(_: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    about = (
        f"A full history: {COLLECTIONS} collections of {SERIES} series of one kind. The memory is the growth of "
        "Python's objects from the first collection to the last, as tracemalloc counts them, without the series "
        "themselves. Times come from other processes, without tracemalloc. A summary takes a collection and computes "
        "the figures of now, of each collection, and of minutes and hours."
    )
    table = Table("history", "The history", about, (MEMORY, EACH, COLLECTING, SUMMARY))
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(1 if quick else 3):
        children.progress(f"history: round {number + 1}")
        for kind, (title, _, _) in KINDS.items():
            for mode in ("memory", "time"):
                for column, sample in children.run("history", kind, mode).items():
                    found[title][column].append(sample)
    for title, columns in found.items():
        for column, samples in columns.items():
            table.put(title, column, samples)
    return [table]


def kept(kind: str, mode: str) -> dict[str, float]:
    """Measure one kind of series in this process and return the columns."""
    _, make, work = KINDS[kind]
    config = TelemetryConfig(
        environ={}, metrics_exporters=(), system_metrics=False, history_length=COLLECTIONS, history_interval=3600
    )
    with setup_telemetry("benchmark", config=config, catalog=Catalog(COUNTS, TIMES)) as telemetry:
        for number in range(SERIES):
            make(str(number))
        keep = _keeping(telemetry)
        keep()
        return _memory(work, keep) if mode == "memory" else _times(work, keep, telemetry)


def _keeping(telemetry: Telemetry) -> Callable[[], None]:
    """Return a function that takes a regular collection now; the next one is an hour away."""
    assert telemetry.pipeline is not None
    assert telemetry.pipeline.history is not None
    return telemetry.pipeline.history.collect_and_store


def _memory(work: Callable[[str], None], keep: Callable[[], None]) -> dict[str, float]:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _fill(work, keep)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    return {MEMORY: grown / 1e3, EACH: grown / SERIES / COLLECTIONS}


def _times(work: Callable[[str], None], keep: Callable[[], None], telemetry: Telemetry) -> dict[str, float]:
    _fill(work, keep)
    return {COLLECTING: _milliseconds(keep), SUMMARY: _milliseconds(telemetry.summary)}


def _fill(work: Callable[[str], None], keep: Callable[[], None]) -> None:
    for _ in range(COLLECTIONS):
        for number in range(SERIES):
            work(str(number))
        keep()


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("mode", choices=("memory", "time"))
    arguments = parser.parse_args()
    children.say(kept(arguments.kind, arguments.mode))
