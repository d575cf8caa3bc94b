"""Accounting: the number of events with each outcome, read from the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from otel_ha.vocabulary import ingest


@dataclass(frozen=True)
class Accounting:
    """Numbers of events and points since the start, over all sources and sinks.

    `processed` and `points` are by outcome, `discarded` by reason.
    """

    received: int = 0
    processed: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    points: Counter[str] = field(default_factory=Counter)

    @property
    def adds_up(self) -> bool:
        """Whether received = processed + discarded + in flight."""
        return self.received == self.processed.total() + self.discarded.total() + self.in_flight

    def __str__(self) -> str:
        """Return the accounting in a line."""
        return (
            f"{self.received} events received = {self.processed.total()} processed{_parts(self.processed)}"
            f" + {self.discarded.total()} discarded{_parts(self.discarded)} + {self.in_flight} in flight;"
            f" {self.points.total()} points written{_parts(self.points)}"
        )


def accounting(prometheus_text: str) -> Accounting:
    """Return the accounting in the text of a scrape."""
    received, processed, discarded, in_flight, points = (Counter[str]() for _ in range(5))
    wanted = {
        f"{ingest.RECEIVED.prometheus_name}": (received, ""),
        f"{ingest.EVENT_DURATION.prometheus_name}_count": (processed, ingest.OUTCOME.prometheus_label),
        f"{ingest.DISCARDED.prometheus_name}": (discarded, ingest.REASON.prometheus_label),
        f"{ingest.IN_FLIGHT.prometheus_name}": (in_flight, ""),
        f"{ingest.POINTS_WRITTEN.prometheus_name}": (points, ingest.OUTCOME.prometheus_label),
    }
    for sample in samples(prometheus_text):
        if sample.name in wanted:
            counts, label = wanted[sample.name]
            counts[sample.labels.get(label, "")] += int(sample.value)
    return Accounting(received.total(), +processed, +discarded, in_flight.total(), +points)


def samples(prometheus_text: str) -> Iterator[Sample]:
    """Yield the samples in the text of a scrape."""
    for family in text_string_to_metric_families(prometheus_text):
        yield from family.samples


def _parts(counts: Counter[str]) -> str:
    return f" ({', '.join(f'{count} {part}' for part, count in sorted(counts.items()))})" if counts else ""
