"""Text from services, which may be hostile, made safe for a terminal: no control characters, and cut to a width."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping

from rich.cells import cell_len, set_cell_size

__all__ = ["BARS", "as_ascii", "clean", "fit", "shorten", "speaks_unicode"]

BARS = "▁▂▃▄▅▆▇█"
"""The characters of a sparkline, from low to high."""

_STRANGE = "�"
_ELLIPSIS = "…"
_LONGEST = 1_000
# Controls, invisible formatting (marks of direction among them), surrogates, private and unassigned characters, and
# separators of lines.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_ASCII = {
    **dict(zip(map(ord, BARS), "_.,-=+*#", strict=True)),
    ord("…"): "~",
    ord("µ"): "u",
}


def clean(text: str) -> str:
    """Return a text without characters that control a terminal or reverse its direction; they show as �.

    Accents are joined with their letters; those that cannot be joined are left out, as terminals disagree on their
    width. The text is plain, not markup: pass it to rich as a Text.
    """
    joined = unicodedata.normalize("NFC", text[:_LONGEST])
    return "".join(_safe(each) for each in joined)


def _safe(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in _UNSAFE:
        return _STRANGE
    return "" if kind in {"Mn", "Me"} else character


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return a cleaned text that takes exactly this many cells of a terminal: filled with spaces, or cut with "…"."""
    text = shorten(text, width)
    spaces = " " * (width - cell_len(text))
    return spaces + text if right else text + spaces


def shorten(text: str, width: int) -> str:
    """Return a cleaned text that takes at most this many cells of a terminal: if it is longer, it is cut with "…"."""
    text = clean(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + _ELLIPSIS if width > 0 else ""


def as_ascii(text: str) -> str:
    """Return a text in ASCII that takes as many cells of a terminal."""
    if text.isascii():
        return text
    return "".join(each if each.isascii() else "?" * cell_len(each) for each in text.translate(_ASCII))


def speaks_unicode(encoding: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the terminal shows Unicode: the output's encoding and the locale both have to say so.

    With LC_ALL=C Python writes UTF-8 all the same, although the terminal may not show it.
    """
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "utf-8"
    return all("utf" in each.lower() for each in (encoding or "", locale))
