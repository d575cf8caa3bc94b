"""The process's global MeterProvider: a stand-in for the one of the pipeline that runs."""

from __future__ import annotations

from typing import Any, Protocol

from opentelemetry import metrics


class Running(Protocol):
    """The pipeline that runs."""

    provider: metrics.MeterProvider

    def flush(self, timeout: float) -> bool:
        """Push everything within `timeout` seconds; return whether it arrived."""


class CurrentProvider(metrics.MeterProvider):
    """The process's global MeterProvider, which stands for the one of the pipeline that runs.

    OpenTelemetry takes a global provider once a process; telemetry can be shut down, set up anew, and forked.
    """

    pipeline: Running | None = None

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> metrics.Meter:
        """Return a meter of the running pipeline, or one that does nothing."""
        provider = self.pipeline.provider if self.pipeline else metrics.NoOpMeterProvider()
        return provider.get_meter(name, version, schema_url, attributes)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push everything now, as instrumentation that flushes the global provider expects."""
        return self.pipeline.flush(timeout_millis / 1e3) if self.pipeline else True
