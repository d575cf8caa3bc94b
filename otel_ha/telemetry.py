"""setup_telemetry(): the one call that starts telemetry, and Telemetry, which owns its life.

This module holds the process's global state: the one Telemetry that runs, and the MeterProvider that stands for it. The
only other thing that changes in a process is the recorder of a connected declaration (see otel_ha.declare.instruments).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import View

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.catalog import Catalog
from otel_ha.errors import ConfigError, TelemetryError
from otel_ha.export.global_provider import CurrentProvider
from otel_ha.export.pipeline import Observed, Pipeline
from otel_ha.history import History
from otel_ha.lifecycle import Sigterm, at_end_of_multiprocessing_child
from otel_ha.serve.application import Endpoint
from otel_ha.serve.health import endpoint_state, health
from otel_ha.serve.server import Server
from otel_ha.serve.summary import summary
from otel_ha.sources.event_loop import running_loop, watch_event_loop
from otel_ha.sources.filesystems import observe_filesystems
from otel_ha.sources.system import instrument_system
from otel_ha.vocabulary import ha_ingestor, ingest, runtime

_logger = logging.getLogger("otel_ha")

_lock = threading.RLock()
_running: Telemetry | None = None
_hooks_are_set = False
_GIVING_WAY = 0.5
"""Seconds that telemetry which was set up without being asked for has for its last push."""
_observed_on: weakref.WeakKeyDictionary[metrics.MeterProvider, Observed] = weakref.WeakKeyDictionary()


def setup_telemetry(
    service_name: str | None = None,
    *,
    config: TelemetryConfig | None = None,
    catalog: Catalog = ingest.CATALOG,
    views: Sequence[View] = (),
) -> Telemetry:
    """Start telemetry for this process and return it; does not wait for the network.

    `service_name` beats the one in `config`; without `config`, the environment decides (see TelemetryConfig). An
    instrument that one of the SDK's `views` matches gets those in place of the one that follows from its declaration.
    Where telemetry runs already with the same settings, that one is returned. Raises ConfigError for a wrong setting,
    and where telemetry runs with other settings, naming them; one that nobody asked for by this call gives way.
    """
    global _running  # noqa: PLW0603 - this module's purpose
    config = config or TelemetryConfig()
    unknown = config.unknown_variables()
    if service_name is not None:
        config = config.named(service_name)
    with _lock:
        if _running is not None and not _running.gives_way_to(config, catalog, views):
            return _running
        _set_hooks()
        for variable in unknown:
            _logger.warning("%s", variable)
        telemetry = Telemetry(config, catalog, views)
        telemetry.start()
        _running = telemetry
        return telemetry


def running_telemetry() -> Telemetry | None:
    """Return the telemetry of this process, or None while there is none."""
    return _running


class Telemetry:
    """Telemetry that runs, until shutdown() or the end of the process; a context manager, sync and async."""

    def __init__(self, config: TelemetryConfig, catalog: Catalog, views: Sequence[View] = ()) -> None:
        self.config = config
        self.catalog = catalog
        self.views = tuple(views)
        self._all = catalog | runtime.CATALOG | ha_ingestor.CATALOG
        self._pipeline: Pipeline | None = None
        self._server: Server | None = None
        self._endpoint_problem = ""
        self._undo: list[Callable[[], object]] = []
        self._stop_watching_loop: Callable[[], object] | None = None
        self._shutdown_lock = threading.Lock()
        self._sigterm = Sigterm(self)
        username, password = config.endpoint_credentials or (None, None)
        self._endpoint = Endpoint(
            None, self.health, self.summary, username=username, password=password.reveal() if password else None
        )
        self._history: History | None = None
        self.is_provisional = False

    def start(self) -> None:
        """Build the pipeline and connect the declarations; setup_telemetry's to call."""
        if not self.config.enabled:
            return
        try:
            self._build()
        except BaseException:
            self.shutdown(timeout=0)  # half of it must not stay
            raise
        if self.config.handle_sigterm:
            self._sigterm.install()

    def gives_way_to(self, config: TelemetryConfig, catalog: Catalog, views: Sequence[View]) -> bool:
        """Return whether this telemetry was provisional, and is now shut down in favour of one with other settings.

        Raises ConfigError, naming what differs, where it was set up otherwise and is not provisional.
        """
        differences = self.config.differences(config)
        if set(self.catalog) != set(catalog):
            names = {instrument.name for instrument in set(self.catalog) ^ set(catalog)}
            differences.append(f"catalog: {', '.join(sorted(names))} in one of them only")
        if self.views != tuple(views):
            differences.append("views: others")
        what = f"telemetry is set up already, with other settings: {'; '.join(differences)}"
        if differences and not self.is_provisional:
            raise ConfigError(what)
        self.is_provisional = False
        if differences:
            _logger.info("%s; it gives way, and counting begins anew", what)
            self.shutdown(timeout=_GIVING_WAY)
        return bool(differences)

    @property
    def metrics_url(self) -> str | None:
        """Where Prometheus finds the metrics; None where no port of our own is open."""
        return f"{self._server.url}/metrics" if self._server else None

    def prometheus_text(self) -> str:
        """Return what a scrape returns, as text. Raises TelemetryError where the prometheus exporter is off."""
        if self._pipeline is None or self._pipeline.scrape is None:
            raise TelemetryError("there is nothing to scrape: metrics_exporters does not name prometheus, or is off")
        return self._endpoint.text()

    @property
    def history(self) -> History | None:
        """The last collections of this process; None where telemetry, or its history, is off.

        So it is as well where the process had a MeterProvider already that is none of the SDK's.
        """
        return self._history

    def summary(self) -> dict[str, Any]:
        """Return the figures of now, of the last collections, and rolled up: what /summary shows, ready for JSON.

        It takes a collection and some milliseconds: in an event loop, call it by ``asyncio.to_thread``.
        """
        return summary(self._history, service=self.config.service_name, groups=self.config.groups)

    def health(self) -> dict[str, Any]:
        """Return the state of telemetry and of each reader: what /healthz shows, ready for JSON."""
        pipeline = self._pipeline
        scrapes = pipeline is not None and pipeline.scrape is not None
        return health(
            self.config.service_name,
            enabled=self.config.enabled,
            running=pipeline is not None,
            endpoint=endpoint_state(url=self.metrics_url, problem=self._endpoint_problem, scrapes=scrapes),
            deliveries=[*([self._endpoint.delivery] if scrapes else []), *(pipeline.deliveries if pipeline else [])],
        )

    @property
    def wsgi_app(self) -> Callable[..., Any]:
        """The endpoint as a WSGI application, to mount in a server of your own."""
        return self._endpoint.wsgi_app

    @property
    def asgi_app(self) -> Callable[..., Any]:
        """The endpoint as an ASGI application, to mount in a server of your own."""
        return self._endpoint.asgi_app

    def watch_event_loop(self) -> None:
        """Measure the delay of the running event loop; done by itself where a loop runs at set-up or `async with`."""
        if self._pipeline is not None and "performance" in self.config.groups:
            if self._stop_watching_loop is not None:
                self._stop_watching_loop()
            self._stop_watching_loop = watch_event_loop()

    def flush(self, timeout: float | None = None) -> bool:
        """Push everything now, within `timeout` seconds (default: export_timeout); returns whether it arrived."""
        if self._pipeline is None:
            return True
        return self._pipeline.flush(self.config.export_timeout if timeout is None else timeout)

    def shutdown(self, timeout: float | None = None) -> None:
        """Push the last interval and stop, within `timeout` seconds (default: shutdown_timeout); again does nothing."""
        global _running  # noqa: PLW0603 - this module's purpose
        with self._shutdown_lock:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is not None:
                self._tear_down(pipeline, self.config.shutdown_timeout if timeout is None else timeout)
        with _lock:
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
        if self._stop_watching_loop is None:
            self.watch_event_loop()
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: object) -> None:
        """Shut down, in a thread: the loop goes on meanwhile."""
        import asyncio  # noqa: PLC0415 - a service without a loop need not load it

        self._unwatch_loop()
        await asyncio.to_thread(self.shutdown)
        self._sigterm.uninstall()

    def __repr__(self) -> str:
        """Return what it is and whether it runs."""
        return f"<Telemetry {self.config.service_name!r}, {'running' if self._pipeline else 'not running'}>"

    def after_fork_in_child(self) -> None:
        """Start anew in a forked child: counts from zero, a service.instance.id and a push of its own."""
        self._shutdown_lock = threading.Lock()
        parent, self._pipeline = self._pipeline, None
        if parent is None:
            return
        parent.abandon()
        self._stop_watching_loop = None
        self._endpoint.after_fork_in_child()
        if self._server is not None:
            self._server.after_fork_in_child()
            self._server = None
        self._build(forked_from=parent)
        self._sigterm.after_fork_in_child()
        at_end_of_multiprocessing_child(self)

    def _build(self, forked_from: Pipeline | None = None) -> None:
        foreign = _foreign_provider()
        if foreign is not None:
            _logger.warning(
                "this process has a MeterProvider already (%s): it is used, with its own readers, Views and exporters",
                type(foreign).__qualname__,
            )
        forked = forked_from is not None
        observed = None if foreign is None or forked else _observed_on.setdefault(foreign, {})
        length, interval = self.config.history_length, self.config.history_interval
        keeper = History(self._all, length=length, interval=interval) if length else None
        pipeline = Pipeline(
            self.config, self._all, foreign=foreign, observed=observed, views=self.views, forked=forked, keeper=keeper
        )
        self._history = keeper if pipeline.history is not None else None
        self._pipeline = pipeline
        _CURRENT.pipeline = pipeline
        if foreign is None and metrics.get_meter_provider() is not _CURRENT:
            metrics.set_meter_provider(_CURRENT)
        pipeline.connect()
        if forked_from is None:
            self._instrument()
        else:
            pipeline.adopt(forked_from)  # what is observed: the queues as well as the process, which is now this one
        self._open_endpoint(pipeline, forked=forked)

    def _instrument(self) -> None:
        if "system" in self.config.groups:
            self._undo += [instrument_system(), observe_filesystems()]
        if running_loop() is not None:
            self.watch_event_loop()

    def _unwatch_loop(self) -> None:
        if self._stop_watching_loop is not None:
            self._stop_watching_loop()
            self._stop_watching_loop = None

    def _open_endpoint(self, pipeline: Pipeline, *, forked: bool) -> None:
        config = self.config
        if pipeline.scrape is None:
            return
        self._endpoint.registry = pipeline.scrape.registry
        if not config.endpoint_server:
            return
        server = Server(
            self._endpoint,
            config.prometheus_host,
            config.prometheus_port,
            certificate=config.endpoint_certificate,
            key=config.endpoint_key,
            client_ca=config.endpoint_client_ca,
        )
        where = f"{config.prometheus_host}:{config.prometheus_port}"
        if forked and config.prometheus_port:
            self._endpoint_problem = f"{where} is the parent process's; a forked child pushes only"
            _logger.info("%s", self._endpoint_problem)
            return
        try:
            server.start()
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._endpoint_problem = f"cannot listen at {where}: {why}"
            hint = "OTEL_EXPORTER_PROMETHEUS_HOST and _PORT say where else; port 0 takes a free one"
            _logger.error("no metrics endpoint: %s; the service goes on (%s)", self._endpoint_problem, hint)  # noqa: TRY400 - one line
        else:
            self._server, self._endpoint_problem = server, ""

    def _tear_down(self, pipeline: Pipeline, timeout: float) -> None:
        pipeline.disconnect()
        self._sigterm.uninstall()
        self._unwatch_loop()
        pipeline.shutdown(timeout)
        while self._undo:
            self._undo.pop()()
        self._endpoint.registry = None
        if _CURRENT.pipeline is pipeline:
            _CURRENT.pipeline = None
        if self._server is not None:
            self._server.stop()
            self._server = None


_CURRENT = CurrentProvider()


def _foreign_provider() -> metrics.MeterProvider | None:
    """Return the MeterProvider that somebody else has set, or None."""
    provider = metrics.get_meter_provider()
    # The API's stand-in for "none set" is private; whatever is neither it nor ours was set by somebody.
    if provider is _CURRENT or type(provider).__name__ == "_ProxyMeterProvider":
        return None
    return provider


def _set_hooks() -> None:
    global _hooks_are_set  # noqa: PLW0603 - once a process
    if not _hooks_are_set:
        _hooks_are_set = True
        atexit.register(_shut_down_at_exit)
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _shut_down_at_exit() -> None:
    if _running is not None:
        _running.shutdown()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.RLock()
    if _running is not None:
        _running.after_fork_in_child()
