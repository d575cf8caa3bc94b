"""Nested processes: those that an instrumented program starts, which inherit its instrumentation and its settings."""

from __future__ import annotations

import os

__all__ = ["is_nested", "note_first"]

_VARIABLE = "_OTEL_HA_FIRST_PROCESS"
"""The process that was instrumented first; those that it starts inherit the variable."""


def note_first() -> None:
    """Let the processes that this one starts know that they are nested, unless it is nested itself."""
    os.environ.setdefault(_VARIABLE, str(os.getpid()))


def is_nested() -> bool:
    """Whether an instrumented program started this process; a program that replaces itself (exec) is not nested."""
    return os.environ.get(_VARIABLE, "") not in {"", str(os.getpid())}
