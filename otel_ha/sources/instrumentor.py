"""OpenTelemetry's SystemMetricsInstrumentor, used only for its readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation

Callback = Callable[[CallbackOptions], Iterator[Observation]]


def callbacks_of(parts: Mapping[str, Sequence[str] | None]) -> Mapping[str, Callback]:
    """Return the callbacks that an instrumentor registers with a meter, by the name of the instrument.

    `parts` has the names of the instruments and the requested parts of each. Instruments that the platform lacks are
    missing.
    """
    meter = _CapturingMeter()
    config = {name: wanted and list(wanted) for name, wanted in parts.items()}
    _Instrumentor(config=config).instrument(meter_provider=meter)
    return meter.callbacks


class _Instrumentor(SystemMetricsInstrumentor):
    """The instrumentor, but not a singleton: that one ignores forks, and all configurations except the first.

    It does not affect the service's own use of SystemMetricsInstrumentor, nor the other way round.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Return a new instance."""
        return object.__new__(cls)


class _CapturingMeter:
    """The parts of MeterProvider and Meter that the instrumentor uses: stores callbacks, creates no instruments."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Callback] = {}

    def get_meter(self, *_: Any, **__: Any) -> Self:
        """Return itself."""
        return self

    def create_observable_counter(self, name: str, callbacks: Sequence[Callback], **_: Any) -> None:
        """Store the callback of an instrument."""
        self.callbacks[name] = callbacks[0]

    create_observable_gauge = create_observable_counter
    create_observable_up_down_counter = create_observable_counter
