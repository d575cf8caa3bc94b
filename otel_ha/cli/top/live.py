"""The live screen: asks, waits for answers and keys, draws."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from time import monotonic

from rich.console import Console
from rich.control import Control
from rich.screen import Screen

from otel_ha.cli.client import Client
from otel_ha.cli.top.keys import Terminal
from otel_ha.cli.top.screen import Ascii, screen
from otel_ha.cli.top.text import speaks_unicode
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Watch

__all__ = ["can_show", "show_live"]

_REDRAW = 1.0
"""Seconds between two drawings while nothing happens: ages grow."""


def can_show() -> bool:
    """Tell whether there is a terminal that can show a full screen and send keys."""
    streams = (sys.stdin, sys.stdout)  # one that the caller has closed is None
    has_terminal = all(stream is not None and stream.isatty() for stream in streams)
    return has_terminal and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def show_live(clients: Sequence[Client], interval: float, sort: str) -> None:
    """Show the services on the full screen until a key or a signal ends it."""
    watch = Watch(clients)
    view = View(watch.services, sort=sort)
    drawing = _Drawing(view)
    with Terminal() as terminal:
        end = _run(terminal, watch, view, interval, drawing)
    if end == "SIGINT":
        raise KeyboardInterrupt
    if end.startswith("SIG"):  # end as the signal ends a program that does not handle it
        signal.signal(signal.Signals[end], signal.SIG_DFL)
        os.kill(os.getpid(), signal.Signals[end])


def _run(terminal: Terminal, watch: Watch, view: View, interval: float, drawing: _Drawing) -> str:
    due = monotonic()
    while True:
        if not view.paused and monotonic() >= due:
            watch.ask()
            due = monotonic() + interval
        watch.take()
        drawing.draw()
        until_due = _REDRAW if view.paused else due - monotonic()
        for key in terminal.wait(min(_REDRAW, until_due), watch.ready):
            if key.startswith("SIG") or not view.press(key):
                return key


class _Drawing:
    """Draws the view on the terminal."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._console = Console(highlight=False, emoji=False, markup=False, soft_wrap=False)
        self._has_unicode = speaks_unicode(sys.stdout.encoding)

    def draw(self) -> None:
        """Draw once, in one write."""
        width, height = _size()
        console = self._console
        console.size = (width, height)
        picture = screen(self._view, monotonic(), width, height)
        with console:
            console.control(Control.home())
            console.print(Screen(picture if self._has_unicode else Ascii(picture)), end="")


def _size() -> tuple[int, int]:
    """Return the terminal's columns and lines; a terminal that does not say is taken for one of 80x24."""
    width, height = os.get_terminal_size(sys.stdout.fileno())
    return width or 80, height or 24
