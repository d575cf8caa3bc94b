"""The process's global MeterProvider: a stand-in for the provider of the running pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from opentelemetry import metrics

from otel_ha.export.meters import FollowingMeter, Instruments
from otel_ha.version import DISTRO


class Running(Protocol):
    """A pipeline that runs."""

    provider: metrics.MeterProvider

    def flush(self, timeout: float) -> bool:
        """Push everything within `timeout` seconds; return whether it arrived."""


class CurrentProvider(metrics.MeterProvider):
    """The process's global MeterProvider, whose instruments record on the provider of the running pipeline.

    OpenTelemetry accepts a global provider once per process; telemetry can be shut down, set up again, and forked.
    """

    def __init__(self) -> None:
        self.provider: metrics.MeterProvider | None = None
        """The MeterProvider of the running pipeline; None while none runs, or one on a provider of other code."""
        self.generation = 0
        """The number of pipelines that have ended."""
        self._pipeline: Running | None = None
        self._instruments = Instruments(self)

    @property
    def pipeline(self) -> Running | None:
        """The running pipeline, if its provider is ours; the instruments of other code follow it."""
        return self._pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Running | None) -> None:
        if self._pipeline is not None:
            self.generation += 1
        self._pipeline, self.provider = pipeline, None if pipeline is None else pipeline.provider
        self._instruments.follow()

    def remember(self) -> Callable[[], None]:
        """Return a function that forgets the instruments which other code makes from now on, unless by an import."""
        return self._instruments.remember()

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> metrics.Meter:
        """Return a meter whose instruments follow the running pipeline.

        Only a recording that attach() began asks for a meter in our name, and telemetry that runs has taken over from
        it: its instruments must not take the places of the running pipeline's.
        """
        if name and name != DISTRO:
            return FollowingMeter(self._instruments, name, version, schema_url, attributes)
        provider = None if name == DISTRO else self.provider
        return (provider or metrics.NoOpMeterProvider()).get_meter(name, version, schema_url, attributes)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push everything now, as instrumentation that flushes the global provider expects."""
        return self.pipeline.flush(timeout_millis / 1e3) if self.pipeline else True


CURRENT = CurrentProvider()
"""The one stand-in of this process."""


def become_global() -> None:
    """Make the stand-in the global MeterProvider, unless other code has set one; before a pipeline runs.

    OpenTelemetry then makes by it the instruments that other code has made, of which an invalid one would raise.
    """
    if foreign_provider() is None and metrics.get_meter_provider() is not CURRENT:
        metrics.set_meter_provider(CURRENT)


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
