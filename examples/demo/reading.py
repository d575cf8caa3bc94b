"""Reading: the values that the demo shows, calculated from the text of a scrape as Prometheus would calculate them."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from examples.ingestor.accounting import Accounting, accounting, samples
from otel_ha.declare.instruments import Histogram
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
class Reading:
    """The values of one scrape. `quantiles` are estimates in seconds over the whole run, by histogram and share.

    `time` is in seconds of a monotonic clock, `oldest` and `cpu` in seconds, `bytes_in` and `memory` in bytes. CPU and
    memory are NaN if the system metrics are off.
    """

    time: float
    accounting: Accounting
    quantiles: dict[str, dict[float, float]]
    queued: float
    oldest: float
    bytes_in: float
    cpu: float
    memory: float


@dataclass
class Sums:
    """Sums over all series: of values by sample name, of bucket counts by sample name and upper bound."""

    values: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    buckets: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))


def reading(prometheus_text: str) -> Reading:
    """Return the values in the text of a scrape."""
    sums = sum_up(prometheus_text)
    value = sums.values.get
    return Reading(
        time=time.monotonic(),
        accounting=accounting(prometheus_text),
        quantiles={name: quantiles_of(sums, histogram) for name, histogram in HISTOGRAMS.items()},
        queued=value(ingest.QUEUE_SIZE.prometheus_name, 0),
        oldest=value(ingest.QUEUE_AGE.prometheus_name, 0),
        bytes_in=value(ingest.DATA_RECEIVED.prometheus_name, 0),
        cpu=value(CPU, math.nan),
        memory=value(MEMORY, math.nan),
    )


def sum_up(prometheus_text: str) -> Sums:
    """Add up the samples in the text of a scrape. Of the queues only `ingest` counts: its items are events."""
    sums = Sums()
    for sample in samples(prometheus_text):
        if sample.name.endswith("_bucket"):
            sums.buckets[sample.name][float(sample.labels["le"])] += sample.value
        elif sample.labels.get("homeassistant_queue", "ingest") == "ingest":
            sums.values[sample.name] += sample.value
    return sums


def quantiles_of(sums: Sums, histogram: Histogram) -> dict[float, float]:
    """Return the median and the 95th and 99th percentile of a histogram."""
    buckets = sums.buckets[f"{histogram.prometheus_name}_bucket"].items()
    return {share: bucket_quantile(share, buckets) for share in (0.5, 0.95, 0.99)}


def bucket_quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float:
    """Return an estimate of a quantile from cumulative buckets (upper bound, count); NaN if they are empty.

    Follows Prometheus' histogram_quantile: values are spread evenly within a bucket, the lowest bucket begins at 0, and
    a quantile in the bucket without an upper bound is that bucket's lower bound.
    """
    ascending = sorted(buckets)
    total = ascending[-1][1] if ascending else 0.0
    rank, lower, below = share * total, 0.0, 0.0
    for upper, count in ascending:
        if count >= rank and count > below:
            return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    return math.nan
