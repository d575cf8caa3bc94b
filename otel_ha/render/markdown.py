"""Markdown as GitHub shows it: tables, and the anchors of headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["Anchors", "code", "table"]

_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


class Anchors:
    """The anchors of one page: GitHub numbers headings that repeat."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def of(self, heading: str) -> str:
        """Return the anchor of the next heading of the page, without "#"."""
        anchor = _NOT_IN_ANCHOR.sub("", heading.lower()).replace(" ", "-")
        repeated = self._taken.get(anchor, 0)
        self._taken[anchor] = repeated + 1
        return f"{anchor}-{repeated}" if repeated else anchor


def code(text: object) -> str:
    """Return text as code."""
    return f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a "|" in a cell is escaped, and a line break becomes a space."""
    return "".join((_row(head), f"|{'-|' * len(head)}\n", *map(_row, rows)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.splitlines()).replace('|', chr(92) + '|') for cell in cells)} |\n"
