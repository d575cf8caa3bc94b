"""Screen: what fills the terminal, as a function of the services, the person's choices and the size."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from otel_ha.cli.top import parts, states
from otel_ha.cli.top.detail import detail
from otel_ha.cli.top.overview import overview
from otel_ha.cli.top.text import as_ascii, clean
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service
from otel_ha.serve.summary import words

__all__ = ["Ascii", "screen"]

_LEAST = (30, 8)

_KEYS = ("q quit", "s sort", "r reverse", "p pause", "? help")
_HELP = (
    "q quit",
    "s next order",
    "r reverse",
    "p pause",
    "N name",
    "R rate",
    "P P95",
    "E errors",
    "L lag",
    "Q queue",
    "C CPU",
    "? close this",
)
_HELP_OF_SEVERAL = ("Enter or 1-9 open", "Esc back", "up/down select")


def screen(view: View, now: float, width: int, height: int) -> RenderableType:
    """Return the screen: at most `height` lines of at most `width`; `now` is of monotonic()."""
    least_width, least_height = _LEAST
    if width < least_width or height < least_height:
        return _small(width, height)
    foot = _foot(view, width)[: height - 3]
    room = height - len(foot) - 1
    opened = view.opened
    body = detail(opened, view, now, width, room) if opened else overview(view, now, width, room)
    filling = [Text(" " * width)] * (room - len(body))
    if opened and body:  # the accounts stay at the bottom
        body, filling = [*body[:-1], *filling, body[-1]], []
    head = _head_of_one(opened, view, width) if opened else _head_of_several(view, width)
    return Group(head, *body, *filling, *foot)


def _small(width: int, height: int) -> RenderableType:
    least = "{}x{}".format(*_LEAST)
    text = Text(f"The terminal is too small: {width}x{height}; top needs {least}. q quits.")
    return Group(*text.wrap(Console(width=max(1, width)), max(1, width))[: max(1, height)])


def _head_of_one(service: Service, view: View, width: int) -> Text:
    reading = service.reading
    word, style = states.status(service)
    pieces: list[str | tuple[str, str]] = [(clean(service.name)[: width // 3], parts.STRONG), "  ", (word, style)]
    if reading is not None:
        about = [
            f"up {words.duration(reading.up)}",
            f"host {clean(reading.host)[:20] or words.NOTHING}",
            f"otel-ha {reading.version or words.NOTHING}",
        ]
        pieces.append(("  " + ", ".join(about), parts.DIM))
    taken = None if reading is None else reading.timestamp
    over = "" if reading is None else f"over {words.duration(reading.window)}  "
    return _head(pieces, view, width, over, taken)


def _head_of_several(view: View, width: int) -> Text:
    states_found = Counter(states.status(service) for service in view.services)
    pieces: list[str | tuple[str, str]] = [(f"{len(view.services)} services", parts.STRONG)]
    for (word, style), number in sorted(states_found.items()):
        if word == words.NOTHING:
            continue
        pieces += ["  ", (f"{number} {word}", style)]
    taken = [service.reading.timestamp or 0.0 for service in view.services if service.reading is not None]
    order = f"by {view.sort}{', reversed' * view.reverse}  " if view.sort != "given" or view.reverse else ""
    return _head(pieces, view, width, order, max(taken, default=None))


def _head(pieces: list[str | tuple[str, str]], view: View, width: int, about: str, taken: float | None) -> Text:
    if view.paused:
        return parts.line(width, *pieces, end=f"paused  {_clock(taken)}", end_style=parts.WARNING)
    return parts.line(width, *pieces, end=f"{about}{_clock(taken)}")


def _clock(timestamp: float | None) -> str:
    try:
        return "" if timestamp is None else time.strftime("%H:%M:%S", time.localtime(timestamp))
    except (OverflowError, ValueError, OSError):  # a clock of another age
        return ""


def _foot(view: View, width: int) -> list[Text]:
    """Return the line of keys, or all keys in a few lines."""
    several = len(view.services) > 1
    if not view.help:
        more = ("Esc back",) if view.is_open and several else ("Enter open",) if several else ()
        sort = f"s sort: {view.row_sort if view.opened else view.sort}"
        keys = [sort if key == "s sort" else key for key in _KEYS]
        return [parts.line(width, ("  ".join([*keys[:1], *more, *keys[1:]]), parts.DIM))]
    lines: list[str] = []
    text = ""
    for key in (*_HELP, *(_HELP_OF_SEVERAL if several else ())):
        if len(text) + len(key) + 2 > width:
            lines, text = [*lines, text], ""
        text += f"{key}  "
    return [parts.line(width, (each, parts.DIM)) for each in [*lines, text]]


class Ascii:
    """Shows a renderable in ASCII, for terminals without Unicode; each character takes as many cells as before."""

    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments in ASCII."""
        for text, style, control in console.render(self.renderable, options):
            yield Segment(text if control else as_ascii(text), style, control)
