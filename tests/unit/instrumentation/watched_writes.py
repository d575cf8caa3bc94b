"""The metrics of an instrumented client of InfluxDB, as the test kit captures them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otel_ha.declare.instruments import Instrument
from otel_ha.testing import CapturedMetrics, captured_metrics
from otel_ha.vocabulary import ingest


class Writes:
    """The metrics of writes."""

    def __init__(self, metrics: CapturedMetrics) -> None:
        self.metrics = metrics

    def of(self, instrument: Instrument, *keywords: str) -> dict[Any, Any]:
        """The values by these attributes: by one of them, or by a tuple. Of a histogram, the numbers of its values."""
        found = {}
        for series in self.metrics[instrument].series():
            key = tuple(map(series.attributes.get, keywords))
            found[key[0] if len(key) == 1 else key] = series.value
        return found

    @property
    def points(self) -> dict[tuple[str, str | None], int]:
        """The points by outcome and error type."""
        return self.of(ingest.POINTS_WRITTEN, "outcome", "error_type")

    @property
    def requests(self) -> dict[tuple[str, str | None], int]:
        """The writes by outcome and error type."""
        return self.of(ingest.WRITE_DURATION, "outcome", "error_type")

    @property
    def errors(self) -> dict[str, int]:
        """The errors by type."""
        return self.of(ingest.ERRORS, "error_type")

    @property
    def retries(self) -> int:
        return sum(self.of(ingest.RETRIES, "component").values())

    @property
    def sent(self) -> int:
        """The bytes that were sent."""
        return sum(self.of(ingest.DATA_SENT, "sink").values())

    @property
    def waiting(self) -> dict[str, int]:
        """The items in buffers."""
        return self.of(ingest.QUEUE_SIZE, "queue")


@contextmanager
def watching(*instrumentors: Any) -> Iterator[Writes]:
    """Instrument libraries, and capture what they record, until the block ends."""
    with captured_metrics() as metrics:
        try:
            for instrumentor in instrumentors:
                instrumentor.instrument()
            yield Writes(metrics)
        finally:
            for instrumentor in instrumentors:
                if instrumentor.is_instrumented_by_opentelemetry:
                    instrumentor.uninstrument()
