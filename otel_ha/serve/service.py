"""EndpointService: the endpoint of one Telemetry, with the built-in server if the settings ask for it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import basic_authorization
from otel_ha.delivery import Delivery
from otel_ha.nested import is_nested
from otel_ha.scrub import scrub
from otel_ha.serve.adapters import AsgiApplication, WsgiApplication
from otel_ha.serve.application import Endpoint
from otel_ha.serve.health import endpoint_state
from otel_ha.serve.server import Server

_logger = logging.getLogger("otel_ha")


class EndpointService:
    """The endpoint, and its server from open() to close(); failure to open the port never stops the service."""

    def __init__(
        self,
        config: TelemetryConfig,
        health: Callable[[], Mapping[str, object]],
        summary: Callable[[], Mapping[str, object]],
        ready: Callable[[], bool],
    ) -> None:
        self._config = config
        self._server: Server | None = None
        self._problem = ""
        username, password = config.endpoint_credentials or (None, None)
        self._authorization = basic_authorization(username or "", password.reveal()) if password else None
        """The header of a client that may read, which the scrubber masks as long as this object lives."""
        self._endpoint = Endpoint(
            None,
            health,
            summary,
            username=username,
            password=password.reveal() if password else None,
            allowed_hosts=config.endpoint_allowed_hosts,
            ready=ready,
        )

    @property
    def metrics_url(self) -> str | None:
        """The URL of the metrics; None if the built-in server is not listening."""
        return f"{self._server.url}/metrics" if self._server else None

    @property
    def delivery(self) -> Delivery:
        """The state of the scrapes."""
        return self._endpoint.delivery

    @property
    def wsgi_app(self) -> WsgiApplication:
        """The endpoint as a WSGI application."""
        return self._endpoint.wsgi_app

    @property
    def asgi_app(self) -> AsgiApplication:
        """The endpoint as an ASGI application."""
        return self._endpoint.asgi_app

    def text(self) -> str:
        """Return the metrics as Prometheus text; see Endpoint.text."""
        return self._endpoint.text()

    def state(self, *, scrapes: bool) -> dict[str, Any]:
        """Return the state as /healthz shows it; `scrapes` is whether there is anything to scrape."""
        return endpoint_state(url=self.metrics_url, problem=self._problem, scrapes=scrapes)

    def open(self, registry: CollectorRegistry, *, forked: bool) -> None:
        """Serve the metrics of a registry; a problem with the port is logged and reported by state().

        In a `forked` child, a fixed port remains the parent's. A nested process takes a free port if its own is in use.
        """
        self._endpoint.registry = registry
        config = self._config
        if not config.endpoint_server:
            return
        where = f"{config.prometheus_host}:{config.prometheus_port}"
        if forked and config.prometheus_port:
            # Not logged: another thread of the parent may have been writing to a stream, which is locked in the child.
            self._problem = f"the parent process listens at {where}; this forked child only pushes"
            return
        try:
            server = self._started(config.prometheus_port)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._problem = scrub(f"cannot listen at {where}: {why}")
            hint = "set OTEL_EXPORTER_PROMETHEUS_HOST and _PORT to another address; port 0 selects a free one"
            _logger.error("no metrics endpoint: %s; the service continues without it (%s)", self._problem, hint)  # noqa: TRY400 - one line
        else:
            self._server, self._problem = server, ""

    def _started(self, port: int) -> Server:
        config = self._config
        server = Server(
            self._endpoint,
            config.prometheus_host,
            port,
            certificate=config.endpoint_certificate,
            key=config.endpoint_key,
            client_ca=config.endpoint_client_ca,
            allowed_hosts=config.endpoint_allowed_hosts,
            connections=config.endpoint_connections,
        )
        try:
            server.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not port or not is_nested():
                raise
            server = self._started(0)
            _logger.info(
                "port %s is in use, and an instrumented process started this one: its metrics are at %s/metrics",
                port,
                server.url,
            )
        return server

    def close(self) -> None:
        """Stop serving."""
        self._endpoint.registry = None
        if self._server is not None:
            self._server.stop()
            self._server = None

    def after_fork_in_child(self) -> None:
        """Forget the parent's scrape and listening socket."""
        self._endpoint.after_fork_in_child()
        if self._server is not None:
            self._server.after_fork_in_child()
            self._server = None
