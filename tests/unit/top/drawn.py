"""The screen as a terminal of a size shows it."""

from io import StringIO

from rich.console import Console
from rich.screen import Screen

from otel_ha.cli.top.screen import Ascii, screen
from otel_ha.cli.top.view import View

SIZES = [(80, 24), (120, 40), (200, 60), (40, 10), (30, 8), (61, 17), (80, 9), (1, 1), (20, 5)]


def lines(view: View, width: int, height: int, now: float = 0.0, *, ascii_only: bool = False) -> list[str]:
    """The lines of the screen, on a wider terminal, so that nothing hides what does not fit."""
    console = Console(width=width + 10, height=height, file=StringIO(), color_system=None)
    picture = screen(view, now, width, height)
    console.print(Ascii(picture) if ascii_only else picture)
    return console.file.getvalue().split("\n")[:-1]


def colored(view: View, width: int, height: int) -> str:
    """The screen with its styles, as it is written to a terminal."""
    console = Console(
        width=width, height=height, file=StringIO(), force_terminal=True, color_system="standard", _environ={}
    )
    console.print(Screen(screen(view, 0.0, width, height)), end="")
    return console.file.getvalue()


def text(view: View, width: int = 80, height: int = 24, now: float = 0.0) -> str:
    """The screen as one text."""
    return "\n".join(lines(view, width, height, now))
