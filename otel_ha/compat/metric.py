"""Metric: the series of one registered name in bounded memory, and the last values recorded."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_ha.compat.spelling import OVERFLOW, Labels

MOST_SERIES: Final = 1_000
"""Series of one name; beyond that, counters and histograms add up in one more, and gauges ignore new ones."""

MOST_VALUES: Final = 100
"""Values of one name that are kept one by one."""

BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The bounds of a histogram that is registered without any."""

PARTS: Final = ("_bucket", "_sum", "_count")
"""The endings of the samples of a histogram."""


@dataclass(slots=True)
class MetricValue:
    """One recorded value, with its time in seconds since the epoch."""

    value: float
    timestamp: float
    labels: dict[str, str] = field(default_factory=dict)


class Distribution:
    """The counts of a histogram's buckets, not cumulative, and the sum of its values."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect_left(self._buckets, value)] += 1
        self.sum += value


class Metric:
    """A registered name with its series; `type` is counter, gauge or histogram.

    `values` has the last 100 values, newest last. The oldest one of a counter includes all earlier ones, so that the
    sum is the total.
    """

    def __init__(self, name: str, help_text: str, type: str, buckets: Sequence[float] | None = None) -> None:  # noqa: A002 - the earlier name
        self.name = name
        self.help_text = help_text
        self.type = type
        self.buckets = None if buckets is None else list(buckets)
        self.created_at = time.time()
        self.numbers: dict[Labels, float] = {}
        """The series of a counter or gauge."""
        self.distributions: dict[Labels, Distribution] = {}
        """The series of a histogram."""
        self._values: deque[MetricValue] = deque()
        self.count = 0
        """The number of values recorded since the last clear()."""

    @property
    def values(self) -> list[MetricValue]:
        """The last values, newest last; a copy."""
        return list(self._values)

    def record(self, value: float, labels: Labels) -> bool:
        """Record a value; return whether it found a place of its own."""
        series = self.distributions if self.type == "histogram" else self.numbers
        kept = within_limit(series, labels, self.type)
        if kept is not None:
            self._add(value, kept)
            self._remember(MetricValue(value, time.time(), dict(kept)))
        return kept == labels

    def _add(self, value: float, labels: Labels) -> None:
        if self.type == "histogram":
            self.distributions.setdefault(labels, Distribution(self.buckets or BUCKETS)).add(value)
        elif self.type == "counter":
            self.numbers[labels] = self.numbers.get(labels, 0.0) + value
        else:
            self.numbers[labels] = value

    def _remember(self, value: MetricValue) -> None:
        self.count += 1
        self._values.append(value)
        if len(self._values) > MOST_VALUES:
            oldest = self._values.popleft()
            if self.type == "counter":
                after = self._values[0]
                self._values[0] = MetricValue(oldest.value + after.value, after.timestamp)

    def clear(self) -> None:
        """Forget all values."""
        self.numbers.clear()
        self.distributions.clear()
        self._values.clear()
        self.count = 0


def samples_of(name: str, kind: str) -> set[str]:
    """Return the names that the samples of a metric have or, as those of a histogram, reserve."""
    return {name, *(name + part for part in PARTS)} if kind == "histogram" else {name}


def within_limit(
    series: dict[Labels, float] | dict[Labels, Distribution] | set[Labels], labels: Labels, kind: str
) -> Labels | None:
    """Return the labels of the series that takes a value; None if a gauge has no place for it."""
    if labels in series or len(series) < MOST_SERIES:
        return labels
    return None if kind == "gauge" else OVERFLOW
