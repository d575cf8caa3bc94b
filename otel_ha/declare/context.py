"""The current context, read at the price of a variable: every measurement asks whether it is taken in a span."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


def reader_of(runtime: object) -> Callable[[], Context]:
    """Return what reads the current context of a runtime: its variable, or the public API where it is of another kind.

    The public function is three calls in Python around the variable's own, which is one in C.
    """
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(variable, ContextVar):
        return variable.get
    return context.get_current


current_context: Callable[[], Context] = reader_of(getattr(context, "_RUNTIME_CONTEXT", None))
"""Return the current context: empty, and so false, where there is no span and no baggage."""
