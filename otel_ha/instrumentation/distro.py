"""Distro and configurator: how `opentelemetry-instrument` and `otel-ha run` start telemetry before the program.

They look for entry points, call the distro first, then the configurator, and then load each instrumentor by the distro.
An exception of any of them would end the rest, with two tracebacks: here, a mistake is one line in the log.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # it has no types

from otel_ha.config.declarative import apply_file, file_of
from otel_ha.config.settings import suggestion
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError
from otel_ha.nested import is_nested, note_first
from otel_ha.scrub import scrub
from otel_ha.version import DISTRO, SCHEMA_URL, __version__

__all__ = ["OtelHaConfigurator", "OtelHaDistro"]

_logger = logging.getLogger("otel_ha")

_STABLE_NAMES: Final = ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
# The handler of the instrumentor `logging` would stand in the way of logging.basicConfig(), and of the program's
# warnings on standard error.
_NO_HANDLER: Final = ("OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION", "false")
_LEFT_OUT: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_OURS: Final = "system_metrics"
"""The instrumentor of host and process, whose readings our own system metrics are."""
_TRACKER: Final = "from multiprocessing.resource_tracker import"
_TOOLS: Final = frozenset({"otel-ha", "otel_ha.cli", "opentelemetry-instrument"})


class OtelHaDistro(BaseDistro):  # type: ignore[misc]  # as above
    """Chooses the current names of semantic conventions, and loads the instrumentors."""

    def _configure(self, **_: Any) -> None:
        _set_default(*_STABLE_NAMES)
        if not _is_off() and not is_nested():
            _warn_of_unknown()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument a library, unless telemetry is off."""
        if _is_off():
            return
        try:
            super().load_instrumentor(entry_point, **kwargs)
        except (DependencyConflictError, ModuleNotFoundError):  # the library is not there: the caller knows that
            raise
        except Exception as error:  # other instrumentors follow
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _logger.error("%s is not instrumented (%s)", entry_point.name, reason)  # noqa: TRY400 - one line
            _logger.debug("%s is not instrumented", entry_point.name, exc_info=True)


class OtelHaConfigurator:
    """Starts telemetry by the environment; the program's own setup_telemetry() may replace it."""

    def configure(self, **_: Any) -> None:
        """Start telemetry; a wrong setting is logged, and the program goes on without."""
        if _is_off():
            return
        # Imported here: telemetry that is off loads no SDK.
        from otel_ha.telemetry import RECORDING_ONLY, attach, present_telemetry  # noqa: PLC0415

        if present_telemetry() is not None:  # the program starts the instrumentation itself, after its set-up
            return
        _leave_out(_OURS)
        try:
            _start()
        except Exception as error:
            reason = str(error) if isinstance(error, ConfigError) else scrub(repr(error))
            _logger.error("%s; the program goes on without telemetry", " ".join(reason.split()))  # noqa: TRY400 - one line
            _logger.debug("telemetry does not start", exc_info=True)
            # Instrumentors find this instead of the wrong setting; the program's own set-up replaces it.
            with suppress(Exception):  # what failed may fail again
                attach(config=TelemetryConfig(environ={}, system_metrics=False, **RECORDING_ONLY))


def _start() -> None:
    from otel_ha.instrumentation.event_loops import watch_event_loops  # noqa: PLC0415 - as above
    from otel_ha.telemetry import RECORDING_ONLY, attach, setup_telemetry  # noqa: PLC0415

    if (path := file_of()) is not None:
        config = TelemetryConfig(**RECORDING_ONLY)
        apply_file(path)
        attach(config=config)
        _open_spans()
    else:
        config = TelemetryConfig()
        _set_default(*_NO_HANDLER)
        setup_telemetry(config=config).is_provisional = True
    note_first()
    if "performance" in config.groups:
        watch_event_loops()


def _open_spans() -> None:
    """Let measured work open spans if the file describes traces."""
    from otel_ha.declare.spans import SPANS  # noqa: PLC0415 - as above
    from otel_ha.export.signals.stand_ins import foreign_tracer_provider  # noqa: PLC0415

    if (provider := foreign_tracer_provider()) is not None:
        SPANS.open_by(provider.get_tracer(DISTRO, __version__, SCHEMA_URL))


def _warn_of_unknown() -> None:
    """Warn of names to leave out that no installed instrumentor has: they leave out nothing."""
    given = [name for each in os.environ.get(_LEFT_OUT, "").split(",") if (name := each.strip())]
    if not given or "*" in given:
        return
    installed = {each.name for each in entry_points(group="opentelemetry_instrumentor")}
    for name in dict.fromkeys(given):
        if name not in installed | {_OURS}:
            within = {each for each in installed if name.lower() in each}  # paho is short for paho-mqtt
            meant = suggestion(name.lower(), within, cutoff=0) or suggestion(name.lower(), installed, cutoff=0.6)
            _logger.warning("%s names %r, which no installed instrumentation has%s", _LEFT_OUT, scrub(name), meant)


def _leave_out(instrumentor: str) -> None:
    """Let no distro load an instrumentor."""
    others = os.environ.get(_LEFT_OUT, "")
    if instrumentor not in others:
        os.environ[_LEFT_OUT] = f"{others},{instrumentor}" if others.strip() else instrumentor


def _set_default(variable: str, value: str) -> None:
    if not os.environ.get(variable, "").strip():
        os.environ[variable] = value


def _is_off() -> bool:
    """Whether telemetry is switched off, or this process is a tool beside the program."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    options = sys.orig_argv[1:]
    program = options[1:2] if options[:1] == ["-m"] else options[:1]
    return any(Path(each).name in _TOOLS for each in program) or any(each.startswith(_TRACKER) for each in options)
