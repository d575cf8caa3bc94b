"""Figures: what the table shows, read from the text of a scrape as Prometheus would read it."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from examples.ingestor.accounting import Accounting, accounting, samples
from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.vocabulary import ingest

HISTOGRAMS = {
    "process": ingest.EVENT_DURATION,
    "transform": ingest.TRANSFORM_DURATION,
    "write": ingest.WRITE_DURATION,
    "lag": ingest.LAG_TO_WRITE,
}
CPU = "process_cpu_time_seconds_total"
MEMORY = "process_memory_usage_bytes"


@dataclass(frozen=True)
class Figures:
    """What one scrape says; `quantiles` are estimates in seconds from the buckets, over the whole run."""

    time: float
    accounting: Accounting
    quantiles: dict[str, dict[float, float]]
    queued: float
    oldest: float
    bytes_in: float
    cpu: float
    memory: float


@dataclass
class Reading:
    """Sums over all series, by the name of the sample and, for buckets, by their bound."""

    values: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    buckets: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))


def figures(prometheus_text: str) -> Figures:
    """Return what the text of a scrape says."""
    reading = Reading()
    for sample in samples(prometheus_text):
        if sample.name.endswith("_bucket"):
            reading.buckets[sample.name][float(sample.labels["le"])] += sample.value
        elif sample.name != ingest.QUEUE_SIZE.prometheus_name or sample.labels["homeassistant_queue"] == "ingest":
            reading.values[sample.name] += sample.value
    value = reading.values.get
    return Figures(
        time=time.monotonic(),
        accounting=accounting(prometheus_text),
        quantiles={name: quantiles_of(reading, histogram) for name, histogram in HISTOGRAMS.items()},
        queued=value(name_of(ingest.QUEUE_SIZE), 0),
        oldest=value(name_of(ingest.QUEUE_AGE), 0),
        bytes_in=value(name_of(ingest.DATA_RECEIVED), 0),
        cpu=value(CPU, math.nan),
        memory=value(MEMORY, math.nan),
    )


def name_of(instrument: Instrument) -> str:
    """Return the name that Prometheus has for an instrument."""
    return instrument.prometheus_name


def quantiles_of(reading: Reading, histogram: Histogram) -> dict[float, float]:
    """Return the median and the 95th and 99th percentile of a histogram."""
    buckets = reading.buckets[f"{histogram.prometheus_name}_bucket"].items()
    return {q: quantile(q, buckets) for q in (0.5, 0.95, 0.99)}


def quantile(q: float, buckets: Iterable[tuple[float, float]]) -> float:
    """Return an estimate of a quantile from cumulative buckets (upper bound, count), NaN if they are empty.

    As Prometheus' histogram_quantile: within a bucket values are taken to be spread evenly, the lowest begins at 0, and
    in the one without an upper bound the answer is its lower bound.
    """
    ascending = sorted(buckets)
    total = ascending[-1][1] if ascending else 0.0
    rank, lower, below = q * total, 0.0, 0.0
    for upper, count in ascending:
        if count >= rank and count > below:
            return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    return math.nan
