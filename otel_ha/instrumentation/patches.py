"""Patches: attributes of a library's classes that are replaced, and put back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import update_wrapper
from types import ModuleType
from typing import Any, TypeVar, TypeVarTuple

from wrapt import register_post_import_hook  # opentelemetry-instrumentation requires wrapt

__all__ = ["Patches", "quietly", "when_imported"]

_logger = logging.getLogger("otel_ha")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Make = Callable[[Any], Callable[..., Any]]
"""A function that returns the replacement of the function it is given."""


class Patches:
    """The replaced attributes of one library.

    Objects of a library may store bound methods, which stay as they are when a patch is undone. So each replacement
    asks `is_on` first, and calls the original if it is False.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._replaced: dict[tuple[Any, str], tuple[Any, Any]] = {}

    def replace(self, owner: Any, name: str, make: Make) -> None:
        """Replace a function that a class or a module defines by that which `make` returns for it.

        The replacement gets its name, signature and documentation. An attribute that this version of the library
        lacks, or that is replaced already, stays as it is.
        """
        present = vars(owner).get(name)
        if present is None or self._is_replaced(owner, name, present):
            return
        replacement = update_wrapper(make(present), present)
        setattr(owner, name, replacement)
        self._replaced[owner, name] = (present, replacement)

    def undo(self) -> None:
        """Put the originals back; where other code has replaced ours since, that stays and ours calls the original."""
        for (owner, name), (original, replacement) in list(self._replaced.items()):
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)
                del self._replaced[owner, name]

    def _is_replaced(self, owner: Any, name: str, present: Any) -> bool:
        """Whether the attribute is ours, or other code's that calls ours: that could not be undone."""
        return (owner, name) in self._replaced and present is not self._replaced[owner, name][0]


def when_imported(module: str, hook: Callable[[ModuleType], None]) -> None:
    """Call `hook` with a module: at once if it is imported, else as soon as it is."""
    if (found := sys.modules.get(module)) is not None:
        hook(found)
    else:
        register_post_import_hook(hook, module)


def quietly(function: Callable[[*Ts], T], /, *arguments: *Ts) -> T | None:
    """Call a function of ours, and log its exception instead of raising it into the instrumented program."""
    try:
        return function(*arguments)
    except Exception:
        _logger.debug("%s failed; the program goes on", getattr(function, "__qualname__", function), exc_info=True)
        return None
