"""setup_telemetry(): the one call that starts telemetry, and Telemetry, which owns its life.

The state that changes in a process, besides caches and that of otel_ha.compat: here the running Telemetry, the one that
starts, the turn of setting up, the test kit that captures and the telemetry that it suspends, the hooks, the functions
to call at each start, and the observers on foreign MeterProviders; the work under way in each thread (otel_ha.turn),
the signals that its fork blocks (otel_ha.forks), and the thread that hears of signals (otel_ha.lifecycle); the stand-
ins for the global MeterProvider (otel_ha.export.global_provider), TracerProvider and LoggerProvider
(otel_ha.export.signals.stand_ins); the tracer of measured work (otel_ha.declare.spans), and spans that end late
(otel_ha.declare.work_span); the hook in logging (otel_ha.export.signals.hook); the recorders of connected declarations
(otel_ha.declare.instruments) with their generation (otel_ha.declare.ports); the secrets that the scrubber masks
(otel_ha.scrub); and the cached answer whether the SDK is supported (otel_ha.record.journal.trial).
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import View

from otel_ha import turn
from otel_ha.async_end import flush_when_uvicorn_ends, in_thread
from otel_ha.config.settings import DEFAULT
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.under_test import DEFAULTS
from otel_ha.declare.catalog import Catalog
from otel_ha.errors import ConfigError, TelemetryError
from otel_ha.export.captured import Capturing
from otel_ha.export.global_provider import CURRENT, become_global, foreign_provider
from otel_ha.export.pipeline import Pipeline
from otel_ha.export.recorders import ObservedInstruments
from otel_ha.forks import block_at_fork, in_multiprocessing_child, unblock_after_fork
from otel_ha.history.history import History
from otel_ha.history.store import Moment
from otel_ha.lifecycle import Sigterm
from otel_ha.record.journal.sdk import OwnProvider
from otel_ha.serve.health import health
from otel_ha.serve.notes import notes
from otel_ha.serve.service import EndpointService
from otel_ha.serve.summary.summary import summary
from otel_ha.sources.automatic import AutomaticSources
from otel_ha.turn import Turn, after_own_work
from otel_ha.vocabulary import ha_ingestor, ingest, messaging, runtime

_logger = logging.getLogger("otel_ha")

_set_up = Turn()
_SETTING_UP = 10.0
"""Seconds to wait for the set-up of another thread: it may wait for a lock that this thread's handler interrupts."""
_running: Telemetry | None = None
_starting: Telemetry | None = None
"""Telemetry that is not connected yet, for handlers that interrupt its start."""
_capturing: Capturing | None = None
"""The test kit that captures."""
_suspended: list[Telemetry] = []
"""Telemetry that goes on when a test kit has captured."""
_hooks_are_set = False
_REST = 0.25
"""Seconds of a shutdown that the last push leaves for the rest: closing connections and files, on a busy machine."""
_GIVING_WAY = 0.5
"""Seconds for the last push of provisional telemetry that is replaced."""
RECORDING_ONLY: Mapping[str, Any] = MappingProxyType(
    {
        "metrics_exporters": (),
        "traces_exporters": (),
        "logs_exporters": (),
        "endpoint_server": False,
        "history_length": 0,
        "handle_sigterm": False,
    }
)
"""Arguments of TelemetryConfig for telemetry that records on a MeterProvider of other code and does nothing else."""
_at_start: dict[object, tuple[Callable[[], None], Callable[[], Callable[[], None]]]] = {}
"""Functions that are called when telemetry has started, and when a test kit suspends it."""
_observed_on: weakref.WeakKeyDictionary[metrics.MeterProvider, ObservedInstruments] = weakref.WeakKeyDictionary()


