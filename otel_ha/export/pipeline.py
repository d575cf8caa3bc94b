"""The pipeline: from a configuration and a catalog to Resource, Views, readers and MeterProvider, connected."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import metadata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
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
from otel_ha.declare.instruments import Attribute, Instrument, Observable, Synchronous, connect, disconnect
from otel_ha.declare.ports import Observer, Recorder
from otel_ha.delivery import Delivery
from otel_ha.export.captured import Captured, Capturing
from otel_ha.export.otlp.columns import gathered
from otel_ha.export.otlp.push import PushReader
from otel_ha.export.otlp.reader import console_reader, otlp_reader
from otel_ha.export.otlp.watch import Outages
from otel_ha.export.prometheus.scrape import ScrapeReader
from otel_ha.export.recorders import ObservedInstruments, Recorders
from otel_ha.export.resource import resource
from otel_ha.export.views import aggregation_of, matched_by, view_of
from otel_ha.history.history import History
from otel_ha.history.reader import HistoryReader
from otel_ha.record.api import ApiRecorder
from otel_ha.record.journal.increases import Increases
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.sdk import (
    CellHistogram,
    CellSum,
    Joining,
    OwnProvider,
    drop_series,
    gather_points,
    readers_of,
    withhold_from,
)
from otel_ha.record.journal.trial import is_supported
from otel_ha.record.problems import Problems
from otel_ha.record.resolver import Identity, Shared
from otel_ha.turn import is_working
from otel_ha.version import DISTRO, SCHEMA_URL
from otel_ha.vocabulary import ingest, runtime

if TYPE_CHECKING:
    from otel_ha.export.signals.signals import Signals

_logger = logging.getLogger("otel_ha")

_CAPTURING = 10.0
"""Seconds for the end of a pipeline that a test kit reads."""

_EXEMPLAR_FILTERS: dict[str, Callable[[], ExemplarFilter]] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}


class Pipeline:
    """The way of measurements from the declarations to the readers, built from a configuration and a catalog.

    `foreign` is a MeterProvider that the process already has: instruments are then made on it, and its Resource, Views,
    readers and exporters apply instead of ours. `views` are the user's: an instrument that one of them matches gets
    those, and not the one that follows from its declaration. An observable instrument can be made on a provider only
    once, so `observed` keeps its sources for the next pipeline on the same foreign provider. `forked` is for the child
    of a process that had a pipeline. `history` stores collections. `capturing` is a test kit that reads this
    pipeline.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        catalog: Catalog,
        *,
        foreign: metrics.MeterProvider | None = None,
        observed: ObservedInstruments | None = None,
        views: Sequence[View] = (),
        forked: bool = False,
        history: History | None = None,
        capturing: Capturing | None = None,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._capturing = capturing
        self._connected: list[tuple[Synchronous | Observable, Recorder | Observer]] = []
        self._shared = Shared(Problems(), longest=config.attribute_value_length_limit)
        self.gate = self._shared.gate
        self._views = views
        self._viewed = matched_by(views, catalog)
        self.journal = self._new_journal() if foreign is None else None
        self._aggregations = self._journal_aggregations()
        self.recorders = Recorders(
            self._shared,
            self.journal,
            self._aggregations,
            {} if observed is None else observed,
            groups=config.groups,
            drop=self._drop_series,
            expiry=config.entity_expiry,
            clock=time.monotonic if capturing is None else capturing.clock,
        )
        self.scrape: ScrapeReader | None = None
        self.pushes: list[PushReader] = []
        self.outages = Outages()
        self.history = self._history_reader(history, foreign) if history is not None else None
        self._resource = resource(config, forked=forked)
        self.signals = self._signals() if config.traces_exporters or config.logs_exporters else None
        self.provider = foreign or self._own_provider()

    def connect(self) -> None:
        """Make the instruments of the groups that are on, and let their declarations record."""
        meter = self.provider.get_meter(DISTRO, schema_url=SCHEMA_URL)
        if self.journal is not None:
            meter.create_observable_gauge("otel_ha.settling", callbacks=[self.journal.settle, self._note_growth])
        else:
            self.recorders.call_at_start(meter, self._balance)
        groups = self._config.groups
        recorders = self.recorders.make(meter, (each for each in self._catalog if each.is_on(groups)))
        made: dict[Any, Any] = dict(recorders)
        self._shared.problems.recorder = made.get(runtime.RECORDING_PROBLEMS)
        # All at once, when everything is made: work that starts meanwhile is counted by all of them or by none.
        self._connected = recorders
        self.resume()
        if self.history is not None:
            if isinstance(self.provider, SdkMeterProvider) and not isinstance(self.provider, OwnProvider):
                self.provider.add_metric_reader(self.history)
            self.history.start(periodic=self._capturing is None)
        if self.signals is not None:
            self.signals.connect()

    def resume(self) -> None:
        """Let the connected declarations record here."""
        with self.gate.held():
            connect(self._connected)

    def pause(self) -> None:
        """Make the declarations inert, until resume()."""
        disconnect(each for each, _ in self._connected)

    def disconnect(self) -> None:
        """Make the declarations inert; what is in flight on a foreign provider, which goes on, is discarded there."""
        in_flight, discarded = ingest.IN_FLIGHT.recorder, ingest.DISCARDED.recorder
        self.pause()
        is_foreign = not isinstance(self.provider, OwnProvider)
        if is_foreign and isinstance(in_flight, ApiRecorder) and isinstance(discarded, ApiRecorder):
            self.gate.write(partial(_discard_events, in_flight, discarded))

    def adopt(self, parent: Pipeline) -> None:
        """Continue to observe the sources that the parent of this forked process observed."""
        self.recorders.adopt(parent.recorders)

    def report(self, name: str, reason: str, message: str) -> None:
        """Count a problem with a metric that has no declaration; the first one of its kind is logged."""
        named: Any = SimpleNamespace(name=name)  # of an instrument, only the name is read
        self._shared.problems.report(named, reason, message)

    @property
    def _pushing(self) -> list[PushReader | Signals]:
        """Everything that pushes."""
        return [*self.pushes, *([self.signals] if self.signals is not None else [])]

    def load(self) -> None:
        """Import the modules that the first push would import."""
        for each in self._pushing:
            each.load()

    def abandon(self) -> None:
        """Stop pushing: in a forked child, these measurements are the parent's."""
        for each in self._pushing:
            each.abandon()
        if self.history is not None and not isinstance(self.provider, OwnProvider):
            self._leave(self.history)

    def silence(self) -> None:
        """Push nothing from now on, not even at the end."""
        for reader in self.pushes:
            reader.silence()

    def flush(self, timeout: float) -> bool:
        """Push everything now, within `timeout` seconds; returns whether it arrived. Scrapes are not affected."""
        if is_working():  # a handler that interrupts a collection would only wait for its own thread
            return False
        deadline = time.monotonic() + timeout
        others = self.signals.begin_flush() if self.signals is not None else None
        arrived = [reader.flush(deadline - time.monotonic()) for reader in self.pushes]
        return (others is None or others(deadline)) and all(arrived)

    def shutdown(self, timeout: float) -> None:
        """Push a last time and stop, within `timeout` seconds. The owner of a foreign provider shuts it down."""
        if self._capturing is not None:  # the kit's reader collects a last time, which waits for nothing
            timeout = max(timeout, _CAPTURING)
        deadline = time.monotonic() + timeout
        if self.signals is not None:  # side by side with the push of metrics
            self.signals.close_soon()
        try:
            if isinstance(self.provider, OwnProvider):
                self._shut_down(self.provider, timeout)
            elif self.history is not None:
                self.history.shutdown(timeout_millis=timeout * 1e3)
                self._leave(self.history)
            self.gate.catch_up()  # a foreign provider goes on
        except BaseException:  # Ctrl-C ends the last pushes of all signals
            deadline = 0
            raise
        finally:
            self.recorders.clear()
            self._shared.problems.recorder = None
            if self.signals is not None:
                self.signals.close(deadline)

    def _leave(self, reader: HistoryReader) -> None:
        """Remove our reader from a foreign provider."""
        if isinstance(self.provider, SdkMeterProvider):
            self.provider.remove_metric_reader(reader)

    @staticmethod
    def _shut_down(provider: OwnProvider, timeout: float) -> None:
        try:
            provider.shutdown(timeout_millis=timeout * 1e3)
        except Exception as error:  # noqa: BLE001 - the SDK collects the exceptions of its readers; the service is ending
            _logger.warning("shutting down failed: %s", error)

    @property
    def deliveries(self) -> list[Delivery]:
        """The deliveries of the pushes, of traces and logs, and of the history; the endpoint has those of scrapes."""
        stored = [self.history.delivery] if self.history is not None else []
        signals = self.signals.deliveries if self.signals is not None else []
        return [*(reader.delivery for reader in self.pushes), *signals, *stored]

    @property
    def values_within_budget(self) -> dict[Attribute, int]:
        """The number of values that count towards the budget of each attribute."""
        return {attribute: len(values) for attribute, values in self._shared.within_budget.copy().items()}

    def _own_provider(self) -> OwnProvider:
        config, gate = self._config, self.gate
        if "prometheus" in config.metrics_exporters:
            self.scrape = ScrapeReader(gate)
        if "otlp" in config.metrics_exporters:
            self.pushes.append(otlp_reader(config, gate, self.outages))
        if "console" in config.metrics_exporters:
            self.pushes.append(console_reader(config, gate))
        # The history first: at the end, pushes take all the time there is.
        every = (*self._captured(), self.history, self.scrape, *self.pushes)
        readers: list[Any] = [reader for reader in every if reader is not None]
        ours = (each for each in self._catalog if each not in self._viewed)
        groups = config.groups
        our_views = [view_of(each, groups, self._aggregations.get(each)) for each in ours]
        provider = OwnProvider(
            metric_readers=readers,
            resource=self._resource,
            exemplar_filter=_EXEMPLAR_FILTERS[config.exemplar_filter](),
            views=[*self._views, *our_views],
        )
        provider.balance = self._balance
        if self.journal is not None:
            self._join(self.journal, provider)
        return provider

    def _captured(self) -> Iterable[MetricReader]:
        """Return the reader of a test kit, if one captures."""
        if self._capturing is None:
            return []
        history = None if self.history is None else self.history.history
        config, catalog = self._config, self._catalog
        return [self._capturing.reader(Captured(self.gate, catalog, config.groups, self._viewed, history))]

    def _signals(self) -> Signals:
        from otel_ha.export.signals.signals import Signals  # noqa: PLC0415 - only if traces or logs are on

        return Signals(self._config, self._resource, self.outages)

    def _join(self, journal: Journal, provider: OwnProvider) -> None:
        """Make a journal and a provider known to each other."""
        provider.journal = journal
        journal.balance = self._balance
        journal.readers = partial(readers_of, provider)
        journal.join = Joining().join
        if self.scrape is not None:
            gather_points(self.scrape, provider, self.scrape.gather)
        if "otlp" in self._config.metrics_exporters and self._config.otlp_temporality == "cumulative":
            gather_points(self.pushes[0], provider, gathered)
        if self.history is not None:
            cells = (CellHistogram, CellSum)
            settled = {each.name for each, made in self._aggregations.items() if isinstance(made, cells)}
            withhold_from(self.history, provider, DISTRO, settled)

    def _history_reader(self, history: History, foreign: metrics.MeterProvider | None) -> HistoryReader | None:
        """Return the reader for the history; None if a foreign provider accepts no reader."""
        if foreign is not None and not isinstance(foreign, SdkMeterProvider):
            return None
        if self.journal is None:
            return HistoryReader(history, self.gate, tuple)
        self.journal.increases = Increases()
        return HistoryReader(history, self.gate, self.journal.take_increases)

    def _note_growth(self, _: CallbackOptions) -> Iterable[Observation]:
        """Tell the history what was settled, when a collection for it starts."""
        if self.history is not None:
            self.history.note()
        return ()

    def _balance(self) -> bool:
        """Count as received what left a queue unreceived, and return whether there was any."""
        return self._shared.queues.receive_missing(self._shared.problems, self.gate)

    def _new_journal(self) -> Journal | None:
        """Return a new journal; None if each measurement has to go through the SDK."""
        if not is_supported():
            _logger.warning(
                "opentelemetry-sdk %s is not fully supported: recording goes through its API, which is slower; "
                "install another version",
                metadata.version("opentelemetry-sdk"),
            )
            return None
        # If every measurement may become an exemplar, the SDK has to see every one.
        sampled = self._config.exemplar_filter
        return None if sampled == "always_on" else Journal(exemplars=sampled != "always_off")

    def _journal_aggregations(self) -> dict[Instrument, Aggregation]:
        """Return the aggregations of the instruments that use the journal."""
        if self.journal is None:
            return {}
        explicit, groups = self._config.otlp_histogram_aggregation.startswith("explicit"), self._config.groups
        ours = (each for each in self._catalog if each not in self._viewed)
        found = {each: aggregation_of(each, groups, explicit=explicit) for each in ours}
        return {each: made for each, made in found.items() if made is not None}

    def _drop_series(self, name: str, gone: Iterable[Identity]) -> None:
        if isinstance(self.provider, OwnProvider):
            drop_series(self.provider, name, gone)


def _discard_events(in_flight: ApiRecorder, discarded: ApiRecorder) -> None:
    """Discard the events in flight, whose end will not be recorded."""
    context = Context()  # recorded at once, as one batch
    for attributes, number in in_flight.sums():
        if number > 0:
            in_flight.record(-number, attributes, context)
            source = {"source": attributes["source"]} if "source" in attributes else {}
            discarded.record(number, {**source, "reason": "shutdown"}, context)
