"""Observers: the sources that an observable instrument is read from."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.instruments import Instrument
from otel_ha.recorder import Attributes, AttributeValue, Observing, Source, shown
from otel_ha.recording.limits import LIMIT, Resolver, Shared, least_of, no_amount


class Observers:
    """Reads the sources of one observable instrument at every collection."""

    MOST_RESOLVED = 10_000
    """Attribute sets that are kept resolved."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._instrument = instrument
        self._problems = shared.problems
        self._resolver = Resolver(instrument, shared)
        self._least = least_of(instrument)
        self._sources: dict[object, tuple[Source, Attributes]] = {}
        self._resolved: dict[tuple[AttributeValue | None, ...], dict[str, AttributeValue]] = {}

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection until it is stopped."""
        key = object()
        self._sources[key] = (source, attributes)

        def stop() -> None:
            self._sources.pop(key, None)

        return Observing(stop)

    def adopt(self, other: Observers) -> None:
        """Go on with the sources of another one: in a forked child, the parent's."""
        self._sources = other._sources

    def clear(self) -> None:
        """Give up every source."""
        self._sources.clear()

    def callback(self, _: CallbackOptions) -> Iterable[Observation]:
        """Read every source; one that raises is left out and reported."""
        return [observation for key in list(self._sources) for observation in self._read(key)]

    def _read(self, key: object) -> list[Observation]:
        source, attributes = self._sources.get(key, (lambda: None, {}))
        try:
            value = source()
            if value is None:
                return []
            points = [(value, {})] if isinstance(value, int | float) else value
            return [Observation(v, self._resolve({**attributes, **own})) for v, own in points if self._is_amount(v)]
        except Exception as error:  # noqa: BLE001 - one broken source must not cost the whole collection
            self.report("source_failed", f"a source failed: {shown(error)}")
            return []

    def _resolve(self, attributes: Attributes) -> dict[str, AttributeValue]:
        """Resolve attributes, once: what is observed is mostly the same at every collection."""
        key = (*attributes, *attributes.values())
        # Of values that equal others (1, 1.0 and True) the key would not say which.
        if not all(isinstance(part, str | None) for part in key):
            return self._resolver.resolve(attributes)
        found = self._resolved.get(key)
        if found is None:
            reports = self._resolver.reports
            found = self._resolver.resolve(attributes)
            if reports == self._resolver.reports and len(self._resolved) < self.MOST_RESOLVED:
                self._resolved[key] = found
        return found

    def _is_amount(self, value: float) -> bool:
        if isinstance(value, int | float) and self._least <= value < LIMIT:
            return True
        self.report("invalid_amount", no_amount(value, self._instrument))
        return False

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement."""
        self._problems.report(self._instrument, reason, what, attribute=attribute)