def setup_telemetry(
    service_name: str | None = None,
    *,
    config: TelemetryConfig | None = None,
    catalog: Catalog = ingest.CATALOG,
    views: Sequence[View] = (),
) -> Telemetry:
    """Start telemetry for this process and return it, without waiting for the network.

    `service_name` overrides the one in `config`; without `config`, the environment decides (see TelemetryConfig). An
    instrument that one of the SDK's `views` matches gets those instead of the one that follows from its declaration. If
    telemetry already runs with the same settings, it is returned. Raises ConfigError for a wrong setting; also if
    telemetry already runs with other settings, naming the differences, unless it is provisional and gives way. Raises
    CatalogError for a catalog of another type.
    """
    config = config or TelemetryConfig()
    unknown = config.unknown_variables()
    if service_name is not None:
        config = config.named(service_name)
    if config.sources["metrics_exporters"] == DEFAULT and not DEFAULTS.exports_metrics:
        config = config.replaced(metrics_exporters=())
    if _capturing is not None:
        config = _capturing.configured(config)
    _set_hooks()  # before the turn: a child that is forked meanwhile must not wait for this thread
    with _set_up.taken(_SETTING_UP) as is_mine:
        telemetry = Telemetry(config, catalog, views)
        present = _running if is_mine else present_telemetry()  # in a handler that interrupts a set-up: this one
        if present is not None and not present.gives_way_to(config, catalog, views):
            return present
        _start(telemetry)
    for variable in unknown:
        _logger.warning("%s", variable)
    return telemetry


def attach(provider: metrics.MeterProvider | None = None, config: TelemetryConfig | None = None) -> bool:
    """Record on a MeterProvider of the process until telemetry is set up.

    Return False if it was set up before, or if another provider is recorded on.

    Without `provider`, it is the global one, even if other code sets that later. It belongs to instrumented libraries
    in a program that does not call setup_telemetry(), so it has no endpoint, no push and no history. Of `config`, the
    metric groups matter; without it the environment decides about them, system metrics apart.
    """
    _set_hooks()
    with _set_up.taken(_SETTING_UP) as is_mine:
        present = present_telemetry()
        if not is_mine or present is not None:
            return present is not None and present.is_attached and provider in {None, present._provider}
        given = provider or metrics.get_meter_provider()
        if given is CURRENT:  # the stand-in for telemetry that has ended: this one would stand for itself
            given = metrics.NoOpMeterProvider()
        telemetry = Telemetry(config or _config_to_attach(), ingest.CATALOG, provider=given)
        telemetry.is_provisional = True
        _start(telemetry)
    return True


