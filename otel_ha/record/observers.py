"""Observers: the sources that an observable instrument is read from."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.amounts import LIMIT, least_of, no_amount, plain
from otel_ha.declare.instruments import Instrument
from otel_ha.declare.ports import Attributes, AttributeValue, Observing, Source, shown
from otel_ha.record.resolver import Resolver, Shared

_NUMBERS = (int, float)


class Amount(NamedTuple):
    """What a source says of one attribute set, by keywords; `key` is what the set is looked up by."""

    value: float
    attributes: Attributes
    key: Hashable


class _Watched(NamedTuple):
    """A source and the attributes of all that it says, whose key is made once."""

    source: Source
    attributes: Attributes
    key: Hashable


_STOPPED = _Watched(lambda: None, {}, ())


class Observers:
    """Reads the sources of one observable instrument at every collection."""

    MOST_RESOLVED = 10_000
    """Attribute sets that are kept resolved."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._instrument = instrument
        self._problems = shared.problems
        self._resolver = Resolver(instrument, shared)
        self._least = least_of(instrument)
        self._sources: dict[object, _Watched] = {}
        self._resolved: dict[Hashable, dict[str, AttributeValue]] = {}

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection until it is stopped."""
        key = object()
        self._sources[key] = _Watched(source, attributes, _key(attributes))

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
        for amount in self._amounts():
            yield Observation(amount.value, self._resolve(amount))

    def _amounts(self) -> Iterator[Amount]:
        """Return what the sources say, each of which is read when what the one before says was taken."""
        for key in list(self._sources):
            yield from self._read(self._sources.get(key, _STOPPED))

    def _read(self, watched: _Watched) -> Iterable[Amount]:
        source, attributes, key = watched
        try:
            value = source()
            if value is None:
                return ()
            if isinstance(value, _NUMBERS):
                return (Amount(plain(value), attributes, key),) if self._is_amount(value) else ()
            return [
                Amount(plain(v), merged := {**attributes, **own}, _key(merged))
                for v, own in value
                if self._is_amount(v)
            ]
        except Exception as error:  # noqa: BLE001 - one broken source must not cost the whole collection
            self.report("source_failed", f"a source failed: {shown(error)}")
            return ()

    def _resolve(self, amount: Amount) -> dict[str, AttributeValue]:
        """Resolve attributes, once: what is observed is mostly the same at every collection."""
        found = self._resolved_before(amount.key)
        if found is None:
            reports = self._resolver.reports
            found = self._resolver.resolve(amount.attributes)
            # What has to be counted each time as wrong is not kept.
            if reports == self._resolver.reports and len(self._resolved) < self.MOST_RESOLVED:
                self._resolved[amount.key] = found
        return found

    def _resolved_before(self, key: Hashable) -> dict[str, AttributeValue] | None:
        try:
            return self._resolved.get(key)
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            return None

    def _is_amount(self, value: float) -> bool:
        if isinstance(value, _NUMBERS) and self._least <= value < LIMIT:
            return True
        self.report("invalid_amount", no_amount(value, self._instrument))
        return False

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement."""
        self._problems.report(self._instrument, reason, what, attribute=attribute)


def _key(attributes: Attributes) -> Hashable:
    """Return what attributes are looked up by: 1, 1.0 and True are equal, but not of one type."""
    values = attributes.values()
    return (*attributes, *values, *map(type, values))
