"""The push of metrics: a periodic reader, whose pushes are watched."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from opentelemetry.sdk.metrics import MetricsTimeoutError
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import Aggregation

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.export.otlp.watch import Pusher, Watch
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.record.journal.sdk import OwnPeriodicReader, thread_of

# The least time in seconds that a collection has for its callbacks.
_LEAST = 0.1


class WatchedExporter(MetricExporter):
    """Pushes, and lets a Watch note the success of each push."""

    def __init__(
        self,
        pusher: Pusher,
        watch: Watch,
        temporality: dict[type, AggregationTemporality],
        aggregation: dict[type, Aggregation],
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._pusher = pusher
        self.watch = watch
        self.abandoned = False
        self.pushes = 0
        self.cut_off = False
        """Whether shutdown() found a push that had not ended, and cut it off."""
        self._is_pushing = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ARG002 - the pusher has its own limit: a push continues after a short flush
        """Push, and note whether it arrived."""
        self.pushes += 1
        if self.abandoned:
            return MetricExportResult.SUCCESS
        self._is_pushing = True
        try:
            answer = self.watch.push(self._pusher, metrics_data)
        finally:
            self._is_pushing = False
        return MetricExportResult.FAILURE if answer.error else MetricExportResult.SUCCESS

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._pusher.load()

    def close_soon(self) -> None:
        """From now on, repeat a push that fails at most once: the service wants to end."""
        if not self.abandoned:
            self.watch.is_closing = True
            self._pusher.close_soon()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricExporter
        """Do nothing: there is nothing to flush."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricExporter
        """Stop; an attempt that waits gives up."""
        if not self.abandoned:  # in a forked child, cutting off connections would cut off the parent's
            self.cut_off = self.watch.is_over = self._is_pushing
            self._pusher.shutdown()


class PushReader(GatedReader, OwnPeriodicReader):
    """Collects and pushes every interval, when it is flushed, and a last time when it is shut down."""

    def __init__(self, exporter: WatchedExporter, config: TelemetryConfig, gate: CollectionGate) -> None:
        self.gate = gate
        self.delivery = exporter.watch.delivery
        self._watched = exporter
        # A thread that cannot start another one flushes in itself, where a signal handler may flush as well.
        self._one_by_one = threading.RLock()
        self._is_closing = False
        self._has_ended = False
        super().__init__(
            exporter,
            export_interval_millis=config.export_interval * 1e3,
            export_timeout_millis=config.export_timeout * 1e3,
        )

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._watched.load()

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # final: as in GatedReader
        """Collect and push; a collection without measurements is not pushed.

        One collection after the other, each with its push: two threads would otherwise push older values after newer
        ones. The first collection after the beginning of the end has everything; a flush that comes later has nothing
        to add, and its push would be cut off.
        """
        with self._one_by_one:
            if self._has_ended:
                return
            is_last, before = self._is_closing, self._watched.pushes
            super().collect(timeout_millis=timeout_millis)
            if self._watched.pushes == before:
                self.delivery.had_nothing()
            self._has_ended = is_last

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Push a last time and stop, within the time given; a receiver that refuses is tried at most twice."""
        self._watched.close_soon()
        self._is_closing = True
        super().shutdown(timeout_millis=timeout_millis, **kwargs)
        thread = thread_of(self)
        is_late = self._watched.cut_off or (thread is not None and thread.is_alive())
        if is_late and not self._watched.abandoned:
            self._watched.watch.cut_off()

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
        self.silence()
        self.shutdown(timeout_millis=0)

    def silence(self) -> None:
        """Push nothing from now on, not even at the end."""
        self._watched.abandoned = True