def _config_to_attach() -> TelemetryConfig:
    """Return the settings of attach(): other code exports, perhaps by OTEL_* that have another meaning there."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(TelemetryConfig.prefix)}
    switched_off: dict[str, Any] = {**RECORDING_ONLY, "system_metrics": False}
    try:
        return TelemetryConfig(environ=ours, **switched_off)
    except ConfigError as error:
        _logger.warning("%s; instrumented libraries use the defaults", " ".join(str(error).split()))
        return TelemetryConfig(environ={}, **switched_off)


def detach() -> None:
    """End the recording that attach() began, unless telemetry was set up since."""
    if _running is not None and _running.is_attached:
        _running.shutdown()
    _suspended[:] = [each for each in _suspended if not each.is_attached]


def _nothing() -> None:
    pass


def when_started(
    function: Callable[[], None], suspended: Callable[[], Callable[[], None]] = lambda: _nothing
) -> Callable[[], None]:
    """Call `function` now if telemetry runs, and whenever it starts, until the returned function is called.

    When a test kit suspends telemetry, `suspended` returns the function to call when that telemetry goes on.
    """
    key = object()
    _at_start[key] = function, suspended
    if _running is not None:
        function()

    def forget() -> None:
        _at_start.pop(key, None)

    return forget


@contextmanager
def captured(capturing: Capturing, config: TelemetryConfig, catalog: Catalog) -> Iterator[None]:
    """Let telemetry record for a test kit alone during the block; what ran before goes on at its end.

    Telemetry starts with `config` and `catalog`, and gives way if the block sets up another one. If code set telemetry
    up before, that begins again within the block, with its own settings and also with `catalog`: code may hold it.
    """
    global _capturing  # noqa: PLW0603 - this module's purpose
    become_global()  # which makes the instruments of modules that were imported
    outer, present, forget = _capturing, _running, CURRENT.remember()
    with _suspending(present) as pipeline:
        _capturing = capturing
        try:
            telemetry = _telemetry_to_capture(present, capturing, config, catalog)
            telemetry.is_provisional = True
            _set_hooks()
            _start(telemetry)
            if pipeline is not None and telemetry.pipeline is not None:
                telemetry.pipeline.adopt(pipeline)
            yield
        finally:
            if _running is not None:
                _running.shutdown()
            _capturing = outer
            forget()


def _telemetry_to_capture(
    present: Telemetry | None, capturing: Capturing, config: TelemetryConfig, catalog: Catalog
) -> Telemetry:
    """Return the telemetry that starts for a test kit; `present` is suspended."""
    if present is None:
        return Telemetry(config, catalog)
    adopted = {"system"} & present.config.groups
    if present.is_provisional:
        telemetry = Telemetry(config, catalog)
    else:
        telemetry = present
        telemetry._begin(capturing.configured(present.config), present.catalog | catalog, present.views)
    # The pipeline adopts the sources of the suspended one: what those read must not be read twice.
    telemetry._sources = AutomaticSources(telemetry.config.groups - adopted)
    return telemetry


@contextmanager
def _suspending(present: Telemetry | None) -> Iterator[Pipeline | None]:
    """Suspend telemetry during the block, which is given its pipeline."""
    global _running  # noqa: PLW0603 - this module's purpose
    if present is None:
        yield None
        return
    state, _running = present._suspend(), None
    _suspended.append(present)
    going_on = {key: suspended() for key, (_, suspended) in list(_at_start.items())}
    try:
        yield state["_pipeline"]
    finally:
        present._resume(state)
        _running = present
        if present in _suspended:
            _suspended.remove(present)
            for key, (start, _) in list(_at_start.items()):
                going_on.get(key, start)()
        else:  # the block has detached the libraries for which it recorded
            present.shutdown()


def _start(telemetry: Telemetry) -> None:
    global _running, _starting  # noqa: PLW0603 - this module's purpose
    _starting = telemetry
    try:
        telemetry.start()
        _running = telemetry
    finally:
        _starting = None
    for function, _ in list(_at_start.values()):
        function()


def running_telemetry() -> Telemetry | None:
    """Return the telemetry of this process, or None while there is none."""
    return _running


def present_telemetry() -> Telemetry | None:
    """Return the telemetry of this process, even if it only starts; or None."""
    return _running or _starting


class Telemetry:
    """Running telemetry, until shutdown() or the end of the process; a context manager, sync and async."""

    def __init__(
        self,
        config: TelemetryConfig,
        catalog: Catalog,
        views: Sequence[View] = (),
        provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._begin(config, catalog, views, provider)

    def _begin(
        self,
        config: TelemetryConfig,
        catalog: Catalog,
        views: Sequence[View],
        provider: metrics.MeterProvider | None = None,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.views = tuple(views)
        self.is_provisional = False
        self._provider = provider
        self._all = catalog | messaging.CATALOG | runtime.CATALOG | ha_ingestor.CATALOG
        self._pipeline: Pipeline | None = None
        self._history: History | None = None
        self._started = 0.0
        """When the pipeline was made, in seconds since the epoch."""
        self._is_ready = False
        """Whether it was set up and does not shut down yet, even if it is turned off; for probes."""
        self._sources = AutomaticSources(config.groups)
        self._endpoint = EndpointService(config, self.health, self.summary, lambda: self._is_ready)
        self._sigterm = Sigterm(self)
        self._ending = Turn()

    def start(self) -> None:
        """Build the pipeline and connect the declarations; setup_telemetry() calls this."""
        self._is_ready = True
        if not self.config.enabled:
            return
        try:
            self._build()
        except BaseException:
            self._end(timeout=0)  # half of it must not stay
            raise
        if self.config.handle_sigterm:
            self._sigterm.install()
        self._flush_where_sigterm_is_missed()

    def _suspend(self) -> dict[str, Any]:
        """Record nothing until _resume(), and return the whole state for it; pushes and scrapes go on."""
        if self._pipeline is not None:
            self._pipeline.pause()
        return vars(self).copy()

    def _resume(self, state: dict[str, Any]) -> None:
        """Go on with the state of _suspend()."""
        vars(self).update(state)
        if self._pipeline is not None:
            if isinstance(self._pipeline.provider, OwnProvider):
                CURRENT.pipeline = self._pipeline
            self._pipeline.resume()

    def gives_way_to(self, config: TelemetryConfig, catalog: Catalog, views: Sequence[View]) -> bool:
        """Return whether this telemetry was provisional and has shut down in favour of one with other settings.

        Raises ConfigError, naming the differences, if it was set up with other settings and is not provisional.
        """
        differences = ["its MeterProvider is another one"] if self.is_attached else self.config.differences(config)
        if set(self.catalog) != set(catalog):
            names = {instrument.name for instrument in set(self.catalog) ^ set(catalog)}
            differences.append(f"catalog: only one of them has {', '.join(sorted(names))}")
        if self.views != tuple(views):
            differences.append(f"views: {len(self.views)} and {len(views)} others")
        message = f"telemetry is already set up, with other settings: {'; '.join(differences)}"
        if differences and not self.is_provisional:
            is_left = _capturing is None and not DEFAULTS.exports_metrics
            in_tests = "; in pytest, the fixture `metrics` isolates each test" if is_left else ""
            raise ConfigError(f"{message}; call setup_telemetry() once, or shut the first one down{in_tests}")
        self.is_provisional = False
        if differences:
            _logger.info("%s; the first one gives way, and counts start again from zero", message)
            if self._pipeline is not None and self.config.service_name != config.service_name:
                # A last push in another name would be a service of its own, which from then on seems to be down.
                self._pipeline.silence()
            self._end(timeout=_GIVING_WAY)
        return bool(differences)

    @property
    def is_attached(self) -> bool:
        """Whether it only records on a MeterProvider of the process; see attach()."""
        return self._provider is not None

    @property
    def pipeline(self) -> Pipeline | None:
        """The pipeline while telemetry runs, else None; for tools that look inside, and without a promise to stay."""
        return self._pipeline

    @property
    def metrics_url(self) -> str | None:
        """The URL for Prometheus to scrape; None if telemetry opened no port."""
        return self._endpoint.metrics_url

    def prometheus_text(self) -> str:
        """Return the text that a scrape returns. Raises TelemetryError if the prometheus exporter is off."""
        if self._pipeline is None and not self._is_ready:
            raise TelemetryError("cannot scrape: telemetry has been shut down; scrape before shutdown()")
        if self._pipeline is None or self._pipeline.scrape is None:
            raise TelemetryError(
                "cannot scrape: telemetry is off, or the exporter prometheus is; add it to OTEL_METRICS_EXPORTER"
            )
        return self._endpoint.text()

    @property
    def history(self) -> History | None:
        """The last collections of this process.

        None if telemetry or its history is off, or if the process already had a MeterProvider other than the SDK's.
        """
        return self._history

    def summary(self) -> dict[str, Any]:
        """Return current figures, those of the last collections, and roll-ups: the content of /summary, ready for JSON.

        It takes a collection and some milliseconds: in an event loop, call it by ``asyncio.to_thread``.
        """
        pipeline, version = self._pipeline, self.config.resource_attributes.get("service.version")
        return summary(
            self._history,
            service=self.config.service_name,
            version=None if version is None else str(version),
            groups=self.config.groups,
            catalog=self._all,
            started=None if pipeline is None else self._started,
            health=self.health,
            used=None if pipeline is None else pipeline.values_within_budget,
        )

    def health(self) -> dict[str, Any]:
        """Return the state of telemetry and of each reader, with reasons, remedies and notes, ready for JSON.

        It is the content of /healthz. It takes no collection: notes are as of the history's last one.
        """
        pipeline = self._pipeline
        scrapes = pipeline is not None and pipeline.scrape is not None
        return health(
            self.config.service_name,
            enabled=self.config.enabled,
            running=pipeline is not None,
            endpoint=self._endpoint.state(scrapes=scrapes),
            deliveries=[*([self._endpoint.delivery] if scrapes else []), *(pipeline.deliveries if pipeline else [])],
            notes=[] if pipeline is None else notes(self._history),
        )

    @property
    def wsgi_app(self) -> Callable[..., Any]:
        """The endpoint as a WSGI application, to mount in your own server."""
        return self._endpoint.wsgi_app

    @property
    def asgi_app(self) -> Callable[..., Any]:
        """The endpoint as an ASGI application, to mount in your own server."""
        return self._endpoint.asgi_app

    def watch_event_loop(self) -> None:
        """Measure the delay of the running event loop; automatic if a loop runs at set-up, and with `async with`."""
        if self._pipeline is not None:
            self._sources.watch_event_loop()

    def flush(self, timeout: float | None = None) -> bool:
        """Push everything now, within `timeout` seconds (default: export_timeout); returns whether it arrived."""
        pipeline = self._pipeline
        if pipeline is None:
            return True
        return pipeline.flush(self.config.export_timeout if timeout is None else timeout)

    def shutdown(self, timeout: float | None = None) -> None:
        """Push the last interval and stop, within `timeout` seconds (default: shutdown_timeout); may be repeated.

        A signal handler that interrupts telemetry's own work returns from this at once, and it happens after that work.
        """
        after_own_work(partial(self._end, timeout))

    def _end(self, timeout: float | None) -> None:
        global _running  # noqa: PLW0603 - this module's purpose
        limit = max(self.config.shutdown_timeout if timeout is None else timeout, 0.0)
        # Another thread's last push may wait for a lock that this thread's handler interrupts, as of logging.
        with self._ending.taken(limit) as is_mine:
            if not is_mine:
                return
            self._is_ready = False
            pipeline, self._pipeline = self._pipeline, None
            try:
                if pipeline is not None:
                    self._tear_down(pipeline, limit)
            finally:
                if _running is self:
                    _running = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Shut down."""
        self.shutdown()

    async def __aenter__(self) -> Self:
        """Watch the running event loop and return itself."""
        if not self._sources.is_watching_event_loop:
            self.watch_event_loop()
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: object) -> None:
        """Shut down, in a thread, so that the loop continues meanwhile."""
        self._sources.unwatch_event_loop()
        await in_thread(self.shutdown)
        self._sigterm.release()

    def __repr__(self) -> str:
        """Return the service's name and whether telemetry is running."""
        return f"<Telemetry {self.config.service_name!r}, {'running' if self._pipeline else 'not running'}>"

    def before_fork(self) -> None:
        """Import what the child's threads would import first: gevent may replace the locks of imports there."""
        if self._pipeline is not None:
            with suppress(ImportError):  # the reading or push that needs the module reports it
                self._sources.load()
                self._pipeline.load()

    def listen(self) -> None:
        """Make sure that SIGTERM is heard in this child of multiprocessing."""
        self._sigterm.listen()

    def after_fork_in_child(self) -> bool:
        """Start again in a forked child: counts from zero, with its own service.instance.id and pushes.

        Returns False if telemetry was ending in the parent, so that the child has none.
        """
        self._ending = Turn()
        parent, self._pipeline = self._pipeline, None
        if parent is not None:
            parent.abandon()
            self._sources.after_fork_in_child()
            self._endpoint.after_fork_in_child()
            self._build(forked_from=parent)
        self._sigterm.after_fork_in_child(is_running=parent is not None)
        self._flush_where_sigterm_is_missed()
        return parent is not None or not self.config.enabled

    def _flush_where_sigterm_is_missed(self) -> None:
        if self.config.handle_sigterm and not self._sigterm.stays:
            flush_when_uvicorn_ends(_flush_last)

    def _build(self, forked_from: Pipeline | None = None) -> None:
        foreign = self._provider or (foreign_provider() if _capturing is None else None)
        if foreign is not None and not self.is_attached and forked_from is None:
            _logger.warning(
                "this process already has a MeterProvider (%s): using it, with its own readers, Views and exporters",
                type(foreign).__qualname__,
            )
        forked = forked_from is not None
        length, interval = self.config.history_length, self.config.history_interval
        now = Moment.now if _capturing is None else _capturing.now
        history = History(self._all, length=length, interval=interval, now=now) if length else None
        pipeline = Pipeline(
            self.config,
            self._all,
            foreign=foreign,
            observed=None if foreign is None or forked else _observed_on.setdefault(foreign, {}),
            views=self.views,
            forked=forked,
            history=history,
            capturing=_capturing,
        )
        self._started = now().timestamp
        self._history = history if pipeline.history is not None else None
        self._pipeline = pipeline
        if foreign is None:
            become_global()
            CURRENT.pipeline = pipeline
        pipeline.connect()
        if forked_from is None:
            self._sources.start()
        else:
            pipeline.adopt(forked_from)  # its sources: queues as well as the process, which is now this one
        if pipeline.scrape is not None:
            self._endpoint.open(pipeline.scrape.registry, forked=forked)

    def _tear_down(self, pipeline: Pipeline, timeout: float) -> None:
        self._sigterm.hold()
        try:
            pipeline.disconnect()
            self._sources.unwatch_event_loop()
            pipeline.shutdown(_within(timeout))
        finally:  # Ctrl-C ends the last push
            self._sources.stop()  # after the last push, which reads them
            if CURRENT.pipeline is pipeline:
                CURRENT.pipeline = None
            self._endpoint.close()
            self._sigterm.release()


