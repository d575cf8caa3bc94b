"""The telemetry behind the earlier API: the running one, or else one set up from the environment.

The earlier API consists of global instances, so it has global state besides that of otel_ha.telemetry: here, whether
telemetry has run, and the instances that get_…() returns; in `pushed`, the last readings; in `exposed`, the names
registered on each MeterProvider; and in `registry`, all registries, which a forked child clears.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.settings import MonitoringSettings
from otel_ha.errors import ConfigError, TelemetryError
from otel_ha.telemetry import Telemetry, present_telemetry, running_telemetry, setup_telemetry

_logger = logging.getLogger("otel_ha.compat")

T = TypeVar("T")

_lock = ProcessLock()
_seen = False
"""Whether telemetry has run: if it was shut down since, that was on purpose, and no get_…() starts it again."""


def ensure(config: Mapping[str, Any], *, again: bool = False) -> MonitoringSettings:
    """Return the earlier settings in `config`, and set telemetry up from them unless it has run in this process.

    With `again`, set it up even if it has run and was shut down. Raises ConfigError for a wrong setting.
    """
    global _seen  # noqa: PLW0603 - this module's purpose
    asked = MonitoringSettings.of(config)
    with _lock():
        running = running_telemetry()
        if running is None and (again or not _seen):
            running = set_up(asked)
        elif running is not None and config:
            _warn_of_ignored_settings(asked, running)
        _seen = _seen or running is not None
    return asked


def set_up(asked: MonitoringSettings) -> Telemetry:
    """Set telemetry up, provisionally, or return the one that another thread has set up meanwhile."""
    config = asked.telemetry_config()
    try:
        telemetry = setup_telemetry(config=config)
    except ConfigError:
        # Set up by another thread, or by the code that this handler interrupts, with other settings.
        if (meanwhile := present_telemetry()) is not None:
            return meanwhile
        raise
    if telemetry.config is config:  # not if another thread set it up with equal settings
        telemetry.is_provisional = True  # the service may still set it up with other settings
    return telemetry


def forget() -> None:
    """Forget that telemetry has run, and all instances that get_…() returns: for tests."""
    global _seen  # noqa: PLW0603 - this module's purpose
    _seen = False
    for instance in _instances:
        instance.set(None)


def _warn_of_ignored_settings(asked: MonitoringSettings, running: Telemetry) -> None:
    different = [f"{name}={value!r}" for name, value in asked.given().items() if getattr(running.config, name) != value]
    if different:
        _logger.warning(
            "telemetry already runs with other settings; ignored: %s; pass them to setup_telemetry()",
            ", ".join(different),
        )


def is_running() -> bool:
    """Whether telemetry records."""
    telemetry = running_telemetry()
    return telemetry is not None and telemetry.pipeline is not None


def report(name: str, reason: str, message: str) -> None:
    """Count a problem with a metric that the caller named, while telemetry runs; the first of its kind is logged."""
    telemetry = running_telemetry()
    if telemetry is not None and (pipeline := telemetry.pipeline) is not None:
        pipeline.report(name, reason, message)


def prometheus_text() -> str:
    """Return the text that a scrape returns; empty if there is nothing to scrape, or in a handler during a scrape."""
    telemetry = running_telemetry()
    if telemetry is None:
        return ""
    try:
        return telemetry.prometheus_text()
    except (TelemetryError, TimeoutError):
        return ""


class Instance(Generic[T]):
    """The instance that a get_…() returns: created at the first call, or set."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = ProcessLock()  # reentrant, because making one instance may get others
        self._it: T | None = None
        _instances.add(self)

    def get(self) -> T:
        """Return the instance."""
        if self._it is None:
            with self._lock():
                if self._it is None:
                    made = self._make()
                    if self._it is None:  # another thread may have gone on without the lock
                        self._it = made
        return self._it

    def set(self, it: T | None) -> None:
        """Replace the instance; None creates a new one at the next get()."""
        self._it = it


_instances: weakref.WeakSet[Instance[Any]] = weakref.WeakSet()
