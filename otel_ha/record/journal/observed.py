"""Bound observables: what a source says goes straight to the aggregation of the reader that collects.

The first time that a reader collects an attribute set, it is observed through the public API, and the context of that
observation names who is to learn the aggregation: it takes the value, and from then on in collections of this reader
it is handed each value. The SDK calls all callbacks under one lock, and so there is one collection at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Instrument
from otel_ha.record.expiring import ExpiringSums
from otel_ha.record.journal.journal import Journal
from otel_ha.record.observers import Amount, Observers
from otel_ha.record.resolver import Identity, Shared, attributes_of

LEARNER = "otel_ha.learner"
"""The key by which the context of an observation names who learns the aggregation that takes it."""

Takers = dict[Hashable, Callable[[float], None]]
"""What takes the values of attribute sets for one reader: of its aggregations those that are known."""


class Learner(NamedTuple):
    """Notes what takes the values of an attribute set."""

    takers: Takers
    key: Hashable

    def learn(self, take: Callable[[float], None]) -> None:
        """Hand values of this attribute set to `take` from now on."""
        self.takers[self.key] = take


class Direct:
    """The aggregations of one observable instrument that are known, for each reader."""

    def __init__(self, shared: Shared, journal: Journal) -> None:
        self._gate = shared.gate
        self._journal = journal
        self._readers: object = None
        self._takers: dict[object, Takers] = {}

    def takers(self) -> Takers | None:
        """Return those for the reader that collects now; None where the SDK has to see every value.

        So it is where a reader collects that is none of ours, and where each value may become an exemplar.
        """
        reader = self._gate.reader
        if reader is None or ((context := current_context()) and self._journal.samples(context)):
            return None
        readers = self._journal.readers()
        if readers is not self._readers:
            # Some may have left, or have come back with other aggregations.
            self._readers = readers
            self._takers = {}
        return self._takers.setdefault(reader, {})

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Forget the aggregations of these attribute sets: the SDK has dropped them."""
        for takers in self._takers.values():
            for key in keys:
                takers.pop(key, None)


class DirectObservers(Observers):
    """Reads the sources of one observable instrument, and hands what they say to aggregations that are known."""

    def __init__(self, instrument: Instrument, shared: Shared, journal: Journal) -> None:
        super().__init__(instrument, shared)
        self._direct = Direct(shared, journal)

    def callback(self, options: CallbackOptions) -> Iterable[Observation]:
        """Read every source; what is returned are the values that the SDK has to see."""
        takers = self._direct.takers()
        if takers is None:
            yield from super().callback(options)
            return
        for amount in self._amounts():
            try:
                take = takers.get(amount.key)
            except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
                take = None
            if take is None:
                yield self._observation(amount, takers)
            else:
                take(amount.value)

    def _observation(self, amount: Amount, takers: Takers) -> Observation:
        attributes = self._resolve(amount)
        # What is not kept resolved is to be resolved each time, and nothing is learnt of it.
        kept = self._resolved_before(amount.key) is not None
        context = Context({LEARNER: Learner(takers, amount.key)}) if kept else None
        return Observation(amount.value, attributes, context)


class DirectSums(ExpiringSums):
    """Sums that expire, which are handed to aggregations that are known."""

    def __init__(self, expiry: float, shared: Shared, journal: Journal) -> None:
        super().__init__(expiry)
        self._direct = Direct(shared, journal)

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """Hand over the sums in use; give up those that are not."""
        takers = self._direct.takers()
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
        self._direct.forget(gone)
