"""The pipeline: from a configuration and a catalog to Resource, Views, readers and MeterProvider, connected."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import Aggregation, View

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Counter, Instrument, Observable, Synchronous, connect, disconnect
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.push import PushReader
from otel_ha.export.otlp.reader import console_reader, otlp_reader
from otel_ha.export.prometheus.scrape import ScrapeReader
from otel_ha.export.resource import resource
from otel_ha.export.views import aggregation_of, make, matched_by, view_of
from otel_ha.history.reader import HistoryReader, Keeper
from otel_ha.record.api import ApiRecorder, Write
from otel_ha.record.expiring import ExpiringRecorder, ExpiringSums
from otel_ha.record.journal.aggregations import CellHistogram, CellSum
from otel_ha.record.journal.increases import Increases
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.observed import DirectObservers, DirectSums
from otel_ha.record.journal.recorder import JournalRecorder
from otel_ha.record.journal.sdk import OwnProvider, drop_series, gather_points, is_supported, readers_of, withhold_from
from otel_ha.record.observers import Observers
from otel_ha.record.problems import Problems
from otel_ha.record.resolver import Identity, Resolver, Shared
from otel_ha.version import DISTRO, SCHEMA_URL
from otel_ha.vocabulary import runtime

_logger = logging.getLogger("otel_ha")

Observed = dict[Instrument, Observers | ExpiringSums]
"""What the observable instruments on a provider are read from."""

_EXEMPLAR_FILTERS: dict[str, Callable[[], ExemplarFilter]] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}
_VERBS = {"counter": "add", "updowncounter": "add", "gauge": "set", "histogram": "record"}


class Provider(OwnProvider):
    """The MeterProvider of a pipeline, whose journal is settled where readers or meters change."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.journal: Journal | None = None

    def add_metric_reader(self, metric_reader: MetricReader) -> None:
        """Let a reader join, which sees what is recorded from now on."""
        with self._measurement_consumer._lock:  # no collection meanwhile
            self._settle()
        super().add_metric_reader(metric_reader)

    def _set_meter_configurator(self, **arguments: Any) -> None:
        """Enable or disable meters: what was recorded until now belongs to what was the case until now."""
        with self._measurement_consumer._lock:  # what a collection settles is settled while all is as it was
            self._settle()
            super()._set_meter_configurator(**arguments)

    def _settle(self) -> None:
        """Count what was recorded until now, or, where our meter is disabled, forget it."""
        if self.journal is not None and not self._shutdown:
            meter: Any = self.get_meter(DISTRO, schema_url=SCHEMA_URL)
            (self.journal.settle if meter._is_enabled() else self.journal.drop)()


