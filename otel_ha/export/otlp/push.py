"""The push: a periodic reader that logs once when the receiver is away, and once when it is back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from opentelemetry.sdk.metrics import MetricsTimeoutError
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import Aggregation

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import Url
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.answer import Answer
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.record.journal.sdk import OwnPeriodicReader, thread_of
from otel_ha.scrub import KNOWN_ONLY, scrub

_logger = logging.getLogger("otel_ha")

# The loggers of the transports, some of whose lines have the whole URL: at debug level, and of a malformed response.
_TRANSPORTS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.response", "urllib3.util.retry")
# The least time in seconds that a collection has for its callbacks.
_LEAST = 0.1


class Pusher(Protocol):
    """An object that pushes, such as Attempts."""

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""

    def push(self, metrics_data: MetricsData) -> Answer:
        """Push, and return the receiver's answer."""

    def close_soon(self) -> None:
        """Repeat a failed push at most once from now on."""

    def shutdown(self) -> None:
        """Stop; a waiting attempt gives up."""


class WatchedExporter(MetricExporter):
    """Pushes and notes the success of each push: one log line when an outage starts, and one when it is over.

    `hint` is advice that the log gives first when pushes fail. The secrets of `proxies` stay masked as long as the
    exporter lives.
    """

    def __init__(
        self,
        pusher: Pusher,
        delivery: Delivery,
        temporality: dict[type, AggregationTemporality],
        aggregation: dict[type, Aggregation],
        *,
        hint: str = "",
        proxies: Sequence[Url] = (),
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._pusher = pusher
        self._delivery = delivery
        self._is_closing = False
        self._hint = hint
        self._proxies = proxies
        self._remark = ""
        self.abandoned = False
        self.pushes = 0
        for name in _TRANSPORTS:
            logging.getLogger(name).addFilter(KNOWN_ONLY)  # the same filter is added once only

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ARG002 - the pusher has its own limit: a push continues after a short flush
        """Push, and note whether it arrived."""
        self.pushes += 1
        if self.abandoned:
            return MetricExportResult.SUCCESS
        try:
            answer = self._pusher.push(metrics_data)
        except Exception as error:  # noqa: BLE001 - an exporter that raises is a push that failed
            answer = Answer(scrub(repr(error)))
        if answer.skipped:
            return MetricExportResult.FAILURE
        if answer.error:
            self._failed(answer.error)
            return MetricExportResult.FAILURE
        self._succeeded(answer)
        return MetricExportResult.SUCCESS

    def _succeeded(self, answer: Answer) -> None:
        """Note a push that arrived; the first one after an outage is logged, and the first one that is incomplete."""
        target, rejected_before = self._delivery.target, self._delivery.rejected
        message = answer.remark or "no reason given"
        failures = self._delivery.succeeded(
            answer.rejected, f"{answer.rejected} data points rejected: {message}" if answer.rejected else ""
        )
        if failures:
            _logger.warning("push to %s works again (failures: %d)", target, failures)
        if answer.rejected and not rejected_before:
            _logger.warning(
                "%s rejected %d data points: %s; the others arrived, and the rejected ones are not sent again",
                target,
                answer.rejected,
                message,
            )
        elif rejected_before and not answer.rejected:
            _logger.warning("%s accepts all data points again", target)
        elif answer.remark and not answer.rejected and answer.remark != self._remark:
            _logger.warning("%s accepted a push with a warning: %s", target, answer.remark)
        self._remark = answer.remark

    def _failed(self, why: str) -> None:
        """Note a push that failed; the first one of an outage is logged."""
        if not self._delivery.failed(why):
            return
        if self._is_closing:
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

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._pusher.load()

    def close_soon(self) -> None:
        """From now on, repeat a push that fails at most once: the service wants to end."""
        if not self.abandoned:
            self._is_closing = True
            self._pusher.close_soon()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricExporter
        """Do nothing: there is nothing to flush."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricExporter
        """Stop; an attempt that waits gives up."""
        if not self.abandoned:  # in a forked child, cutting off connections would cut off the parent's
            self._pusher.shutdown()


class PushReader(GatedReader, OwnPeriodicReader):
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

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._watched.load()

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: as in GatedReader
        """Collect and push; a collection without measurements is not pushed."""
        before = self._watched.pushes
        super().collect(timeout_millis=timeout_millis)
        if self._watched.pushes == before:
            self.delivery.had_nothing()

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
                arrived.append(self.delivery.is_complete)

        # A push has its own timeout.
        thread = threading.Thread(target=push, name="otel-ha-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # at its end, the interpreter starts no threads
            push()
        else:
            thread.join(max(timeout, 0))
        return arrived == [True]

    def abandon(self) -> None:
        """Stop pushing, without waiting: in a forked child, these measurements are the parent's."""
        self._watched.abandoned = True
        self.shutdown(timeout_millis=0)
