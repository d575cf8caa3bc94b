"""Recorders: which recorder or observer each declared instrument gets, and the SDK's instrument behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import Aggregation

from otel_ha.declare.instruments import Counter, Histogram, Instrument, Observable, ObservableGauge, Synchronous
from otel_ha.declare.ports import Observer, Recorder
from otel_ha.export.views import make
from otel_ha.record.api import ApiRecorder, Write
from otel_ha.record.expiring import ExpiringRecorder, ExpiringSums
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.observed import DirectObservers, DirectSums
from otel_ha.record.journal.recorder import JournalRecorder
from otel_ha.record.observers import Observers
from otel_ha.record.resolver import Identity, Resolver, Shared

ObservedInstruments = dict[Instrument, Observers | ExpiringSums]
"""The observable instruments made on a provider, each with the object that it is read from."""

_SETTLING = ObservableGauge("otel_ha.settling", unit="1", description="The start of a collection; without values.")

_VERBS = {"counter": "add", "updowncounter": "add", "gauge": "set", "histogram": "record"}


class Recorders:
    """Chooses and makes the recorder or observer of each declaration.

    An instrument for which there is an aggregation in `aggregations` uses the journal, any other one the OpenTelemetry
    API. `groups` are the metric groups that are on. `observed` may hold observers from an earlier pipeline on the same
    provider, which are used again. `drop` makes the provider forget series that have expired; `expiry` is the default
    for counters that expire, in seconds of the `clock`.
    """

    def __init__(
        self,
        shared: Shared,
        journal: Journal | None,
        aggregations: Mapping[Instrument, Aggregation],
        observed: ObservedInstruments,
        *,
        groups: Collection[str],
        drop: Callable[[str, Iterable[Identity]], None],
        expiry: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._journal = journal
        self._aggregations = aggregations
        self.observed = observed
        self._groups = groups
        self._drop = drop
        self._expiry = expiry
        self._clock = clock

    def make(
        self, meter: metrics.Meter, instruments: Iterable[Instrument]
    ) -> list[tuple[Synchronous | Observable, Recorder | Observer]]:
        """Make the instruments on a meter; return each declaration with its recorder or observer."""
        every = list(instruments)
        return [
            *((each, self._recorder(meter, each)) for each in every if isinstance(each, Synchronous)),
            *((each, self._observer(meter, each)) for each in every if isinstance(each, Observable)),
        ]

    def call_at_start(self, meter: metrics.Meter, action: Callable[[], object]) -> None:
        """Call `action` at the start of every collection: the SDK reads observables before anything else."""

        def source() -> None:
            action()

        self._observer(meter, _SETTLING).observe(source, {})

    def adopt(self, parent: Recorders) -> None:
        """Continue to observe the sources that the parent of this forked process observed."""
        for instrument, observers in self.observed.items():
            of_parent = None if instrument is _SETTLING else parent.observed.get(instrument)
            if isinstance(observers, Observers) and isinstance(of_parent, Observers):
                observers.adopt(of_parent)

    def clear(self) -> None:
        """Give up every source and every sum."""
        for observed in self.observed.values():
            observed.clear()

    def _journal_of(self, instrument: Instrument) -> Journal | None:
        return self._journal if instrument in self._aggregations else None

    def _recorder(self, meter: metrics.Meter, instrument: Synchronous) -> Recorder:
        if isinstance(instrument, Counter) and instrument.expires:
            sums = self._expiring(meter, instrument)
            expiring = ExpiringRecorder(instrument, sums, self._shared)
            sums.release = partial(self._release, instrument.name, expiring.intake.resolver)
            return expiring
        write: Write = getattr(make(meter, instrument, self._groups), _VERBS[instrument.kind])
        if (journal := self._journal_of(instrument)) is not None:
            bounds = instrument.bounds(self._groups) if isinstance(instrument, Histogram) else None
            return JournalRecorder(instrument, write, self._shared, journal, bounds)
        return ApiRecorder(instrument, write, self._shared)

    def _release(self, name: str, resolver: Resolver, gone: list[Identity], unused: list[Identity]) -> None:
        resolver.forget(unused)
        self._drop(name, gone)

    def _expiring(self, meter: metrics.Meter, instrument: Counter) -> ExpiringSums:
        sums = self.observed.get(instrument)
        if not isinstance(sums, ExpiringSums):
            expiry = self._expiry if isinstance(instrument.expires, bool) else instrument.expires
            journal = self._journal_of(instrument)
            if journal is None:
                sums = ExpiringSums(expiry, self._clock)
            else:
                sums = DirectSums(expiry, self._shared, journal, self._clock)
            self.observed[instrument] = sums
            make(meter, instrument, self._groups, callbacks=[sums.observe])
        return sums

    def _observer(self, meter: metrics.Meter, instrument: Observable) -> Observers:
        observers = self.observed.get(instrument)
        if not isinstance(observers, Observers):
            journal = self._journal_of(instrument)
            if journal is None:
                observers = Observers(instrument, self._shared)
            else:
                observers = DirectObservers(instrument, self._shared, journal)
            self.observed[instrument] = observers
            make(meter, instrument, self._groups, callbacks=[observers.callback])
        return observers
