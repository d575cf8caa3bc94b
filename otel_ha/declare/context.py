"""The current context, read at the cost of a variable: every measurement has to know whether it is in a span."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


def reader_of(runtime: object) -> Callable[[], Context]:
    """Return the function that reads a runtime's current context: its variable's own, or else the public one.

    The public function makes three calls in Python around the variable's own, which is a single one in C.
    """
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(variable, ContextVar):
        return variable.get
    return context.get_current


current_context: Callable[[], Context] = reader_of(getattr(context, "_RUNTIME_CONTEXT", None))
"""Return the current context: empty, and therefore false, if there is no span and no baggage."""
