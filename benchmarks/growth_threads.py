"""Growth by threads: events per second, CPU per event and exactness with many writing threads.

Run as a module, it lets threads of one library record for a while and prints the figures.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import children, ways
from benchmarks.tables import Table
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.record.collected import metrics_of

THREADS, QUICK = (1, 2, 4, 8, 16, 32), (1, 4)
CALLS = 50
"""Calls between two looks at the clock."""
TITLES = {"otel_ha": "otel-ha", "sdk": "OpenTelemetry by hand", "client": "prometheus_client by hand"}
RATE, CPU, LOST = "events/s", "µs of CPU per event", "events lost"

Event = Callable[[], object]
Count = Callable[[], float]
"""Returns the number of events that a scrape or a collection has."""


def column(library: str, figure: str) -> str:
    """Return the name of a column."""
    return f"{TITLES[library]}, {figure}"


def measure(receiver: str, *, quick: bool) -> Table:
    """Measure and return the table."""
    rounds, seconds = (1, 0.3) if quick else (2, 1.0)
    about = (
        f"Threads that record full events as fast as they can, all of them to the same series, for {seconds:g} s, in a "
        "fresh process for each library and number of threads. CPU is that of the process, so it includes waiting for "
        "Python's lock. OpenTelemetry and otel-ha have two readers. Lost are the events that are not in the scrape "
        "or the collection afterwards."
    )
    table = Table("growth_threads", "Growth: threads", about, tuple(column(a, b) for b in FIGURES for a in TITLES))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for threads in QUICK if quick else THREADS:
            row = f"{threads} thread{'s' * (threads > 1)}"
            children.progress(f"growth: {row}, round {number + 1} of {rounds}")
            for library in TITLES:
                for figure, sample in children.run("growth_threads", library, threads, seconds, receiver).items():
                    found[row, column(library, figure)].append(sample)
    for (row, name), samples in found.items():
        table.put(row, name, samples)
    return table


FIGURES = (RATE, CPU, LOST)


# ---- The process


def figures(event: Event, count: Count, threads: int, seconds: float) -> dict[str, float]:
    """Let so many threads record for so many seconds, and return the figures."""
    made: list[int] = []
    start = threading.Barrier(threads + 1)
    event()  # resolves the attribute set
    before = count()

    def work() -> None:
        calls = 0
        start.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(CALLS):
                event()
            calls += CALLS
        made.append(calls)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    began, cpu = time.perf_counter(), time.process_time()
    start.wait()
    for worker in workers:
        worker.join()
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    total = sum(made)
    return {RATE: total / elapsed, CPU: 1e6 * cpu / total, LOST: total - (count() - before)}


def _measured(library: str, threads: int, seconds: float, receiver: str) -> dict[str, float]:
    if library == "sdk":
        readers = [InMemoryMetricReader() for _ in range(2)]
        return figures(ways.opentelemetry_to(readers)[ways.OTEL], lambda: _collected(readers[0]), threads, seconds)
    if library == "client":
        registry = CollectorRegistry()
        event = ways.prometheus_to(registry)[ways.PROMETHEUS]
        return figures(event, lambda: _scraped(generate_latest(registry).decode()), threads, seconds)
    config = TelemetryConfig(environ={}, otlp_endpoint=receiver, prometheus_port=0, history_length=0)
    with setup_telemetry("benchmark", config=config) as telemetry:
        return figures(ways.ours()[ways.OURS], lambda: _scraped(telemetry.prometheus_text()), threads, seconds)


def _scraped(text: str) -> float:
    """Return the number of durations in the text of a scrape."""
    names = ("duration_count", "homeassistant_event_process_duration_seconds_count")
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name in names)


def _collected(reader: InMemoryMetricReader) -> float:
    """Return the number of durations in a collection."""
    data = reader.get_metrics_data()
    metrics = [] if data is None else [metric for _, _, metric in metrics_of(data) if metric.name == "duration"]
    return sum(point.count for metric in metrics for point in metric.data.data_points)  # type: ignore[union-attr]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=TITLES)
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("receiver")
    arguments = parser.parse_args()
    children.say(_measured(arguments.library, arguments.threads, arguments.seconds, arguments.receiver))
