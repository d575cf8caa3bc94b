"""HistoryReader: a metric reader that stores each collection in the history."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData

from otel_ha.delivery import Delivery
from otel_ha.history.history import History
from otel_ha.record.collected import metrics_of
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.record.journal.increases import Increase
from otel_ha.turn import PATIENCE, Turn, is_working
from otel_ha.version import DISTRO

_logger = logging.getLogger("otel_ha")

_FIRST = 1.0
"""Seconds until the first collection: the increase of the host's counters is known only from then on."""

_LONGEST = 10.0
"""Seconds to wait for another collection; if it takes longer, this one is left out."""


class HistoryReader(GatedReader, MetricReader):
    """Collects into a history, every interval and on request.

    `increases` returns the growth of journalled series since its last call; the start of each collection calls note().
    """

    def __init__(self, history: History, gate: CollectionGate, increases: Callable[[], Iterable[Increase]]) -> None:
        super().__init__()
        self.gate = gate
        self.delivery = Delivery("history", "this process's memory")
        self.history = history
        self._increases = increases
        self._received: Sequence[Metric] = ()
        self._grown: list[Iterable[Increase]] = []
        self._error: Exception | None = None
        self._one_at_a_time = Turn()
        self._ending = threading.Event()
        self._is_periodic = True
        self._thread = threading.Thread(target=self._work, name="otel-ha-history", daemon=True)

    def start(self, *, periodic: bool = True) -> None:
        """Start to collect on request, and every interval if `periodic`."""
        self.history.connect(self.collect_provisionally)
        self._is_periodic = periodic
        if periodic:
            self._thread.start()

    def note(self) -> None:
        """Note the growth so far, if this thread collects for this reader.

        Within the collection, and not after it: what another reader's collection settles meanwhile belongs to the next
        one, as it does for the series that the SDK stores. An error is raised by the collection: here it would be the
        SDK's, which logs it and continues.
        """
        if self.gate.reader is self:
            try:
                self._grown.append(self._increases())
            except Exception as error:  # noqa: BLE001 - raised by the collection
                self._error = error

    def collect_and_store(self, *, provisional: bool = False) -> None:
        """Collect now; a failure is logged and counted.

        A handler that interrupts telemetry's own work in this thread collects nothing: it would wait for itself.
        """
        if not is_working():
            self._collect_in_turn(provisional=provisional)

    def _collect_in_turn(self, *, provisional: bool) -> None:
        warning = self._one_at_a_time.run(partial(self._collect_and_store, provisional=provisional), _LONGEST, "")
        if warning:  # after the turn: a logging handler may wait for a thread that a handler has interrupted
            _logger.warning("a collection for the history failed: %s; the next one follows as usual", warning)

    def _collect_and_store(self, *, provisional: bool) -> str:
        """Collect, and return the error that has to be logged, if there is one."""
        self._received, self._error = (), None
        try:
            self.collect()
            grown = self._taken_growth()
            self.history.take(self._received, chain.from_iterable(grown), provisional=provisional)
        except Exception as error:  # noqa: BLE001 - the next collection takes place as usual
            return repr(error) if self.delivery.failed(str(error) or type(error).__name__) else ""
        self.delivery.succeeded()
        return ""

    def _taken_growth(self) -> list[Iterable[Increase]]:
        """Return the growth that this collection noted, and what earlier ones that failed left."""
        if self._error is not None:
            raise self._error
        grown, self._grown = self._grown, []
        return grown

    def collect_provisionally(self) -> None:
        """Collect now; the next collection replaces this one."""
        self.collect_and_store(provisional=True)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Collect a last time and stop, within the timeout and without delaying the last push for long."""
        self.history.connect(lambda: None)  # the history stays as it is
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(min(timeout_millis / 1e3, PATIENCE))
        elif not self._is_periodic:
            self._collect_in_turn(provisional=False)  # within telemetry's own work, its end

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricReader
        """Do nothing: there is nothing to flush."""
        return True

    def _work(self) -> None:
        self._ending.wait(min(_FIRST, self.history.interval))
        while not self._ending.is_set():
            self.collect_and_store()
            self._ending.wait(self.history.interval)
        self.collect_and_store()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - as in MetricReader
        self.gate.end()
        self._received = [metric for _, of_scope, metric in metrics_of(metrics_data) if of_scope.scope.name == DISTRO]
