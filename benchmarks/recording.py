"""What recording costs, side by side with its peers in one run: `python -m benchmarks.recording [--seconds N]`.

Every row is timed in turn, round after round, so that a machine whose speed drifts slows all of them alike; the figures
are medians of the rounds, and ratios to the first row of their table. Trust the ratios, not the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest

CALLS = 500
READERS = (1, 2, 3)


@dataclass(frozen=True)
class Row:
    """One way to do the work; `run` does it CALLS times."""

    name: str
    run: Callable[[], object]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure (default 10)")
    seconds = parser.parse_args().seconds
    rows = [Row("a bare call", repeated(bare)), Row("one that reads the clock twice", repeated(clocked))]
    rows += [Row("inert: measured()", repeated(ours)), Row("inert: a counter", repeated(add))]
    rows += peers()
    config = TelemetryConfig(environ={}, metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
    inert = rounds(rows[2:4], seconds / 10)
    with setup_telemetry("benchmark", config=config):
        live = [
            Row("otel-ha: a counter", repeated(add)),
            Row("otel-ha: measured(), all of an event", repeated(ours)),
            Row("otel-ha: measured(), a coroutine", ours_async),
        ]
        timed = rounds(rows[:2] + rows[4:] + live, seconds)
    show({**timed, **inert})


def rounds(rows: list[Row], seconds: float) -> dict[str, list[float]]:
    """Return microseconds a call, one figure a round, of each row."""
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not found[rows[-1].name]:
        for row in rows:
            start = time.perf_counter()
            row.run()
            found[row.name].append((time.perf_counter() - start) / CALLS * 1e6)
    return found


def show(found: dict[str, list[float]]) -> None:
    """Print medians, the ratio to the bare call, and the spread."""
    base = statistics.median(found["a bare call"])
    print(f"{'':44}{'µs':>9}{'ratio':>9}{'10 %-90 %':>18}")
    for name, figures in found.items():
        middle = statistics.median(figures)
        low, *_, high = statistics.quantiles(figures, n=10) if len(figures) > 1 else (middle, middle)
        print(f"{name:44}{middle:9.3f}{middle / base:9.1f}{low:9.2f}-{high:.2f}")


def repeated(work: Callable[[], object]) -> Callable[[], None]:
    """Return a function that does the work CALLS times."""

    def run() -> None:
        for _ in range(CALLS):
            work()

    return run


def bare() -> None:
    """Stand for the work."""


def clocked() -> float:
    """Take the time of a bare call."""
    start = time.perf_counter()
    bare()
    return time.perf_counter() - start


def add() -> None:
    """Count one thing with two attributes."""
    ingest.DISCARDED.add(1, source="mqtt", reason="duplicate")


@measured(ingest.EVENT, source="mqtt", domain="light")
def ours() -> None:
    """Stand for the work, measured in full."""


@measured(ingest.EVENT, source="mqtt", domain="light")
async def ours_coroutine() -> None:
    """Stand for the work, measured in full."""


def ours_async() -> None:
    """Await the measured coroutine CALLS times."""

    async def run() -> None:
        for _ in range(CALLS):
            await ours_coroutine()

    asyncio.run(run())


def peers() -> list[Row]:
    """Return the same by hand: with the SDK and 1, 2, 3 readers, with prometheus_client by labels() and held."""
    rows = [Row(f"OpenTelemetry by hand, {n} reader{'s' * (n > 1)}", repeated(by_hand(n))) for n in READERS]
    registry = prometheus_client.CollectorRegistry()
    names = ("source", "domain", "outcome")
    duration = prometheus_client.Histogram("duration", "", names, registry=registry, buckets=ingest.PROCESSING)
    received = prometheus_client.Counter("received", "", names[:1], registry=registry)
    in_flight = prometheus_client.Gauge("in_flight", "", names[:1], registry=registry)

    def labelled() -> None:
        start = time.perf_counter()
        received.labels("mqtt").inc()
        in_flight.labels("mqtt").inc()
        bare()
        duration.labels("mqtt", "light", "ok").observe(time.perf_counter() - start)
        in_flight.labels("mqtt").dec()

    held_received, held_in_flight = received.labels("mqtt"), in_flight.labels("mqtt")
    held_duration = duration.labels("mqtt", "light", "ok")

    def held() -> None:
        start = time.perf_counter()
        held_received.inc()
        held_in_flight.inc()
        bare()
        held_duration.observe(time.perf_counter() - start)
        held_in_flight.dec()

    return [
        *rows,
        Row("prometheus_client, labels()", repeated(labelled)),
        Row("prometheus_client, children held", repeated(held)),
    ]


def by_hand(readers: int) -> Callable[[], None]:
    """Return an event measured in full with the SDK, its attributes made once."""
    provider = MeterProvider([InMemoryMetricReader() for _ in range(readers)], shutdown_on_exit=False)
    meter = provider.get_meter("benchmark")
    duration = meter.create_histogram("duration", explicit_bucket_boundaries_advisory=ingest.PROCESSING)
    received, in_flight = meter.create_counter("received"), meter.create_up_down_counter("in_flight")
    source, ended = {"source": "mqtt"}, {"source": "mqtt", "domain": "light", "outcome": "ok"}

    def run() -> None:
        start = time.perf_counter()
        received.add(1, source)
        in_flight.add(1, source)
        bare()
        duration.record(time.perf_counter() - start, ended)
        in_flight.add(-1, source)

    return run


if __name__ == "__main__":
    main()
