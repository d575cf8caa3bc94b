"""The parts of a screen: pieces of text with a style, lines of exact width, sparklines, columns side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from otel_ha.cli.top.text import BARS, clean, fit, shorten

__all__ = ["DIM", "GOOD", "HEAD", "STRONG", "TROUBLE", "WARNING", "beside", "cell", "line", "sparkline", "state_style"]

DIM = "dim"
STRONG = "bold"
HEAD = "bold cyan"
GOOD = "green"
WARNING = "yellow"
TROUBLE = "bold red"
TREND = "cyan"

_STATES = {"ok": GOOD, "degraded": WARNING, "failed": TROUBLE, "disabled": DIM}


def state_style(status: str) -> str:
    """Return the style of telemetry's status."""
    return _STATES.get(status, "")


def cell(text: str, width: int, style: str = "", *, right: bool = False) -> Text:
    """Return a text of exactly this width; others can be appended to it, and do not take its style."""
    return Text(no_wrap=True).append(fit(text, width, right=right), style)


def line(width: int, *pieces: str | tuple[str, str], end: str = "", end_style: str = DIM) -> Text:
    """Return a line of exactly this width: pieces (a text, or a text and its style) one after another, and its end.

    The end is at the right edge, and left out if it would take more than half of the line.
    """
    end = clean(end)
    kept = cell_len(end) + 1 if end and cell_len(end) < width // 2 else 0
    left = width - kept
    text = Text(no_wrap=True)
    for piece in pieces:
        words, style = (piece, "") if isinstance(piece, str) else piece
        if (room := left - text.cell_len) <= 0:
            break
        text.append(shorten(words, room), style)
    text.append(" " * (width - kept - text.cell_len))
    if kept:
        text.append(f" {end}", end_style)
    return text


def sparkline(values: Sequence[float | None], width: int, style: str = TREND) -> Text:
    """Return the newest values as bars, as many as fit, the newest at the right; a space stands for None.

    The lowest bar stands for 0 and the highest for the largest value.
    """
    shown = values[-width:] if width > 0 else ()
    top = max((value for value in shown if value is not None), default=0.0)
    bars = "".join(" " if value is None else BARS[_height(value, top)] for value in shown)
    return Text(bars.rjust(max(0, width)), style, no_wrap=True)


def _height(value: float, top: float) -> int:
    if value <= 0 or top <= 0:
        return 0
    return min(len(BARS) - 1, max(1, round(value / top * (len(BARS) - 1))))


def beside(columns: Sequence[Sequence[Text]], widths: Sequence[int], gap: int) -> list[Text]:
    """Return columns of lines side by side."""
    lines = []
    for row in zip_longest(*columns):
        text = Text(no_wrap=True)
        for index, (piece, width) in enumerate(zip(row, widths, strict=True)):
            text.append(" " * (gap if index else 0))
            text.append_text(piece if piece is not None else Text(" " * width))
        lines.append(text)
    return lines
