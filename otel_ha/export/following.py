"""Instruments of other code that record on the running pipeline, whichever that is.

A module makes its instruments once, often at import. Telemetry can begin later, be shut down, set up again, and begin
again in a forked child or for a test; each time, the instruments are made on the new MeterProvider.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable
from typing import Any, ClassVar, Protocol

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

__all__ = [
    "Counter",
    "Current",
    "Following",
    "Gauge",
    "Histogram",
    "Observable",
    "ObservableCounter",
    "ObservableGauge",
    "ObservableUpDownCounter",
    "UpDownCounter",
]

_logger = logging.getLogger("otel_ha")

_NOT_MADE: tuple[metrics.MeterProvider | None, Any] = (None, None)
_NoOpGauge: Any = type(metrics.NoOpMeter("").create_gauge(""))
"""The API's gauge, whose own name is private."""


Scope = tuple[str, str | None, str | None, Any]
"""The arguments of get_meter(): name, version, schema URL, attributes."""


class Current(Protocol):
    """The source of the MeterProvider to follow."""

    @property
    def provider(self) -> metrics.MeterProvider | None:
        """The MeterProvider of the running pipeline; None while none runs."""

    @property
    def generation(self) -> int:
        """The number of pipelines that have ended."""


class Following:
    """Mixed into an instrument of the API: has an instrument of the present MeterProvider."""

    create: ClassVar[str]
    """The method by which a meter makes such an instrument."""

    def __init__(self, current: Current, scope: Scope, name: str, unit: str, description: str, **more: Any) -> None:
        super().__init__(name, unit=unit, description=description)  # type: ignore[call-arg]  # the API's class follows
        self.name, self.unit, self.description = name, unit, description
        self.scope = scope
        self.made = _NOT_MADE
        self.is_permanent = True
        """Whether it outlives the block of a test kit in which it was made."""
        self._current = current
        self._more = more

    def make(self, provider: metrics.MeterProvider) -> Any:
        """Return the instrument of a MeterProvider; raises what that raises."""
        create = getattr(provider.get_meter(*self.scope), self.create)
        return create(self.name, unit=self.unit, description=self.description, **self._more)

    def present(self) -> Any:
        """Return the instrument of the present MeterProvider, or None; never raises."""
        provider, made = self._current.provider, self.made
        if made[0] is provider:
            return made[1]
        found = None
        if provider is not None:
            try:
                found = self.make(provider)
            except Exception as error:  # noqa: BLE001 - a measurement of other code, or the set-up, must go on
                _logger.warning("metric %r of %r is not exported: %s", self.name, self.scope[0], error)
        self.made = provider, found
        return found


class Counter(Following, metrics.Counter):
    """A counter."""

    create = "create_counter"

    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Add an amount."""
        made = self.made
        present = made[1] if made[0] is self._current.provider else self.present()
        if present is not None:
            present.add(amount, attributes, context)


class UpDownCounter(Following, metrics.UpDownCounter):
    """A counter that goes down as well."""

    create = "create_up_down_counter"
    add = Counter.add


class Histogram(Following, metrics.Histogram):
    """A histogram."""

    create = "create_histogram"

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Record a value."""
        made = self.made
        present = made[1] if made[0] is self._current.provider else self.present()
        if present is not None:
            present.record(amount, attributes, context)


class Gauge(Following, _NoOpGauge):  # type: ignore[misc]  # see _NoOpGauge
    """A gauge."""

    create = "create_gauge"

    def set(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Set the value."""
        made = self.made
        present = made[1] if made[0] is self._current.provider else self.present()
        if present is not None:
            present.set(amount, attributes, context)


class Observable(Following):
    """Mixed into an observable instrument of the API: each MeterProvider reads its callbacks."""

    def __init__(self, current: Current, scope: Scope, callbacks: Iterable[Any] | None, **more: Any) -> None:
        super().__init__(current, scope, **more, callbacks=[self._read])
        self.callbacks = [_as_function(each) for each in callbacks or ()]
        self.generation = current.generation
        """The number of pipelines that had ended when code last made this instrument."""

    def renew(self, other: Observable) -> None:
        """Read the callbacks of an equal one if telemetry has ended since: the code has begun again as well."""
        if self.generation != other.generation:
            self.callbacks, self.generation = other.callbacks, other.generation

    def _read(self, options: CallbackOptions) -> Iterable[Observation]:
        for callback in self.callbacks:
            try:  # as the SDK does: a callback that fails costs its own observations only
                for observation in callback(options):
                    math.isfinite(observation.value)
                    yield observation
            except Exception:
                _logger.exception("a callback of the metric %r of %r failed", self.name, self.scope[0])


class ObservableCounter(Observable, metrics.ObservableCounter):
    """A counter that is read at every collection."""

    create = "create_observable_counter"


class ObservableUpDownCounter(Observable, metrics.ObservableUpDownCounter):
    """A sum that is read at every collection."""

    create = "create_observable_up_down_counter"


class ObservableGauge(Observable, metrics.ObservableGauge):
    """A value that is read at every collection."""

    create = "create_observable_gauge"


def _as_function(callback: Any) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Return a callback; a generator, which is one as well, is advanced to its first `yield` when it is first read."""
    if not isinstance(callback, Generator):
        return callback  # type: ignore[no-any-return]  # the API's
    begun: list[Any] = []

    def read(options: CallbackOptions) -> Any:
        try:
            if not begun:
                begun.append(next(callback))
            return callback.send(options)
        except StopIteration:
            return ()

    return read
