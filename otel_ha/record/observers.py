"""Observers: the sources from which an observable instrument is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, cast

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.instruments import Instrument
from otel_ha.declare.keys import Key, look_up, typed_key_of
from otel_ha.declare.plain import LIMIT, plain_number
from otel_ha.declare.ports import Attributes, AttributeValue, Observing, Point, Source, shown
from otel_ha.record.intake import Intake
from otel_ha.record.resolver import Shared


class Observed(NamedTuple):
    """One value of a source, with its attributes by keyword and their key."""

    value: float
    attributes: Attributes
    key: Key


class _Watched(NamedTuple):
    """A source with the attributes of all its values, whose key is made once."""

    source: Source
    attributes: Attributes
    key: Key


_STOPPED = _Watched(lambda: None, {}, ())


class Observers:
    """Reads the sources of one observable instrument at every collection."""

    MOST_RESOLVED = 10_000
    """Attribute sets that are kept resolved."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._intake = Intake(instrument, shared)
        self.report = self._intake.report
        self._sources: dict[object, _Watched] = {}
        self._adopted: tuple[dict[object, _Watched], ...] = ()
        """Those of other observers, which may still stop."""
        self._resolved: dict[Key, dict[str, AttributeValue]] = {}

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection until it is stopped."""
        key = object()
        self._sources[key] = _Watched(source, attributes, typed_key_of(attributes))

        def stop() -> None:
            self._sources.pop(key, None)

        return Observing(stop)

    @property
    def number(self) -> int:
        """The number of sources."""
        return sum(map(len, (self._sources, *self._adopted)))

    def adopt(self, other: Observers) -> None:
        """Read the sources of another one as well: in a forked child, the parent's."""
        self._adopted = (other._sources, *other._adopted)

    def clear(self) -> None:
        """Give up every source."""
        self._sources.clear()
        self._adopted = ()

    def callback(self, _: CallbackOptions) -> Iterable[Observation]:
        """Read every source; one that raises is left out and reported."""
        for observed in self._values():
            yield Observation(observed.value, self._resolve(observed))

    def _values(self) -> Iterator[Observed]:
        """Read the sources in turn, each one after the values of the one before it were taken."""
        for sources in (self._sources, *self._adopted):
            for key in list(sources):
                yield from self._read(sources.get(key, _STOPPED))

    def _read(self, watched: _Watched) -> Iterable[Observed]:
        source, attributes, key = watched
        try:
            value = source()
            if value is None:
                return ()
            # A list is asked for first: finding out that something is not a number takes ten times as long.
            if type(value) is not list and plain_number(value) is not None:
                number = self._accepted(value)
                return () if number is None else (Observed(number, attributes, key),)
            return [
                Observed(number, merged := {**attributes, **own}, typed_key_of(merged))
                for v, own in cast("Iterable[Point]", value)
                if (number := self._accepted(v)) is not None
            ]
        except Exception as error:  # noqa: BLE001 - one broken source must not cost the whole collection
            self.report("source_failed", f"a source failed: {shown(error)}")
            return ()

    def _resolve(self, observed: Observed) -> dict[str, AttributeValue]:
        """Resolve attributes, once: most observations have the same ones at every collection."""
        found = look_up(self._resolved, observed.key)
        if found is None:
            resolver = self._intake.resolver
            reports = resolver.reports
            found = resolver.resolve(observed.attributes)
            # A problem has to be counted each time, so its attribute set is not kept.
            if reports == resolver.reports and len(self._resolved) < self.MOST_RESOLVED:
                with suppress(Exception):  # a subclass of str that cannot be hashed
                    self._resolved[observed.key] = found
        return found

    def _accepted(self, value: object) -> float | None:
        """Return a value as Python's own number; None, and a report, if the instrument cannot have it."""
        # Intake.accepted(), in place: every value of every collection comes here.
        kind = type(value)
        if (kind is float or kind is int) and self._intake.least <= value < LIMIT:  # type: ignore[operator]  # a number
            return value  # type: ignore[return-value]
        number = self._intake.accepted(value)
        if number is None:
            self._intake.reject(value)
        return number
