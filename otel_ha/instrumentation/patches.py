"""Patches: attributes of a library's classes that are replaced, and put back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from wrapt import register_post_import_hook  # opentelemetry-instrumentation requires wrapt

__all__ = ["Patches", "when_imported"]

Make = Callable[[Any], Callable[..., Any]]
"""A function that returns the replacement of the function it is given."""


class Patches:
    """The replaced attributes of one library.

    Objects of a library may store bound methods, which stay as they are when a patch is undone. So each replacement
    asks `is_on` first, and calls the original if it is False.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, make: Make) -> None:
        """Replace a function that a class or a module defines by that which `make` returns for it.

        An attribute that this version of the library lacks, or that is replaced already, stays as it is.
        """
        original = vars(owner).get(name)
        if original is None or any(each[:2] == (owner, name) for each in self._replaced):
            return
        replacement = make(original)
        setattr(owner, name, replacement)
        self._replaced.append((owner, name, original, replacement))

    def undo(self) -> None:
        """Put the originals back; where other code has replaced ours since, that stays and ours calls the original."""
        for owner, name, original, replacement in reversed(self._replaced):
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)
        self._replaced.clear()


def when_imported(module: str, hook: Callable[[ModuleType], None]) -> None:
    """Call `hook` with a module: at once if it is imported, else as soon as it is."""
    if (found := sys.modules.get(module)) is not None:
        hook(found)
    else:
        register_post_import_hook(hook, module)
