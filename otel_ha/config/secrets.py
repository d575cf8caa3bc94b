"""Secret: a text that is never shown by accident."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from otel_ha.scrub import MASK, protect

__all__ = ["MASK", "Secret"]


@final
class Secret:
    """A text whose repr, str and format are a mask; only ``reveal()`` returns it.

    It is neither a dataclass, as ``dataclasses.asdict`` would read it, nor a ``str``, which would print itself.
    Pickling keeps the text, so that a child process can get its configuration. As long as it lives, the scrubber masks
    its text.
    """

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        """Keep `text`."""
        self._text = text
        protect(self)

    def reveal(self) -> str:
        """Return the text itself; use it for authentication only."""
        return self._text

    def secrets(self) -> Iterable[str]:
        """Return the text, for the scrubber."""
        return (self._text,)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        """Make a copy by the constructor, so that it is protected too."""
        return Secret, (self._text,)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same text."""
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        """Return the hash of the text."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Return the mask; its length is constant."""
        return MASK

    def __format__(self, spec: str) -> str:
        """Return the mask, aligned as asked."""
        return format(MASK, spec)
