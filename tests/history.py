"""A history of the real SDK's collections, taken by hand at times set by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics.view import View

from otel_ha import Catalog, TelemetryConfig
from otel_ha.export.pipeline import Pipeline
from otel_ha.history import History
from otel_ha.history.reader import HistoryReader
from otel_ha.history.store import Moment
from otel_ha.record.gate import CollectionGate
from otel_ha.vocabulary import ingest, runtime


class Clock:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.epoch = 1e9

    def __call__(self) -> Moment:
        return Moment(self.epoch + self.seconds, self.seconds)


class Run:
    """A pipeline of the real SDK, with a history whose collections are taken by hand."""

    def __init__(self, length: int, catalog: Catalog, views: Sequence[View] = (), **settings: Any) -> None:
        self.clock = Clock()
        self.history = History(catalog, length=length, interval=3600, now=self.clock)
        config = TelemetryConfig(metrics_exporters=(), entity_metrics=True, environ={}, **settings)
        self.pipeline = Pipeline(config, catalog, views=views, history=self.history)

    @property
    def reader(self) -> HistoryReader:
        """The reader of the history."""
        assert self.pipeline.history is not None
        return self.pipeline.history

    @property
    def gate(self) -> CollectionGate:
        """The gate that all readers of the pipeline share."""
        return self.reader.gate

    def collect(self, seconds: float) -> None:
        """Take a regular collection this many seconds after the last one."""
        self.clock.seconds += seconds
        self.reader.collect_and_store()


@contextmanager
def run(length: int = 100, catalog: Catalog = ingest.CATALOG | runtime.CATALOG, **settings: Any) -> Iterator[Run]:
    """Connect a catalog to a pipeline for the block."""
    made = Run(length, catalog, **settings)
    made.pipeline.connect()
    try:
        yield made
    finally:
        made.pipeline.disconnect()
        made.pipeline.shutdown(5)
