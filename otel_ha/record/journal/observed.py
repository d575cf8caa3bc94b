"""Observed values that go straight to the aggregation of the collecting reader.

The first time a reader collects an attribute set, it is observed through the public API. The context of that
observation names a learner, to which the aggregation introduces itself; later values go directly to it whenever this
reader collects. The SDK runs all callbacks under one lock, so there is one collection at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Instrument
from otel_ha.declare.keys import look_up
from otel_ha.record.expiring import ExpiringSums
from otel_ha.record.journal.journal import Journal
from otel_ha.record.observers import Observed, Observers
from otel_ha.record.resolver import Identity, Shared, attributes_of

LEARNER = "otel_ha.learner"
"""The key by which the context of an observation names its learner."""

Takers = dict[Hashable, Callable[[float], None]]
"""For one reader: the functions that take the values of attribute sets whose aggregation is known."""


class Learner(NamedTuple):
    """Learns which function takes the values of an attribute set."""

    takers: Takers
    key: Hashable

    def learn(self, take: Callable[[float], None]) -> None:
        """Hand values of this attribute set to `take` from now on."""
        self.takers[self.key] = take


class Direct:
    """The known aggregations of one observable instrument, for each reader."""

    def __init__(self, shared: Shared, journal: Journal) -> None:
        self._gate = shared.gate
        self._journal = journal
        self._readers: object = None
        self.known: dict[object, Takers] = {}

    def takers(self) -> Takers | None:
        """Return the takers for the collecting reader; None if the SDK has to see every value.

        That is so if the reader is not one of ours, or if every value may become an exemplar.
        """
        reader = self._gate.reader
        if reader is None or ((context := current_context()) and self._journal.samples(context)):
            return None
        readers = self._journal.readers()
        if readers is not self._readers:
            # Some may have left, or have come back with other aggregations.
            self._readers = readers
            self.known = {}
        return self.known.setdefault(reader, {})

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Forget the aggregations of these attribute sets: the SDK has dropped them."""
        for takers in self.known.values():
            for key in keys:
                takers.pop(key, None)


class DirectObservers(Observers):
    """Reads the sources of one observable instrument, and hands their values to known aggregations."""

    def __init__(self, instrument: Instrument, shared: Shared, journal: Journal) -> None:
        super().__init__(instrument, shared)
        self.direct = Direct(shared, journal)

    def callback(self, options: CallbackOptions) -> Iterable[Observation]:
        """Read every source; return the values that the SDK has to see."""
        takers = self.direct.takers()
        if takers is None:
            yield from super().callback(options)
            return
        for observed in self._values():
            try:  # look_up(), in place
                take = takers.get(observed.key)
            except Exception:  # noqa: BLE001 - see look_up()
                take = None
            if take is None:
                yield self._observation(observed, takers)
            else:
                take(observed.value)

    def _observation(self, observed: Observed, takers: Takers) -> Observation:
        attributes = self._resolve(observed)
        # An attribute set that has to be resolved each time learns no aggregation.
        is_resolved = look_up(self._resolved, observed.key) is not None
        context = Context({LEARNER: Learner(takers, observed.key)}) if is_resolved else None
        return Observation(observed.value, attributes, context)


class DirectSums(ExpiringSums):
    """Sums that expire, handed to known aggregations."""

    def __init__(self, expiry: float, shared: Shared, journal: Journal, clock: Callable[[], float]) -> None:
        super().__init__(expiry, clock)
        self.direct = Direct(shared, journal)

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """Hand over the sums in use; give up the others."""
        takers = self.direct.takers()
        if takers is None:
            return super().observe(options)
        unknown: list[Observation] = []
        for key, total in self._in_use():
            take = takers.get(key)
            if take is None:
                unknown.append(Observation(total, attributes_of(key), Context({LEARNER: Learner(takers, key)})))
            else:
                take(total)
        return unknown

    def _let_go(self, gone: list[Identity]) -> None:
        super()._let_go(gone)
        self.direct.forget(gone)