class Pipeline:
    """What measurements run through: built from a configuration and a catalog, connected to the declarations.

    `foreign` is a MeterProvider that the process had already: then instruments are made on it, and its Resource, Views,
    readers and exporters apply in place of ours. `views` are the user's: an instrument that one of them matches gets
    those, and not the one that follows from its declaration. An observable instrument can be made on a provider only
    once, so `observed` keeps what it is read from, for the next pipeline on the same foreign provider. `forked` is for
    the child of a process that had a pipeline. `keeper` is what collections are kept in.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        catalog: Catalog,
        *,
        foreign: metrics.MeterProvider | None = None,
        observed: Observed | None = None,
        views: Sequence[View] = (),
        forked: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._shared = Shared(Problems(runtime.RECORDING_PROBLEMS.add))
        self._observed: Observed = {} if observed is None else observed
        self._views = views
        self._viewed = matched_by(views, catalog)
        self._journal = self._new_journal() if foreign is None else None
        self._aggregations = self._bound_aggregations()
        self.scrape: ScrapeReader | None = None
        self.pushes: list[PushReader] = []
        self.history = self._keeping_reader(keeper, foreign) if keeper is not None else None
        self.provider = foreign or self._own_provider(forked=forked)

    def connect(self) -> None:
        """Make the instruments of the groups that are on, and let their declarations record."""
        meter = self.provider.get_meter(DISTRO, schema_url=SCHEMA_URL)
        if self._journal is not None:
            meter.create_observable_gauge("otel_ha.settling", callbacks=[self._journal.settle])
        on = [instrument for instrument in self._catalog if instrument.group in self._config.groups]
        recorders = [(each, self._recorder(meter, each)) for each in on if isinstance(each, Synchronous)]
        observers = [(each, self._observer(meter, each)) for each in on if isinstance(each, Observable)]
        # In one go, once everything is made: work that starts meanwhile is accounted for by all of them or by none.
        with self._shared.gate.held():
            connect([*recorders, *observers])
        if self.history is not None:
            if isinstance(self.provider, SdkMeterProvider) and not isinstance(self.provider, Provider):
                self.provider.add_metric_reader(self.history)
            self.history.start()

    def disconnect(self) -> None:
        """Make the declarations inert."""
        disconnect(each for each in self._catalog if isinstance(each, Observable | Synchronous))

    def adopt(self, parent: Pipeline) -> None:
        """Go on observing what the parent of this forked process observed."""
        for instrument, observers in self._observed.items():
            of_parent = parent._observed.get(instrument)
            if isinstance(observers, Observers) and isinstance(of_parent, Observers):
                observers.adopt(of_parent)

    def abandon(self) -> None:
        """Stop pushing what is the parent's to push."""
        for reader in self.pushes:
            reader.abandon()
        if self.history is not None and not isinstance(self.provider, Provider):
            self._leave(self.history)

    def flush(self, timeout: float) -> bool:
        """Push everything now, within `timeout` seconds; returns whether it arrived. A scrape is not affected."""
        deadline = time.monotonic() + timeout
        arrived = [reader.flush(deadline - time.monotonic()) for reader in self.pushes]
        return all(arrived)

    def shutdown(self, timeout: float) -> None:
        """Push a last time and stop, within `timeout` seconds. A foreign provider is its owner's to shut down."""
        if isinstance(self.provider, Provider):
            self._shut_down(self.provider, timeout)
        elif self.history is not None:
            self.history.shutdown(timeout_millis=timeout * 1e3)
            self._leave(self.history)
        for observed in self._observed.values():
            observed.clear()

    def _leave(self, reader: HistoryReader) -> None:
        """Take our reader away from a foreign provider."""
        if isinstance(self.provider, SdkMeterProvider):
            self.provider.remove_metric_reader(reader)

    @staticmethod
    def _shut_down(provider: Provider, timeout: float) -> None:
        try:
            provider.shutdown(timeout_millis=timeout * 1e3)
        except Exception as error:  # noqa: BLE001 - the SDK gathers what its readers raised; the service is ending
            _logger.warning("shutdown: %s", error)

    @property
    def deliveries(self) -> list[Delivery]:
        """How the pushes and the history fare; a scrape's delivery is the endpoint's affair."""
        kept = [self.history.delivery] if self.history is not None else []
        return [*(reader.delivery for reader in self.pushes), *kept]

    def _own_provider(self, *, forked: bool) -> Provider:
        config = self._config
        readers: list[Any] = []
        if "prometheus" in config.metrics_exporters:
            self.scrape = ScrapeReader(self._shared.gate)
            readers.append(self.scrape)
        if "otlp" in config.metrics_exporters:
            self.pushes.append(otlp_reader(config, self._shared.gate))
        if "console" in config.metrics_exporters:
            self.pushes.append(console_reader(config, self._shared.gate))
        provider = Provider(
            # The history first: at the end, pushes take what time there is.
            metric_readers=[*([self.history] if self.history else []), *readers, *self.pushes],
            resource=resource(config, forked=forked),
            exemplar_filter=_EXEMPLAR_FILTERS[config.exemplar_filter](),
            views=[
                *self._views,
                *(view_of(each, self._aggregations.get(each)) for each in self._catalog if each not in self._viewed),
            ],
        )
        if self._journal is not None:
            provider.journal = self._journal
            self._journal.readers = partial(readers_of, provider)
            if self.scrape is not None:
                gather_points(self.scrape, provider, self.scrape.gather)
            if self.history is not None:
                cells = (CellHistogram, CellSum)
                settled = {each.name for each, made in self._aggregations.items() if isinstance(made, cells)}
                withhold_from(self.history, provider, DISTRO, settled)
        return provider

    def _keeping_reader(self, keeper: Keeper, foreign: metrics.MeterProvider | None) -> HistoryReader | None:
        """Return the reader of the history; None where the provider is a foreign one that takes no reader."""
        if foreign is not None and not isinstance(foreign, SdkMeterProvider):
            return None
        if self._journal is None:
            return HistoryReader(keeper, self._shared.gate, tuple)
        self._journal.gains = Increases()
        return HistoryReader(keeper, self._shared.gate, self._journal.gained)

    def _new_journal(self) -> Journal | None:
        """Return the journal of bound instruments; None where each measurement has to go through the SDK."""
        if not is_supported():
            _logger.warning("this OpenTelemetry SDK is not one that can be bound to: recording goes through its API")
            return None
        # Where every measurement may become an exemplar, the SDK has to see every one.
        sampled = self._config.exemplar_filter
        return None if sampled == "always_on" else Journal(exemplars=sampled != "always_off")

    def _bound_aggregations(self) -> dict[Instrument, Aggregation]:
        """Return what makes aggregations that can be bound to, by the instruments that are bound."""
        explicit = self._config.otlp_histogram_aggregation.startswith("explicit")
        found = {each: aggregation_of(each, explicit=explicit) for each in self._catalog if each not in self._viewed}
        return {each: made for each, made in found.items() if made is not None and self._journal is not None}

    def _journal_of(self, instrument: Instrument) -> Journal | None:
        """Return the journal, for an instrument that is bound."""
        return self._journal if instrument in self._aggregations else None

    def _recorder(self, meter: metrics.Meter, instrument: Synchronous) -> ApiRecorder:
        if isinstance(instrument, Counter) and instrument.expires:
            sums = self._expiring(meter, instrument)
            expiring = ExpiringRecorder(instrument, sums, self._shared)
            sums.release = partial(self._release, instrument.name, expiring.resolver)
            return expiring
        write: Write = getattr(make(meter, instrument), _VERBS[instrument.kind])
        if (journal := self._journal_of(instrument)) is not None:
            return JournalRecorder(instrument, write, self._shared, journal)
        return ApiRecorder(instrument, write, self._shared)

    def _release(self, name: str, resolver: Resolver, gone: list[Identity], unused: list[Identity]) -> None:
        resolver.forget(unused)
        if isinstance(self.provider, Provider):
            drop_series(self.provider, name, gone)

    def _expiring(self, meter: metrics.Meter, instrument: Counter) -> ExpiringSums:
        sums = self._observed.get(instrument)
        if not isinstance(sums, ExpiringSums):
            expiry, journal = _expiry(instrument, self._config), self._journal_of(instrument)
            sums = ExpiringSums(expiry) if journal is None else DirectSums(expiry, self._shared, journal)
            self._observed[instrument] = sums
            make(meter, instrument, callbacks=[sums.observe])
        return sums

    def _observer(self, meter: metrics.Meter, instrument: Observable) -> Observers:
        observers = self._observed.get(instrument)
        if not isinstance(observers, Observers):
            journal = self._journal_of(instrument)
            if journal is None:
                observers = Observers(instrument, self._shared)
            else:
                observers = DirectObservers(instrument, self._shared, journal)
            self._observed[instrument] = observers
            make(meter, instrument, callbacks=[observers.callback])
        return observers


def _expiry(instrument: Counter, config: TelemetryConfig) -> float:
    return config.entity_expiry if isinstance(instrument.expires, bool) else instrument.expires
