"""The push: a periodic reader that logs once when the receiver is away, and once when it is back."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from opentelemetry.sdk.metrics import MetricsTimeoutError
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import Aggregation

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.delivery import Delivery
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.record.journal.sdk import SDK_EXPORT_LOGGER, thread_of
from otel_ha.scrub import KNOWN_ONLY, scrub

_logger = logging.getLogger("otel_ha")

# The loggers by which the SDK and its exporters report a failed push: once per attempt and once per interval.
_CHATTY = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    SDK_EXPORT_LOGGER,
)
# The loggers of the transports, some of whose lines have the whole URL: at debug level, and of a malformed response.
_TRANSPORTS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.response", "urllib3.util.retry")
LAST_TRY = 0.5
"""Seconds into a shutdown after which a failed attempt is the last one. The exporters wait about a second before the
second attempt and two before the third: a service without a receiver ends after one second, not after five."""

# The least time in seconds that a collection has for its callbacks.
_LEAST = 0.1


class _Hush(logging.Filter):
    """Hands the log records of a thread that is pushing to a listener, instead of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record through unless this thread is pushing."""
        listener: Callable[[str], object] | None = getattr(self._thread, "listener", None)
        if listener is None:
            return True
        if record.levelno >= logging.WARNING:
            listener(record.getMessage())
        return False

    @contextmanager
    def listening(self, listener: Callable[[str], object]) -> Iterator[None]:
        """Give `listener` the warnings and errors that this thread logs until the block ends."""
        self._thread.listener = listener
        try:
            yield
        finally:
            self._thread.listener = None


_hush = _Hush()


class WatchedExporter(MetricExporter):
    """Passes pushes on to an exporter and notes their success, in place of the exporter's own log lines.

    From `last_try` seconds into a shutdown, a push that fails is repeated at most once. `hint` is advice that the log
    gives first when pushes fail. The secrets of `proxies` stay masked as long as the exporter lives.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        delivery: Delivery,
        temporality: dict[type, AggregationTemporality],
        aggregation: dict[type, Aggregation],
        *,
        last_try: float = LAST_TRY,
        hint: str = "",
        proxies: Sequence[Url] = (),
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._exporter = exporter
        self._delivery = delivery
        self._heard: list[str] = []
        self._closing_since: float | None = None
        self._last_try = last_try
        self._hint = hint
        self._proxies = proxies
        self._is_shut_down = False
        self.abandoned = False
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_hush)  # the same filter is added once only
        for name in _TRANSPORTS:
            logging.getLogger(name).addFilter(KNOWN_ONLY)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Push, and note whether it arrived."""
        if self.abandoned:
            return MetricExportResult.SUCCESS
        self._heard = []
        with _hush.listening(self._hear):
            try:
                result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
            except Exception as error:  # noqa: BLE001 - an exporter that raises is a push that failed
                self._heard.append(scrub(repr(error)))
                result = MetricExportResult.FAILURE
        if result is MetricExportResult.SUCCESS:
            self._succeeded()
        else:
            # The first message has the cause; the last one says only that all attempts are used up.
            self._failed(_cause(self._heard[0]) if self._heard else "no reason given")
        return result

    def _succeeded(self) -> None:
        """Note a push that arrived; the first one after an outage is logged."""
        failures = self._delivery.succeeded()
        if failures:
            _logger.warning("push to %s works again (failures: %d)", self._delivery.target, failures)

    def _failed(self, why: str) -> None:
        """Note a push that failed; the first one of an outage is logged."""
        if not self._delivery.failed(why):
            return
        if self._closing_since is not None:
            _logger.warning(
                "the last push to %s failed: %s (OTEL_METRICS_EXPORTER=prometheus turns pushing off)",
                self._delivery.target,
                why,
            )
        else:
            _logger.warning(
                "push to %s failed: %s; trying again every interval, and logging when it works "
                "(%sOTEL_EXPORTER_OTLP_ENDPOINT sets the receiver, OTEL_METRICS_EXPORTER=prometheus turns pushing off)",
                self._delivery.target,
                why,
                self._hint,
            )

    def close_soon(self) -> None:
        """From now on, repeat a push that fails at most once: the service wants to end."""
        self._closing_since = time.monotonic()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down; an attempt that waits for its repetition gives up."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._exporter.shutdown(timeout_millis=timeout_millis, **kwargs)

    def _hear(self, message: str) -> None:
        self._heard.append(scrub(message))  # before anything is cut off, as half a secret is not recognized
        if self._closing_since is not None and time.monotonic() - self._closing_since > self._last_try:
            self.shutdown()


def _cause(message: str) -> str:
    """Return the part of an exporter's message that an operator needs: the system's error, if there is one in it."""
    system_error = re.search(r"\[Errno -?\d+\] [^\"')]+", message)
    return system_error[0] if system_error else message.partition(", retrying in")[0]


class PushReader(GatedReader, PeriodicExportingMetricReader):
    """Collects and pushes every interval, when it is flushed, and a last time when it is shut down."""

    def __init__(
        self, exporter: WatchedExporter, delivery: Delivery, config: TelemetryConfig, gate: CollectionGate
    ) -> None:
        self.gate = gate
        self.delivery = delivery
        self._watched = exporter
        super().__init__(
            exporter,
            export_interval_millis=config.export_interval * 1e3,
            export_timeout_millis=config.export_timeout * 1e3,
        )

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Push a last time and stop, within the time given; a receiver that refuses is tried at most twice."""
        self._watched.close_soon()
        super().shutdown(timeout_millis=timeout_millis, **kwargs)
        thread = thread_of(self)
        if thread is not None and thread.is_alive() and not self._watched.abandoned:
            _logger.warning("the last push to %s did not end in time; its interval may be lost", self.delivery.target)

    def flush(self, timeout: float) -> bool:
        """Push now; return whether it arrived within `timeout` seconds. After that, it continues in the background."""
        arrived: list[bool] = []

        def push() -> None:
            with suppress(MetricsTimeoutError):
                self.force_flush(timeout_millis=max(timeout, _LEAST) * 1e3)
                arrived.append(not self.delivery.failures)

        # The exporters have their own timeout.
        thread = threading.Thread(target=push, name="otel-ha-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            push()
        else:
            thread.join(max(timeout, 0))
        return arrived == [True]

    def abandon(self) -> None:
        """Stop pushing, without waiting: in a forked child, these measurements are the parent's."""
        self._watched.abandoned = True
        self.shutdown(timeout_millis=0)
