"""Signals: the traces and the logs of one pipeline, each from its provider to its exporters."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any
from urllib.request import getproxies

from opentelemetry.sdk.resources import Resource

from otel_ha.config.sdk import Limits, check_variables
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.declare.spans import SPANS
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.attempts import Encode
from otel_ha.export.otlp.encoding import encoded_spans
from otel_ha.export.otlp.senders import attempts_of, hint_of
from otel_ha.export.otlp.watch import Console, Outages, Watch, tell
from otel_ha.export.signals.batches import Batches
from otel_ha.version import DISTRO, SCHEMA_URL, __version__

_logger = logging.getLogger("otel_ha")


class Signals:
    """The traces and the logs that the settings turn on; what is off is not imported.

    A provider that other code has set for the process is used, with its own exporters.
    """

    def __init__(self, config: TelemetryConfig, resource: Resource, outages: Outages) -> None:
        self._config = config
        self._resource = resource
        self._outages = outages
        self.batches: list[Batches] = []
        self._connect: list[Callable[[], None]] = []
        self._disconnect: list[Callable[[], None]] = []
        exporters = {"traces": config.traces_exporters, "logs": config.logs_exporters}
        check_variables(os.environ, [signal for signal, chosen in exporters.items() if chosen])
        if config.traces_exporters:
            self._trace()
        if config.logs_exporters:
            self._log()

    @property
    def deliveries(self) -> list[Delivery]:
        """The delivery of each exporter."""
        return [each.delivery for each in self.batches]

    def connect(self) -> None:
        """Let spans be opened and records be sent."""
        for batches in self.batches:
            batches.start()
        for each in self._connect:
            each()

    def disconnect(self) -> None:
        """Stop opening spans and sending records."""
        for each in reversed(self._disconnect):
            each()
        self._disconnect.clear()

    def load(self) -> None:
        """Import the modules that the first push would import."""
        for each in self.batches:
            each.load()

    def begin_flush(self) -> Callable[[float], bool]:
        """Start pushing what waits; the function returns whether it arrived by a deadline, of the monotonic clock."""
        SPANS.end_late()
        requests = [each.begin_flush() for each in self.batches]

        def have_arrived(deadline: float) -> bool:
            arrived = [each.arrived_within(deadline - time.monotonic()) for each in requests]
            return all(arrived)

        return have_arrived

    def close_soon(self) -> None:
        """Start the last pushes."""
        self.disconnect()
        for each in self.batches:
            each.close_soon()

    def close(self, deadline: float) -> None:
        """Wait for the end of the last pushes until `deadline`, of the monotonic clock."""
        left = self.batches.copy()
        try:
            while left:
                left.pop(0).close(deadline - time.monotonic())
        finally:  # Ctrl-C ends all of them
            for each in left:
                each.close(0)
            self._tell_of_lost()

    def _tell_of_lost(self) -> None:
        """Log, in one line, how many spans and log records waited at the end."""
        lost = [each for each in self.batches if each.lost]
        if lost:
            why = "did not end in time" if any(each.is_late for each in lost) else "failed"
            tell("%s are lost: the last push %s", " and ".join(f"{each.lost} {each.noun}" for each in lost), why)

    def abandon(self) -> None:
        """Forget everything, without waiting: in a forked child, it is the parent's."""
        self.disconnect()
        for each in self.batches:
            each.abandon()

    def _trace(self) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only with traces
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        from otel_ha.export.signals.processors import SpansToBatches  # noqa: PLC0415
        from otel_ha.export.signals.sdk import new_tracer_provider  # noqa: PLC0415
        from otel_ha.export.signals.stand_ins import TRACES, foreign_tracer_provider  # noqa: PLC0415

        provider: Any = foreign_tracer_provider()
        if provider is not None:
            _tell_of_foreign(provider, "TracerProvider")
        else:
            batches = self._batches_of("traces", ConsoleSpanExporter, encoded_spans)
            provider = new_tracer_provider(self._resource)
            provider.add_span_processor(SpansToBatches(batches))
            self._stand_in(TRACES, provider, trace.NoOpTracerProvider(), trace.set_tracer_provider, batches)
        tracer = provider.get_tracer(DISTRO, __version__, SCHEMA_URL)
        longest = self._config.attribute_value_length_limit
        self._connect.append(lambda: SPANS.open_by(tracer, longest))
        self._disconnect.append(lambda: SPANS.open_by(None))

    def _log(self) -> None:
        from otel_ha.export.signals.sdk import encoded_records, logs_api, logs_export, new_logger_provider  # noqa: PLC0415
        from otel_ha.export.signals.stand_ins import foreign_logger_provider, logs  # noqa: PLC0415

        try:
            from otel_ha.export.signals.hook import LoggingHook  # noqa: PLC0415 - only with logs

            api, console = logs_api(), logs_export().ConsoleLogRecordExporter
            provider = foreign_logger_provider()
            own = new_logger_provider(self._resource) if provider is None else None
        except (ImportError, AttributeError) as error:
            version = metadata.version("opentelemetry-sdk")
            _logger.warning("opentelemetry-sdk %s is not supported for logs, which are off: %s", version, error)
            return
        if own is None:
            _tell_of_foreign(provider, "LoggerProvider")
        else:
            from otel_ha.export.signals.processors import records_to_batches  # noqa: PLC0415

            batches = self._batches_of("logs", console, encoded_records)
            own.add_log_record_processor(records_to_batches(batches))
            self._stand_in(logs(), own, api.NoOpLoggerProvider(), api.set_logger_provider, batches)
        hook = LoggingHook(own or provider)
        self._connect.append(hook.install)
        self._disconnect.append(hook.remove)

    def _stand_in(
        self, current: Any, provider: Any, nothing: Any, set_global: Callable[[Any], None], batches: list[Batches]
    ) -> None:
        """Let the process's global provider delegate to `provider` while it is connected, and then to `nothing`."""
        from otel_ha.export.signals.processors import flushed  # noqa: PLC0415

        def connect() -> None:
            current.provider, current.flush = provider, lambda timeout: flushed(batches, timeout)
            if not current.is_global:
                current.is_global = True
                set_global(current)

        def disconnect() -> None:
            if current.provider is provider:
                current.provider, current.flush = nothing, lambda _: True

        self._connect.append(connect)
        self._disconnect.append(disconnect)

    def _batches_of(self, signal: str, console: Callable[..., Any], encode: Encode) -> list[Batches]:
        """Return the batches of each exporter of a signal."""
        made = []
        limits = Limits.of(signal, os.environ)
        for exporter in getattr(self._config, f"{signal}_exporters"):
            if exporter == "otlp":
                otlp = self._config.otlp(signal)
                pusher: Any = attempts_of(otlp, otlp.timeout, encode)
                proxies = [Url(url) for url in getproxies().values()]
                delivery = Delivery(f"otlp {signal}", otlp.target)
                watch = Watch(delivery, self._outages, signal, hint=hint_of(otlp), proxies=proxies)
            else:
                pusher = Console(console(out=sys.stdout))
                watch = Watch(Delivery(f"console {signal}", "the console"), Outages(), signal)
            made.append(Batches(pusher, watch, limits))
            self.batches.append(made[-1])
        return made


def _tell_of_foreign(provider: Any, kind: str) -> None:
    _logger.warning(
        "this process already has a %s (%s): using it, with its own exporters", kind, type(provider).__qualname__
    )
