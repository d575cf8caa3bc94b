"""The scrape: a reader that Prometheus collects, with its own registry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

import prometheus_client.registry
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import Metric, MetricsData
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family

from otel_ha.export.prometheus.exemplars import Exemplars
from otel_ha.export.prometheus.exporter import Encode, with_ratios, writable
from otel_ha.export.prometheus.exposition import Exposition, exposition
from otel_ha.export.prometheus.points import in_columns
from otel_ha.export.prometheus.restricted import restricted_families
from otel_ha.export.prometheus.scopes import with_scopes
from otel_ha.record.gate import CollectionGate, GatedReader
from otel_ha.turn import giving_way

_logger = logging.getLogger("otel_ha")

MOST_FORMATS = 4
"""Exposition formats that are kept ready; each scraper asks for one."""

_KINDS = {"ExponentialHistogram": "exponential histogram"}

TURN = 250
"""Points after which other threads have a turn: about a millisecond of work."""


class ScrapeReader(GatedReader, PrometheusMetricReader):
    """The Prometheus reader, collected by scrapes only.

    Its registry can be collected like any other, and other collectors may register there. `stream` gives the same text
    at a fraction of the cost.
    """

    def __init__(self, gate: CollectionGate) -> None:
        self.gate = gate
        self.registry = StreamingRegistry(self)
        self._thread = threading.local()
        self.formats: dict[Any, Exposition] = {}
        self._left_out: set[str] = set()
        self._exemplars = Exemplars()
        super().__init__(scope_info_enabled=False, registry=self.registry)

    def stream(self, encode: Encode, names: AbstractSet[str] | None = None) -> Iterator[str]:
        """Collect now, and return the text that `encode` writes for the registry, in pieces.

        With `names`, only samples of these names are written.
        """
        taken: list[MetricsData] = []
        self._thread.taken = taken
        try:
            # The exporter has nothing to translate, so these are the families of other collectors.
            others = list(self.registry.collect())
        finally:
            self._thread.taken = None
        if names is not None:
            others = restricted_families(others, names)
        return self._exposition(encode).chunks(taken.pop() if taken else None, others, names, self._exemplars)

    def gather(self, points: Iterable[Any]) -> Any:
        """Return a metric's points as this thread needs them: in columns if it writes them itself."""
        return list(points) if self._taken() is None else in_columns(giving_way(points, TURN))

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as in MetricReader
        """Do nothing: points that a flush collected would appear a second time in the next scrape."""
        return True

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        metrics_data, left_out = writable(metrics_data)
        self._warn_of(left_out)
        metrics_data = with_scopes(metrics_data)
        self._exemplars.take(metrics_data)
        taken = self._taken()
        if taken is None:
            super()._receive_metrics(with_ratios(metrics_data), timeout_millis=timeout_millis, **kwargs)
        else:
            taken.append(metrics_data)

    def _warn_of(self, left_out: Iterable[Metric]) -> None:
        for metric in left_out:
            if metric.name not in self._left_out:
                self._left_out.add(metric.name)
                kind = _KINDS.get(type(metric.data).__name__, type(metric.data).__name__)
                _logger.warning(
                    "%s: a View makes it an %s, which Prometheus cannot scrape; it is only pushed", metric.name, kind
                )

    def _taken(self) -> list[MetricsData] | None:
        """Return the list for this thread's collection; None if the exporter writes it."""
        return getattr(self._thread, "taken", None)

    def _exposition(self, encode: Encode) -> Exposition:
        # prometheus_client makes a new partial for the same format.
        format_ = (encode.func, *sorted(encode.keywords.items())) if isinstance(encode, partial) else encode
        found = self.formats.get(format_)
        if found is None:
            if len(self.formats) >= MOST_FORMATS:
                self.formats.clear()
            found = self.formats[format_] = exposition(encode)
        return found


class StreamingRegistry(CollectorRegistry):
    """A registry that can be written in pieces."""

    def __init__(self, reader: ScrapeReader) -> None:
        super().__init__()
        self._reader = reader
        self._collecting = threading.RLock()

    def collect(self) -> Iterator[Family]:
        """Collect everything, one thread at a time: other threads would empty the exporter's queue."""
        with self._collecting:
            return iter(list(super().collect()))

    def stream(self, encode: Encode) -> Iterator[str]:
        """Collect now, and return the text that `encode` writes for this registry, in pieces."""
        return self._reader.stream(encode)

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return this registry with only the samples of these names.

        prometheus_client would ask only collectors that describe themselves, which the exporter's does not.
        """
        return RestrictedRegistry(self._reader, frozenset(names))


class RestrictedRegistry(prometheus_client.registry.RestrictedRegistry):
    """Samples of some names, which can be written in pieces."""

    def __init__(self, reader: ScrapeReader, names: frozenset[str]) -> None:
        super().__init__(names, reader.registry)
        self._reader = reader
        self._names = names

    def collect(self) -> Iterator[Family]:
        """Collect everything, and return the families of the named samples."""
        return iter(restricted_families(self._reader.registry.collect(), self._names))

    def stream(self, encode: Encode) -> Iterator[str]:
        """Collect now, and return the text that `encode` writes for the named samples, in pieces."""
        return self._reader.stream(encode, self._names)
