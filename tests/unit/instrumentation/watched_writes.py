"""The metrics of an instrumented client of InfluxDB, as a MeterProvider of the program collects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider

from otel_ha.declare.instruments import Instrument
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ingest
from tests.recorded import MemoryReader


class Writes:
    """The metrics of writes."""

    def __init__(self, reader: MemoryReader) -> None:
        self._reader = reader

    def of(self, instrument: Instrument, *keywords: str) -> dict[Any, Any]:
        """The values by these attributes: by one of them, or by a tuple."""
        names = [each.name for keyword in keywords for each in instrument.attributes if each.keyword == keyword]
        found = {}
        for attributes, value in self._reader.collected().get(instrument.name, {}).items():
            key = tuple(dict(attributes).get(name) for name in names)
            found[key[0] if len(key) == 1 else key] = value
        return found

    @property
    def points(self) -> dict[tuple[str, str | None], int]:
        """The points by outcome and error type."""
        return self.of(ingest.POINTS_WRITTEN, "outcome", "error_type")

    @property
    def requests(self) -> dict[tuple[str, str | None], int]:
        """The writes by outcome and error type."""
        found = self.of(ingest.WRITE_DURATION, "outcome", "error_type")
        return {key: value.count for key, value in found.items()}

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
    """Instrument libraries on a MeterProvider until the block ends."""
    reader = MemoryReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for instrumentor in instrumentors:
        instrumentor.instrument(meter_provider=provider)
    running = running_telemetry()
    assert running is not None
    reader.gate = running.pipeline.gate
    try:
        yield Writes(reader)
    finally:
        for instrumentor in instrumentors:
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
        provider.shutdown()
