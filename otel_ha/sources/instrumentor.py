"""The instrumentor of OpenTelemetry's system metrics, of which only what it reads is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation

Callback = Callable[[CallbackOptions], Iterator[Observation]]


def callbacks_of(parts: Mapping[str, Sequence[str] | None]) -> Mapping[str, Callback]:
    """Return what an instrumentor would have a meter call, by the name of the instrument.

    `parts` names the instruments and which parts of each are wanted. What the platform lacks is not there.
    """
    meter = _CapturingMeter()
    config = {name: wanted and list(wanted) for name, wanted in parts.items()}
    _Instrumentor(config=config).instrument(meter_provider=meter)
    return meter.callbacks


class _Instrumentor(SystemMetricsInstrumentor):
    """The instrumentor without its singleton, which ignores every configuration but the first and a fork as well.

    The service's own use of SystemMetricsInstrumentor is not touched by ours, nor ours by it.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Return an instance of its own."""
        return object.__new__(cls)


class _CapturingMeter:
    """As much of a MeterProvider and of its Meter as the instrumentor uses: keeps the callbacks, makes nothing."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Callback] = {}

    def get_meter(self, *_: Any, **__: Any) -> Self:
        """Return itself."""
        return self

    def create_observable_counter(self, name: str, callbacks: Sequence[Callback], **_: Any) -> None:
        """Keep the callback of an instrument."""
        self.callbacks[name] = callbacks[0]

    create_observable_gauge = create_observable_counter
    create_observable_up_down_counter = create_observable_counter
