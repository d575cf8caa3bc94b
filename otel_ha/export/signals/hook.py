"""The hook in logging: records that reach the root logger are sent, and the handlers of the program stay as they are.

A handler at the root logger would change the program: ``basicConfig()`` does nothing if there is one, ``dictConfig()``
and assignments remove it, and without handlers logging prints warnings to the standard error. So the records are taken
where loggers hand them to their handlers.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from opentelemetry.instrumentation.logging.handler import LoggingHandler

from otel_ha.export.otlp.watch import is_pushing

__all__ = ["LoggingHook"]

_is_sending: ContextVar[bool] = ContextVar("otel_ha_is_sending", default=False)


class _Handler(LoggingHandler):
    """Makes log records of OpenTelemetry."""

    def flush(self) -> None:
        """Do nothing: at the end, logging flushes every handler, and telemetry does so itself."""


class LoggingHook:
    """Sends the records of `logging` to a LoggerProvider, from install() to remove()."""

    def __init__(self, provider: Any) -> None:
        self._handler = _Handler(logger_provider=provider)
        self._is_on = False
        self._original: Callable[..., None] | None = None
        self._replacement: Callable[..., None] | None = None

    def install(self) -> None:
        """Begin."""
        original = logging.Logger.callHandlers
        self._original, self._is_on = original, True

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if self._is_on:
                self._send(logger, record)
            original(logger, record)

        self._replacement = call_handlers
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign,assignment]  # see above

    def remove(self) -> None:
        """End; if other code has replaced the same function since, ours stays below it and only calls the original."""
        self._is_on = False
        if self._original is not None and logging.Logger.callHandlers is self._replacement:
            logging.Logger.callHandlers = self._original  # type: ignore[method-assign]  # as above

    def _send(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Send a record; never raises. Records that are made meanwhile, or by a push, are not sent."""
        if _is_sending.get():
            return
        token = _is_sending.set(True)
        try:
            if not is_pushing() and _reaches_root(logger) and not _has_handler():
                self._emit(record)
        finally:
            _is_sending.reset(token)

    def _emit(self, record: logging.LogRecord) -> None:
        try:
            self._handler.emit(_plain(record))
        except Exception:  # noqa: BLE001 - arguments, attributes and exceptions may do anything
            with suppress(Exception):
                self._handler.emit(_bare(record))


def _reaches_root(logger: logging.Logger) -> bool:
    present: logging.Logger | None = logger
    while present is not None and present.propagate:
        present = present.parent
    return present is None or present.parent is None


def _has_handler() -> bool:
    """Whether the root logger has a handler of OpenTelemetry's, such as LoggingInstrumentor's: that one sends."""
    return any(
        type(each).__name__ == "LoggingHandler" and type(each).__module__.startswith("opentelemetry.")
        for each in logging.root.handlers
    )


def _plain(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy without attributes that cannot be sent, of which OpenTelemetry would warn: their text is sent."""
    plain = copy.copy(record)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - logging itself prints such a mistake; the message is sent as it was written
        message = _written(record)
    plain.msg, plain.args = _text(message), None
    extra = {name: value for name, value in vars(record).items() if name not in _KNOWN}
    for name, value in extra.items():
        if isinstance(name, str) and name:
            setattr(plain, name, _plain_value(value))
        else:
            del vars(plain)[name]
    return plain


def _plain_value(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, (bool, float, bytes)) or (isinstance(value, int) and abs(value) < _LARGEST):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {_text(str(key)): _plain_value(each, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [_plain_value(each, depth + 1) for each in value]
    try:
        return _text(str(value))
    except Exception as error:  # noqa: BLE001 - an object may do anything
        return f"a {type(value).__name__} without a text ({type(error).__name__})"


def _bare(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record with the message as it was written, without arguments, exception and attributes of its own."""
    bare = logging.makeLogRecord({name: value for name, value in vars(record).items() if name in _KNOWN})
    bare.msg, bare.args, bare.exc_info = _written(record), None, None
    return bare


def _text(text: str) -> str:
    """Return a text that can be encoded: surrogates stand for bytes that are not UTF-8."""
    return text.encode(errors="replace").decode()


def _written(record: logging.LogRecord) -> str:
    return record.msg if isinstance(record.msg, str) else f"a message of type {type(record.msg).__name__}"


_KNOWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""The attributes of every record."""

_DEEPEST = 8
_LARGEST = 1 << 63
"""The first number that OTLP cannot hold."""
