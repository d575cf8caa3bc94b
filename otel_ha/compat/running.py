"""The telemetry that the earlier API reads and records to: the one that runs, or else one from the environment.

The earlier API is made of global instances, so there is global state beside otel_ha.telemetry's: here, whether
telemetry was seen, and what get_…() returns; in `pushed`, the last readings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.settings import MonitoringSettings
from otel_ha.errors import ConfigError, TelemetryError
from otel_ha.telemetry import Telemetry, running_telemetry, setup_telemetry

_logger = logging.getLogger("otel_ha.compat")

T = TypeVar("T")

_lock = ProcessLock()
_seen = False
"""Whether telemetry has run: what was shut down since was shut down on purpose, and no get_…() starts it again."""


def ensure(config: Mapping[str, Any], *, again: bool = False) -> MonitoringSettings:
    """Return the earlier settings in `config`, and set telemetry up from them where none has run in this process.

    With `again`, also where one has run and was shut down. Raises ConfigError for wrong settings.
    """
    global _seen  # noqa: PLW0603 - this module's purpose
    asked = MonitoringSettings.of(config)
    with _lock():
        running = running_telemetry()
        if running is None and (again or not _seen):
            running = _set_up(asked)
        elif running is not None and config:
            _tell_what_is_not_applied(asked, running)
        _seen = _seen or running is not None
    return asked


def _set_up(asked: MonitoringSettings) -> Telemetry:
    config = asked.telemetry_config()
    try:
        telemetry = setup_telemetry(config=config)
    except ConfigError:
        if (meanwhile := running_telemetry()) is not None:  # set up by another thread, with other settings
            return meanwhile
        raise
    if telemetry.config is config:  # made here: one that another thread set up alike meanwhile was asked for
        telemetry.is_provisional = True  # the service may still set it up with settings of its own
    return telemetry


def _tell_what_is_not_applied(asked: MonitoringSettings, running: Telemetry) -> None:
    different = [f"{name}={value!r}" for name, value in asked.given().items() if getattr(running.config, name) != value]
    if different:
        _logger.warning("telemetry runs already, with settings of its own; not applied: %s", ", ".join(different))


def prometheus_text() -> str:
    """Return what a scrape returns; an empty text where there is nothing to scrape."""
    telemetry = running_telemetry()
    if telemetry is None:
        return ""
    try:
        return telemetry.prometheus_text()
    except TelemetryError:
        return ""


class Instance(Generic[T]):
    """The one instance that get_…() returns: made when it is first asked for, once, or set."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = ProcessLock()  # reentrant: one kind is made of others
        self._it: T | None = None

    def get(self) -> T:
        """Return it."""
        if self._it is None:
            with self._lock():
                if self._it is None:
                    self._it = self._make()
        return self._it

    def set(self, it: T | None) -> None:
        """Make it another one."""
        self._it = it
