"""Reading: the values that the demo shows, from the text of a scrape; quantiles are from the history if it is on."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from examples.ingestor.accounting import Accounting, accounting, samples
from otel_ha.declare.instruments import Histogram
from otel_ha.history import History
from otel_ha.vocabulary import ingest

HISTOGRAMS = {
    "process": ingest.EVENT_DURATION,
    "transform": ingest.TRANSFORM_DURATION,
    "write": ingest.WRITE_DURATION,
    "lag": ingest.LAG_TO_WRITE,
}
SHARES = (0.5, 0.95, 0.99)
WINDOW = 300.0
"""The seconds that the figures of the status page cover."""
CPU = "process_cpu_time_seconds_total"
MEMORY = "process_memory_usage_bytes"


@dataclass(frozen=True)
class Reading:
    """The values of one scrape. `quantiles` are estimates in seconds, by histogram and share.

    They are those of the status page, over its last minutes, or without a history over the whole run.

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


def reading(prometheus_text: str, history: History | None = None) -> Reading:
    """Return the values in the text of a scrape, with the quantiles of the history if there is one.

    The buckets of a scrape are wide: a quantile from them may be twice the one on the status page.
    """
    sums = sum_up(prometheus_text)
    value = sums.values.get
    return Reading(
        time=time.monotonic(),
        accounting=accounting(prometheus_text),
        quantiles={
            name: quantiles_of(sums, histogram) if history is None else recent_quantiles(history, histogram)
            for name, histogram in HISTOGRAMS.items()
        },
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
    return {share: bucket_quantile(share, buckets) for share in SHARES}


def recent_quantiles(history: History, histogram: Histogram) -> dict[float, float]:
    """Return the same from the history, over the time that the status page covers; NaN without a measurement."""
    with history.reading():
        found = history.over(WINDOW).distribution(histogram)
        values = [math.nan] * len(SHARES) if found.is_empty else found.quantiles(SHARES)
    return dict(zip(SHARES, values, strict=True))


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
