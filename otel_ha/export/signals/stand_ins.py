"""The process's global TracerProvider and LoggerProvider: stand-ins for those of the running telemetry.

OpenTelemetry accepts a global provider once per process; telemetry can be shut down, set up again, and forked. Tracers
and loggers are kept by the libraries that asked for them, so these are stand-ins as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from opentelemetry import trace

from otel_ha.export.signals.sdk import logs_api

__all__ = ["TRACES", "CurrentTracerProvider", "foreign_logger_provider", "foreign_tracer_provider", "logs"]


def _nothing(_: float) -> bool:
    return True


class CurrentTracerProvider(trace.TracerProvider):
    """Delegates to the TracerProvider of the running telemetry, or to one that does nothing."""

    def __init__(self) -> None:
        self.is_global = False
        self.provider: trace.TracerProvider = trace.NoOpTracerProvider()
        self.flush: Callable[[float], bool] = _nothing

    def get_tracer(self, *arguments: Any, **more: Any) -> trace.Tracer:
        """Return a tracer that always delegates to the present provider."""
        return _CurrentTracer(self, functools.partial(_tracer_of, arguments=arguments, more=more))

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Push everything now, as instrumentation that flushes the global provider expects."""
        return self.flush(timeout_millis / 1e3)


def _tracer_of(provider: trace.TracerProvider, *, arguments: Any, more: Any) -> trace.Tracer:
    return provider.get_tracer(*arguments, **more)


class _CurrentTracer(trace.Tracer):
    """Delegates to a tracer of the present provider."""

    def __init__(self, current: CurrentTracerProvider, make: Callable[[trace.TracerProvider], trace.Tracer]) -> None:
        self._current = current
        self._make = make
        self._made: tuple[trace.TracerProvider, trace.Tracer] | None = None

    def present(self) -> trace.Tracer:
        """Return the tracer of the present provider."""
        provider, made = self._current.provider, self._made
        if made is None or made[0] is not provider:
            self._made = made = provider, self._make(provider)
        return made[1]

    def start_span(self, *arguments: Any, **more: Any) -> trace.Span:
        """Start a span."""
        return self.present().start_span(*arguments, **more)

    def start_as_current_span(self, *arguments: Any, **more: Any) -> Any:
        """Return a context manager, which is a decorator too, that starts a span."""
        return _CurrentSpan(lambda: self.present().start_as_current_span(*arguments, **more))


class _CurrentSpan:
    """A span around a block, or around each call of a function that it decorates."""

    def __init__(self, start: Callable[[], AbstractContextManager[trace.Span]]) -> None:
        self._start = start
        self._started: AbstractContextManager[trace.Span] | None = None

    def __enter__(self) -> trace.Span:
        self._started = self._start()
        return self._started.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        started, self._started = self._started, None
        return started.__exit__(kind, error, traceback) if started is not None else None

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function, which may be a coroutine function."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*arguments: Any, **more: Any) -> Any:
                with self._start():
                    return await function(*arguments, **more)

            return awaited

        @functools.wraps(function)
        def called(*arguments: Any, **more: Any) -> Any:
            with self._start():
                return function(*arguments, **more)

        return called


TRACES = CurrentTracerProvider()
"""The one stand-in of this process for traces."""


@functools.cache
def logs() -> Any:
    """Return the one stand-in of this process for logs, which is made when it is first asked for."""
    api = logs_api()

    class CurrentLoggerProvider(api.LoggerProvider):  # type: ignore[misc,name-defined]  # the API is only known here
        """Delegates to the LoggerProvider of the running telemetry, or to one that does nothing."""

        def __init__(self) -> None:
            self.is_global = False
            self.provider = api.NoOpLoggerProvider()
            self.flush: Callable[[float], bool] = _nothing

        def get_logger(self, *arguments: Any, **more: Any) -> Any:
            """Return a logger that always delegates to the present provider."""
            return CurrentLogger(self, arguments, more)

        def force_flush(self, timeout_millis: float = 30_000) -> bool:
            """Push everything now."""
            return bool(self.flush(timeout_millis / 1e3))

    class CurrentLogger(api.Logger):  # type: ignore[misc,name-defined]  # as above
        """Delegates to a logger of the present provider."""

        def __init__(self, current: CurrentLoggerProvider, arguments: Any, more: Any) -> None:
            super().__init__(*arguments, **more)
            self._present: Callable[[], Any] = lambda: current.provider.get_logger(*arguments, **more)

        def emit(self, *arguments: Any, **more: Any) -> None:
            """Emit a record."""
            self._present().emit(*arguments, **more)

        def enabled(self, **more: Any) -> bool:
            """Whether the present logger is enabled."""
            return bool(self._present().enabled(**more))

    return CurrentLoggerProvider()


def foreign_tracer_provider() -> trace.TracerProvider | None:
    """Return the TracerProvider that other code has set for this process; None if there is none."""
    found: trace.TracerProvider | None = _foreign(trace.get_tracer_provider(), TRACES, trace, trace.NoOpTracerProvider)
    return found


def foreign_logger_provider() -> Any:
    """Return the LoggerProvider that other code has set for this process; None if there is none."""
    api = logs_api()
    return _foreign(api.get_logger_provider(), logs(), api, api.NoOpLoggerProvider)


def _foreign(provider: Any, ours: Any, api: Any, no_op: type) -> Any:
    """Return a provider, or None if it is ours, or stands for "none set": each one of the API's own but the no-op."""
    module = type(provider).__module__
    in_api = module == api.__name__ or module.startswith(f"{api.__name__}.")
    return None if provider is ours or (in_api and not isinstance(provider, no_op)) else provider
