"""The way into the history: a reader that hands each collection to what keeps it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData

from otel_ha.delivery import Delivery
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.record.journal.increases import Increase
from otel_ha.version import DISTRO

_logger = logging.getLogger("otel_ha")

_FIRST = 1.0
"""Seconds after which it collects for the first time: what the host counts can then be compared with something."""


class Keeper(Protocol):
    """What collections are kept in."""

    look: Callable[[], object]
    interval: float

    def take(self, metrics: Iterable[Any], gains: Iterable[Increase], *, provisional: bool) -> None:
        """Keep a collection."""


class HistoryReader(GatedReader, MetricReader):
    """Collects every interval, and when it is asked to, into a keeper; with what bound instruments `gained`."""

    def __init__(self, keeper: Keeper, gate: CollectionGate, gained: Callable[[], Iterable[Increase]]) -> None:
        super().__init__()
        self.gate = gate
        self.delivery = Delivery("history", "this process's memory")
        self._keeper = keeper
        self._gained = gained
        self._received: Sequence[Metric] = ()
        self._one_at_a_time = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="otel-ha-history", daemon=True)

    def start(self) -> None:
        """Collect every interval from now on."""
        self._keeper.look = self.look
        self._thread.start()

    def keep(self, *, provisional: bool = False) -> None:
        """Collect now; a collection that fails is noted."""
        with self._one_at_a_time:
            self._received = ()
            try:
                self.collect()
                # Last: what a collection that failed has settled is gained in the next one.
                self._keeper.take(self._received, self._gained(), provisional=provisional)
            except Exception as error:  # noqa: BLE001 - the next collection is to be tried as usual
                if self.delivery.failed(str(error) or type(error).__name__):
                    _logger.warning("the history misses a collection: %r", error)
            else:
                self.delivery.succeeded()

    def look(self) -> None:
        """Collect now, into a place that the next collection takes."""
        self.keep(provisional=True)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Collect a last time and stop, within the time given."""
        self._keeper.look = lambda: None  # what is kept stays as it was at the end
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_millis / 1e3)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricReader
        """Do nothing: there is nobody to flush to."""
        return True

    def _work(self) -> None:
        self._ending.wait(min(_FIRST, self._keeper.interval))
        while not self._ending.is_set():
            self.keep()
            self._ending.wait(self._keeper.interval)
        self.keep()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        self.gate.end()
        self._received = [
            metric
            for of_resource in metrics_data.resource_metrics
            for of_scope in of_resource.scope_metrics
            if of_scope.scope.name == DISTRO
            for metric in of_scope.metrics
        ]
