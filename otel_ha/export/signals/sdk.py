"""The providers of the SDK for traces and logs; the only module that uses private names of these parts.

Of logs, every module still has a private name. If the SDK has none of the names that are known here, logs are off, with
a warning.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from opentelemetry.sdk.resources import Resource

from otel_ha.record.journal.sdk import without_fork_hook

__all__ = ["encoded_records", "logs_api", "logs_export", "logs_sdk", "new_logger_provider", "new_tracer_provider"]


def new_tracer_provider(resource: Resource) -> Any:
    """Return a TracerProvider that is shut down by its maker alone, on even if OTEL_SDK_DISABLED is set.

    Its sampler and its limits are those of the SDK's variables.
    """
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - only with traces

    class OwnTracerProvider(TracerProvider):
        __init__ = without_fork_hook(TracerProvider.__init__)

    provider = OwnTracerProvider(resource=resource, shutdown_on_exit=False)
    provider._disabled = False
    # Reentrant: a signal handler that asks for a tracer may interrupt the same.
    provider._tracers_lock = threading.RLock()
    return provider


def new_logger_provider(resource: Resource) -> Any:
    """Return a LoggerProvider, as new_tracer_provider() does. Raises ImportError if the SDK has none that is known."""
    provider_class = logs_sdk().LoggerProvider

    class OwnLoggerProvider(provider_class):  # type: ignore[misc,valid-type]  # the class is only known here
        __init__ = without_fork_hook(provider_class.__init__)

    provider = OwnLoggerProvider(resource=resource, shutdown_on_exit=False)
    provider._disabled = False
    provider._logger_cache_lock = threading.RLock()  # as above: of the loggers, and of those in use
    provider._active_loggers_lock = threading.RLock()
    return provider


def logs_api() -> Any:
    """Return the API of logs. Raises ImportError if none is known."""
    return _first("opentelemetry._logs", "opentelemetry.logs")


def logs_sdk() -> Any:
    """Return the SDK of logs. Raises ImportError if none is known."""
    return _first("opentelemetry.sdk._logs", "opentelemetry.sdk.logs")


def logs_export() -> Any:
    """Return the module of the SDK's exporters of logs. Raises ImportError if none is known."""
    return _first("opentelemetry.sdk._logs.export", "opentelemetry.sdk.logs.export")


def encoded_records(data: Any) -> bytes:
    """Return the request with log records; of None, it only imports the encoder."""
    common = "opentelemetry.exporter.otlp.proto.common"
    encode = _first(f"{common}._log_encoder", f"{common}.log_encoder").encode_logs
    return b"" if data is None else bytes(encode(data).SerializeToString())


def _first(*names: str) -> Any:
    """Return the first module that exists; the names are tried in order, and the last one's error is raised."""
    for name in names[:-1]:
        try:
            return import_module(name)
        except ImportError:
            continue
    return import_module(names[-1])
