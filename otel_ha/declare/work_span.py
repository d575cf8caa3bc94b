"""WorkSpan: the span of one piece of measured work, whichever thread, task or generator starts and ends it.

No token of the context is kept: a token can be used only where it was made, and restores what was current then, even if
other work began or ended meanwhile. Here a context says which work it is in, so work that ends restores the context
around it where it is current, and is taken out from under later work where it is not.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from traceback import format_exception
from typing import Any, Protocol

from opentelemetry.context import Context, attach, create_key, set_value
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context

from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import OTHER, Attribute, Counter, Histogram
from otel_ha.declare.outcome import Discarded, Outcome, is_discarded
from otel_ha.declare.plain import plain_text, sendable
from otel_ha.declare.ports import Attributes, AttributeValue, Recorder, shown
from otel_ha.scrub import scrub

_WORK = create_key("otel_ha.work")
_DURATION = re.compile(r"[._/-]duration\Z")
_NAMES = {"error_type": "error.type", "reason": "homeassistant.discard.reason"}
"""The names of attributes of a span that an operation need not declare."""

_late: deque[Callable[[], object]] = deque()
"""Spans that a finalizer could not end where it interrupted."""


class Described(Protocol):
    """The part of an operation that its spans need."""

    @property
    def duration(self) -> Histogram:
        """The histogram of its durations."""

    @property
    def received(self) -> Counter | None:
        """The counter of received work."""

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """The attributes that its instruments declare, by keyword."""

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of its measurements."""


def opener(tracer: Tracer, longest: int) -> Callable[..., WorkSpan | None]:
    """Return the function that opens the spans of operations by this tracer, with texts of at most this length."""
    return partial(opened, tracer, longest)


def opened(tracer: Tracer, longest: int, operation: Described, seconds: float = 0.0) -> WorkSpan | None:
    """Open a span that began `seconds` ago and make it current; None if the tracer fails, which costs the span only."""
    try:
        end_late()
        outside = current_context()
        began = max(0, time.time_ns() - int(seconds * 1e9)) if seconds else None
        span = tracer.start_span(
            span_name(operation),
            context=outside,
            kind=span_kind(operation),
            start_time=began,
            record_exception=False,
            set_status_on_exception=False,
        )
        if not isinstance(span, Span):
            raise TypeError(f"the tracer returned {shown(span)}, which is not a Span")  # noqa: TRY301 - reported below
        span.get_span_context()  # if it raises, this is better known before the span is current
        return WorkSpan(operation, span, outside, longest)
    except Exception as error:  # noqa: BLE001 - a sampler or a processor may raise anything
        _failed(operation, "opening", error)
        return None


def span_name(operation: Described) -> str:
    """Return the name of an operation's spans: the one of its duration, without its last word."""
    return _DURATION.sub("", operation.duration.name)


def span_kind(operation: Described) -> SpanKind:
    """Return the kind of an operation's spans, as in the semantic conventions.

    Processing what was received from a broker is CONSUMER; a client's call, whose duration they name "….client.…", is
    CLIENT.
    """
    if operation.received is not None:
        return SpanKind.CONSUMER
    return SpanKind.CLIENT if ".client." in operation.duration.name else SpanKind.INTERNAL


def end_late() -> None:
    """End the spans that a finalizer could not end where it interrupted."""
    while _late:
        try:
            end = _late.popleft()
        except IndexError:  # another thread was faster
            return
        end()


