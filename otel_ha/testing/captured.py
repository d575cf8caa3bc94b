"""captured_metrics(): telemetry for a test, without port, push or threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otel_ha.config.settings import DEFAULT
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.catalog import Catalog
from otel_ha.export.captured import Captured, Capturing
from otel_ha.telemetry import Telemetry, captured, running_telemetry
from otel_ha.testing.clock import Clock
from otel_ha.testing.reader import CapturingReader
from otel_ha.vocabulary import ingest


class CapturedMetrics:
    """Everything that was recorded since capturing began, by telemetry of the kit or of the code under test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._readers: list[CapturingReader] = []

    @property
    def telemetry(self) -> Telemetry | None:
        """The telemetry that runs now; None if the code under test has shut it down."""
        return running_telemetry()

    def _capturing(self) -> Capturing:
        return Capturing(configured=_quiet, reader=self._reader, now=self.clock.now)

    def _reader(self, pipeline: Captured) -> CapturingReader:
        reader = CapturingReader(pipeline.gate, pipeline)
        self._readers.append(reader)
        return reader


@contextmanager
def captured_metrics(catalog: Catalog = ingest.CATALOG, **settings: Any) -> Iterator[CapturedMetrics]:
    """Capture what is recorded within the block, isolated from everything before and after it.

    Telemetry starts with `catalog` and with `settings` of TelemetryConfig, without reading the environment. If the code
    under test calls setup_telemetry(), that telemetry is captured: nothing is pushed, no port opens, no thread starts.
    """
    found = CapturedMetrics()
    config = _quiet(TelemetryConfig(**{"environ": {}, "service_name": "test", **settings}))
    with captured(found._capturing(), config, catalog):
        yield found


def _quiet(config: TelemetryConfig) -> TelemetryConfig:
    """Return settings without port, push, thread or signal handler; a scrape in the process remains possible."""
    if config.sources["system_metrics"] == DEFAULT:
        config = config.replaced(system_metrics=False)
    return config.replaced(
        metrics_exporters=("prometheus",),
        traces_exporters=(),
        logs_exporters=(),
        endpoint_server=False,
        handle_sigterm=False,
    )
