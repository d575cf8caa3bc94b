"""The process's global MeterProvider: a stand-in for the provider of the running pipeline."""

from __future__ import annotations

from typing import Any, Protocol

from opentelemetry import metrics

from otel_ha.version import DISTRO


class Running(Protocol):
    """A pipeline that runs."""

    provider: metrics.MeterProvider

    def flush(self, timeout: float) -> bool:
        """Push everything within `timeout` seconds; return whether it arrived."""


class CurrentProvider(metrics.MeterProvider):
    """The process's global MeterProvider, which delegates to the provider of the running pipeline.

    OpenTelemetry accepts a global provider once per process; telemetry can be shut down, set up again, and forked.
    """

    pipeline: Running | None = None

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> metrics.Meter:
        """Return a meter of the running pipeline, or one that does nothing.

        Only a recording that attach() began asks for a meter in our name, and telemetry that runs has taken over from
        it: its instruments must not take the places of the running pipeline's.
        """
        is_ours = name == DISTRO
        provider = self.pipeline.provider if self.pipeline and not is_ours else metrics.NoOpMeterProvider()
        return provider.get_meter(name, version, schema_url, attributes)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push everything now, as instrumentation that flushes the global provider expects."""
        return self.pipeline.flush(timeout_millis / 1e3) if self.pipeline else True


CURRENT = CurrentProvider()
"""The one stand-in of this process."""


def foreign_provider() -> metrics.MeterProvider | None:
    """Return the MeterProvider that other code has set for this process; None if there is none."""
    provider = metrics.get_meter_provider()
    if provider is CURRENT or _is_placeholder(provider):
        return None
    return provider


def _is_placeholder(provider: metrics.MeterProvider) -> bool:
    """Whether a provider stands for "none set": every provider of the API's own is a placeholder, but the no-op one."""
    module = type(provider).__module__
    in_api = module == metrics.__name__ or module.startswith(f"{metrics.__name__}.")
    return in_api and not isinstance(provider, metrics.NoOpMeterProvider)