class WorkSpan:
    """The span of one piece of work: current from its start to its end, but for the pauses of a generator."""

    __slots__ = ("_inside", "_longest", "_operation", "_outside", "_process", "span")

    def __init__(self, operation: Described, span: Span, outside: Context, longest: int) -> None:
        self.span = span
        self._longest = longest
        self._operation = operation
        self._process = os.getpid()
        self._outside: Context | None = outside
        self._inside: Context | None = set_value(_WORK, self, set_span_in_context(span, outside))
        attach(self._inside)

    def pause(self) -> None:
        """Give the caller its context back, between two steps of a generator."""
        if self._outside is not None:
            self._inside = current_context()
            attach(self._outside)

    def resume(self) -> None:
        """Make the span current where it is not: in the next step of a generator, or where the work is ended."""
        current = current_context()
        if self._inside is not None and get_current_span(current) is not self.span:
            self._take_out(current)
            self._outside = current
            attach(self._inside)

    def finish(self, outcome: Outcome | Discarded, attributes: Attributes, error: BaseException | None = None) -> None:
        """Restore the context around the span, and end it."""
        self._leave()
        end = partial(self._end, time.time_ns(), outcome, attributes, error)
        # A generator that is collected half-read may interrupt the SDK, which would wait for a lock of its own.
        if isinstance(error, GeneratorExit) and _is_within_opentelemetry():
            _late.append(end)
        else:
            end()

    def _leave(self) -> None:
        """Restore the context around the span, with what the work has added to it."""
        current, outside = current_context(), self._outside
        if outside is not None:
            if current is self._inside:
                attach(outside)
            else:
                moved = set_span_in_context(get_current_span(outside), current)
                attach(set_value(_WORK, outside.get(_WORK), moved))
        # A context may outlive the work in a task, and must not hold all earlier ones.
        self._inside = self._outside = None

    def _take_out(self, current: Context) -> None:
        """Let the work that began within this one, and ends later, restore the context around this one."""
        work = current.get(_WORK)
        while isinstance(work, WorkSpan) and work is not self and work._outside is not None:
            below = work._outside.get(_WORK)
            if below is self:
                work._outside = self._outside
            work = below

    def _end(self, now: int, outcome: Outcome | Discarded, attributes: Attributes, error: BaseException | None) -> None:
        if self._process != os.getpid():  # the parent of a fork ends its spans itself
            return
        try:
            try:
                if self.span.is_recording():
                    self._describe(outcome, attributes, error)
            finally:
                self.span.end(now)
        except Exception as failure:  # noqa: BLE001 - a processor may raise anything
            _failed(self._operation, "ending", failure)

    def _describe(self, outcome: Outcome | Discarded, attributes: Attributes, error: BaseException | None) -> None:
        """Set the attributes, the status and the event of an exception."""
        declared = self._operation.attributes
        found = dict(attributes)
        if is_discarded(outcome):
            found["reason"] = outcome.reason
        elif "outcome" in declared:
            found["outcome"] = outcome  # type: ignore[assignment]  # it is a text
        names = _NAMES | {keyword: attribute.name for keyword, attribute in declared.items()}
        given = {names[keyword]: value for keyword, value in found.items() if keyword in names and value is not None}
        self.span.set_attributes({name: _sent(value, self._longest) for name, value in given.items()})
        if plain_text(outcome) == "error":
            self._set_error(plain_text(found.get("error_type")) or "", error)

    def _set_error(self, error_type: str, error: BaseException | None) -> None:
        """Set the status, and add the event that OpenTelemetry's conventions define for an exception."""
        error_type = _clean(error_type)
        if error is None:
            self.span.set_status(Status(StatusCode.ERROR, error_type))
            return
        message = _clean(_message(error))
        self.span.set_status(Status(StatusCode.ERROR, f"{error_type}: {message}"))
        stack = _clean(_stack(error))
        event: dict[str, AttributeValue] = {"exception.type": error_type, "exception.message": message}
        self.span.add_event("exception", event | {"exception.stacktrace": stack})


def _sent(value: object, longest: int) -> AttributeValue:
    """Return the value of an attribute as exporters can encode it, and a text only up to this length."""
    sent = sendable(value)
    if sent is None:
        return OTHER
    return sent[:longest] if isinstance(sent, str) else sent


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception of the service may do anything
        return shown(error)


def _stack(error: BaseException) -> str:
    try:
        return "".join(format_exception(error))
    except Exception:  # noqa: BLE001 - a metaclass of the service may do anything when its class is named
        return ""


def _clean(text: str) -> str:
    """Return a text without secrets, and without what OTLP cannot encode."""
    return scrub(text).encode("utf-8", "replace").decode()


def _failed(operation: Described, action: str, error: Exception) -> None:
    """Count that a tracer, a sampler or a processor has failed; the first time is logged."""
    if (recorder := operation.recorder) is not None:
        recorder.report("span_failed", f"{action} its span failed: {shown(error)}")


def _is_within_opentelemetry() -> bool:
    """Whether this code was called from OpenTelemetry's, or has interrupted it."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("opentelemetry."):
            return True
        frame = frame.f_back
    return False
