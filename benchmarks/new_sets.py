"""Cost of attribute sets that are new: each is recorded once, and collected for the first time.

Run as a module, it measures in its own process and prints the samples.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import prometheus_client
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View

from benchmarks import children
from benchmarks.tables import Table, ratios
from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Histogram,
    Operation,
    TelemetryConfig,
    UpDownCounter,
    measured,
    setup_telemetry,
)
from otel_ha.vocabulary import ingest

SETS = 1000
DAY = 86_400.0
ENOUGH = 100_000
"""Series that are allowed: nothing folds."""

ROWS = COUNTER, OPERATION = "a counter", "a measured operation"
OURS, SDK = "otel-ha, µs", "OpenTelemetry by hand, 2 readers, µs"
RATIO = "otel-ha / OpenTelemetry"

SOURCE = Attribute("acme.source", "The source.")
DEVICE = Attribute("acme.device", "The device, which is new each time.")
STATE = Attribute("acme.state", "The state of the work.", values=("queued", "active"))
OUTCOME = Attribute("acme.outcome", "The outcome.", values=("ok", "error", "cancelled"))
READ = Counter("acme.read", unit="{event}", description="Readings.", attributes=(SOURCE, DEVICE), series=ENOUGH)
RECEIVED = Counter("acme.received", unit="{event}", description="Work received.", attributes=(SOURCE,))
IN_FLIGHT = UpDownCounter("acme.in_flight", unit="{event}", description="Work in flight.", attributes=(SOURCE, STATE))
DURATION = Histogram(
    "acme.work.duration",
    unit="s",
    description="Time of work.",
    attributes=(SOURCE, DEVICE, OUTCOME),
    buckets=ingest.PROCESSING,
    series=ENOUGH,
)
WORK = Operation(duration=DURATION, in_flight=IN_FLIGHT, received=RECEIVED)


@dataclass(frozen=True)
class Side:
    """One library with two readers: what it does for a new device, its next collection, and its end."""

    record: dict[str, Callable[[str], object]]
    """By row of the table."""
    collect: Callable[[], str]
    """Scrapes and pushes; returns the text of the scrape."""
    end: Callable[[], object]


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    found: dict[str, dict[str, list[float]]] = children.run("new_sets", receiver, 2 if quick else 15)
    about = (
        f"CPU time of the process for each of {SETS:,} attribute sets that are recorded once, their first collection "
        "included. Both sides have the same two readers and do all of their work: the text of a scrape, and a push by "
        "OTLP that is encoded and sent. otel-ha also keeps its history, which is collected as well. A measured "
        "operation is a decorated function with one computed attribute; it counts as received and in flight, then "
        "with its duration, and as no longer in flight. Each round has a fresh provider, with one set of each "
        "instrument collected before; both sides take turns, and ratios are taken within a round."
    )
    table = Table("new_sets", "New attribute sets", about, (OURS, SDK, RATIO))
    for row, samples in found.items():
        for column in (OURS, SDK):
            table.put(row, column, samples[column])
        table.put(row, RATIO, ratios(samples[OURS], samples[SDK]))
    return [table]


def samples_of(receiver: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return microseconds per set, one sample per round, by row and column."""
    found: dict[str, dict[str, list[float]]] = {row: defaultdict(list) for row in ROWS}
    for number in range(rounds):
        children.progress(f"new_sets: round {number + 1} of {rounds}")
        for row, columns in found.items():
            for column, make in ((OURS, ours), (SDK, opentelemetry)):
                columns[column].append(burst(make(receiver), row))
    return found


def burst(side: Side, row: str, sets: int = SETS) -> float:
    """Return the CPU time for each new set, in microseconds, with the next collection; ends the side."""
    for record in side.record.values():
        record("first")
    for _ in range(2):
        side.collect()
    record, devices = side.record[row], [f"device-{number}" for number in range(sets)]
    gc.collect()
    began = time.process_time()
    for device in devices:
        record(device)
    side.collect()
    took = time.process_time() - began
    side.end()
    return took / sets * 1e6


def ours(receiver: str) -> Side:
    """Return the side of otel-ha."""
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("prometheus", "otlp"),
        otlp_endpoint=receiver,
        export_interval=DAY,
        history_interval=DAY,
        prometheus_port=0,
        system_metrics=False,
        operations_metrics=False,
    )
    telemetry = setup_telemetry("benchmark", config=config, catalog=Catalog(READ, *WORK.instruments))
    work = measured(WORK, source="mqtt", device=lambda device: device)(_worked)

    def collect() -> str:
        text = telemetry.prometheus_text()
        telemetry.flush()
        if telemetry.history is not None:
            telemetry.history.collect()
        return text

    return Side(
        {COUNTER: lambda device: READ.add(1, source="mqtt", device=device), OPERATION: work},
        collect,
        telemetry.shutdown,
    )


def opentelemetry(receiver: str) -> Side:
    """Return the side of OpenTelemetry's SDK and exporters, used by hand."""
    registry = prometheus_client.CollectorRegistry()
    exporter = OTLPMetricExporter(endpoint=f"{receiver}/v1/metrics")
    pushing = PeriodicExportingMetricReader(exporter, export_interval_millis=DAY * 1e3)
    provider = MeterProvider(
        [PrometheusMetricReader(scope_info_enabled=False, registry=registry), pushing],
        views=_unlimited(),
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("benchmark")
    read, received = meter.create_counter(READ.name), meter.create_counter(RECEIVED.name)
    in_flight = meter.create_up_down_counter(IN_FLIGHT.name)
    duration = meter.create_histogram(
        DURATION.name, unit="s", explicit_bucket_boundaries_advisory=list(ingest.PROCESSING)
    )
    source, active = {"acme.source": "mqtt"}, {"acme.source": "mqtt", "acme.state": "active"}

    def work(device: str) -> None:
        received.add(1, source)
        in_flight.add(1, active)
        began = time.perf_counter()
        _worked(device)
        elapsed = time.perf_counter() - began
        duration.record(elapsed, {"acme.source": "mqtt", "acme.device": device, "acme.outcome": "ok"})
        in_flight.add(-1, active)

    def collect() -> str:
        text = prometheus_client.generate_latest(registry).decode()
        pushing.force_flush()
        return text

    return Side(
        {COUNTER: lambda device: read.add(1, {"acme.source": "mqtt", "acme.device": device}), OPERATION: work},
        collect,
        provider.shutdown,
    )


def _unlimited() -> list[View]:
    """Return Views that let every set through, on versions of the SDK that have a limit."""
    limit: dict[str, Any] = {}
    if "aggregation_cardinality_limit" in inspect.signature(View).parameters:
        limit["aggregation_cardinality_limit"] = ENOUGH
    return [View(instrument_name=each.name, **limit) for each in (READ, DURATION)]


def _worked(device: str) -> None:
    """Stand in for the work."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("receiver")
    parser.add_argument("rounds", type=int)
    arguments = parser.parse_args()
    children.say(samples_of(arguments.receiver, arguments.rounds))
