"""Meters of other code, and the instruments that they have made, which follow the running pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from opentelemetry import metrics
from opentelemetry.metrics import CallbackT

from otel_ha.declare.plain import plain_text, sendable
from otel_ha.export import following
from otel_ha.export.following import Current, Following, Observable, Scope

__all__ = ["FollowingMeter", "Instruments"]


def _as_text(said: object) -> str | None:
    """Return a name or version as text: a number, as libraries give by mistake, would make every push fail."""
    if said is None:
        return None
    text, number = plain_text(said), sendable(said)
    return text if text is not None else f"<{type(said).__name__}>" if number is None else str(number)


class FollowingMeter(metrics.Meter):
    """A meter whose instruments follow the running pipeline."""

    def __init__(self, made: Instruments, name: str, version: str | None, schema_url: str | None, more: Any) -> None:
        super().__init__(name, version, schema_url)
        self._make = partial(made.make, (_as_text(name) or "", _as_text(version), _as_text(schema_url), more))

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """Return a counter."""
        return self._make(following.Counter, name=name, unit=unit, description=description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        """Return a counter that goes down as well."""
        return self._make(following.UpDownCounter, name=name, unit=unit, description=description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return a gauge."""
        return self._make(following.Gauge, name=name, unit=unit, description=description)

    def create_histogram(self, name: str, unit: str = "", description: str = "", **more: Any) -> metrics.Histogram:
        """Return a histogram; `more` has the bounds that it advises."""
        return self._make(following.Histogram, name=name, unit=unit, description=description, **more)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        """Return a counter that is read at every collection."""
        kind = following.ObservableCounter
        return self._make(kind, callbacks=callbacks, name=name, unit=unit, description=description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        """Return a sum that is read at every collection."""
        kind = following.ObservableUpDownCounter
        return self._make(kind, callbacks=callbacks, name=name, unit=unit, description=description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        """Return a value that is read at every collection."""
        kind = following.ObservableGauge
        return self._make(kind, callbacks=callbacks, name=name, unit=unit, description=description)


_Made = TypeVar("_Made", bound=Following)


class Instruments:
    """The instruments that other code has made, one for each scope, kind, name, unit and description, as in the SDK.

    It takes no lock, which a fork or an interrupted thread might hold for ever: an instrument is stored before it asks
    for the present MeterProvider, and follow() is called after that has changed, so it is made there in any order.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self._every: dict[object, Following] = {}
        self._is_remembering = False

    def make(self, scope: Scope, kind: type[_Made], **arguments: Any) -> _Made:
        """Return the instrument with these arguments; raises what the SDK raises if telemetry runs."""
        instrument = kind(self._current, scope, **arguments)
        if (provider := self._current.provider) is not None:
            instrument.made = provider, instrument.make(provider)
        instrument.is_permanent = not self._is_remembering or _is_importing()
        stored = cast("_Made", self._every.setdefault(_key(instrument), instrument))
        if isinstance(stored, Observable) and isinstance(instrument, Observable):
            stored.renew(instrument)
        stored.present()
        return stored

    def follow(self) -> None:
        """Follow another MeterProvider."""
        for each in list(self._every.values()):
            each.present()

    def remember(self) -> Callable[[], None]:
        """Return a function that forgets what is made from now on, apart from instruments that an import makes."""
        outer, self._is_remembering = self._is_remembering, True
        known = self._every.copy()
        read = {each: vars(each).copy() for each in known.values() if isinstance(each, Observable)}

        def restore() -> None:
            self._is_remembering = outer
            for key, each in self._every.copy().items():
                if key not in known and not each.is_permanent:
                    del self._every[key]
            for observable, state in read.items():
                observable.callbacks, observable.generation = state["callbacks"], state["generation"]

        return restore


def _key(instrument: Following) -> object:
    *scope, attributes = instrument.scope
    of_scope = repr(sorted((attributes or {}).items(), key=repr))
    name = str(instrument.name).strip().lower()
    return type(instrument), *scope, of_scope, name, instrument.unit, instrument.description


def _is_importing() -> bool:
    """Whether a module that is being imported has called this, directly or not."""
    frame = inspect.currentframe()
    while frame is not None:
        is_module = frame.f_code.co_name == "<module>"
        if is_module and getattr(frame.f_globals.get("__spec__"), "_initializing", False):
            return True
        frame = frame.f_back
    return False
