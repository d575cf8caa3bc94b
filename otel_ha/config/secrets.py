"""Secret: a text that nothing shows by accident."""

from __future__ import annotations

from typing import Final, final

__all__ = ["MASK", "Secret"]

MASK: Final = "***"


@final
class Secret:
    """A text whose repr, str and format are a mask; ``reveal()`` is the one way to read it.

    It is not a dataclass, since ``dataclasses.asdict`` would look inside, and not a ``str``, which would print itself.
    Pickling keeps the text, so that a child process can be given its configuration.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, to hand to whatever authenticates and to nothing else."""
        return self._text

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same text."""
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        """Hash of the text, as equality is by text."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Return the mask, whose length says nothing about the text."""
        return MASK

    def __format__(self, spec: str) -> str:
        """Return the mask, aligned as asked."""
        return format(MASK, spec)
