"""Helpers for tests of MQTT instrumentation without a broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
from opentelemetry.sdk.metrics import MeterProvider
from paho.mqtt.enums import CallbackAPIVersion

from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.telemetry import attach, running_telemetry
from otel_ha.vocabulary import ingest
from tests.recorded import Distribution, MemoryReader, accounts, unbalanced

LIGHT, SENSOR, OTHER = "homeassistant/light/lamp/state", "homeassistant/sensor/heat/state", "shellies/door"


class Seen:
    """The metrics of instrumented libraries, as a MeterProvider of the process sees them."""

    def __init__(self) -> None:
        self._reader = MemoryReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self, instrumentor: LibraryInstrumentor) -> None:
        """Instrument a library, recording on this provider."""
        if running_telemetry() is None:
            assert attach(self.provider)
        running = running_telemetry()
        assert running is not None
        assert running.pipeline is not None
        self._reader.gate = running.pipeline.gate
        instrumentor.instrument()

    def series(self, instrument: Any) -> dict[tuple[Any, ...], Any]:
        """Return the values by the attributes' values, in the order of declaration; None where one is missing."""
        names = [attribute.name for attribute in instrument.attributes]
        points = self._reader.collected().get(instrument.name, {})
        return {
            tuple(dict(key).get(name) for name in names): value.count if isinstance(value, Distribution) else value
            for key, value in points.items()
        }

    def account(self) -> dict[str, int]:
        """Return received, processed, discarded and in flight; fail unless they add up."""
        points = self._reader.collected()
        assert not unbalanced(points)
        return accounts(points).get("mqtt") or dict.fromkeys(("received", "processed", "discarded", "in_flight"), 0)

    def processed(self) -> dict[tuple[str | None, str, str | None], int]:
        """Return the number of processed events by domain, outcome and type of error."""
        return {key[1:]: count for key, count in self.series(ingest.EVENT_DURATION).items()}

    def discarded(self) -> dict[str, int]:
        """Return the number of discarded events by reason."""
        return {reason: count for (_, reason), count in self.series(ingest.DISCARDED).items()}


@contextmanager
def seen(*instrumentors: LibraryInstrumentor) -> Iterator[Seen]:
    """Instrument, with telemetry that records on a MeterProvider of the process, until the block ends."""
    metrics = Seen()
    try:
        for instrumentor in instrumentors:
            metrics.instrument(instrumentor)
        yield metrics
    finally:
        for instrumentor in instrumentors:
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
        metrics.provider.shutdown()


def client(**settings: Any) -> paho.Client:
    """Return a paho-mqtt client that is not connected."""
    return paho.Client(CallbackAPIVersion.VERSION2, **settings)


def message(topic: str | bytes = LIGHT, payload: bytes = b"on", *, retain: bool = False) -> paho.MQTTMessage:
    """Return a message as paho-mqtt makes it of a packet."""
    made = paho.MQTTMessage(0, topic if isinstance(topic, bytes) else topic.encode())
    made.payload, made.retain = payload, retain
    return made