def _set_hooks() -> None:
    global _hooks_are_set  # noqa: PLW0603 - once per process
    if not _hooks_are_set:
        _hooks_are_set = True
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(
                before=_before_fork, after_in_parent=unblock_after_fork, after_in_child=_after_fork_in_child
            )
        atexit.register(_shut_down_at_exit)
        in_multiprocessing_child(_listen, _shut_down_at_exit)


def _listen() -> None:
    if _running is not None:
        _running.listen()


def _flush_last() -> None:
    telemetry = _running
    if telemetry is not None:
        telemetry.flush(_within(telemetry.config.shutdown_timeout))


def _within(timeout: float) -> float:
    """Return the seconds that the last push has, so that everything else also ends within the time limit."""
    return timeout - min(_REST, timeout / 10)


def _shut_down_at_exit() -> None:
    if _running is not None:
        _running._end(timeout=None)


def _before_fork() -> None:
    if (telemetry := present_telemetry()) is not None:
        telemetry.before_fork()
        block_at_fork()


def _after_fork_in_child() -> None:
    global _set_up, _running, _starting  # noqa: PLW0603 - another thread of the parent may have the turn
    turn.after_fork_in_child()
    _set_up = Turn()
    telemetry, _running, _starting = present_telemetry(), None, None
    in_multiprocessing_child(_listen, _shut_down_at_exit)
    try:
        if telemetry is not None and telemetry.after_fork_in_child():
            _running = telemetry
    finally:
        unblock_after_fork()
