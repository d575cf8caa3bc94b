"""View: the choices of the person at the keyboard, and how each key changes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_ha.cli.top.reading import Reading
from otel_ha.cli.top.watch import Service

__all__ = ["SORTS", "View"]

_BY: dict[str, Callable[[Reading], float | None]] = {
    "rate": lambda reading: reading.rate,
    "p95": lambda reading: reading.p95,
    "errors": lambda reading: reading.errors,
    "lag": lambda reading: reading.lag,
    "queue": lambda reading: reading.queue,
    "cpu": lambda reading: reading.cpu,
}

SORTS = ("given", "name", *_BY)
"""The orders of services: as given on the command line, by name, and by a figure, the largest first."""

_ROW_SORTS = ("rate", "name", "errors")
"""The orders of the rows of a single service."""

_LETTERS = {"N": "name", "R": "rate", "P": "p95", "E": "errors", "L": "lag", "Q": "queue", "C": "cpu"}


@dataclass
class View:
    """The screen: its order, and the service that is selected or open (by its place on the command line)."""

    services: Sequence[Service]
    sort: str = "given"
    row_sort: str = "rate"
    reverse: bool = False
    paused: bool = False
    help: bool = False
    selected: int = 0
    is_open: bool = False

    @property
    def opened(self) -> Service | None:
        """The service that fills the screen; a single one always does."""
        return self.services[self.selected] if self.is_open or len(self.services) == 1 else None

    def ordered(self) -> list[tuple[int, Service]]:
        """Return the services in order, each with its place on the command line; unknown figures come last."""
        numbered = list(enumerate(self.services))
        if self.sort == "given":
            return numbered[::-1] if self.reverse else numbered
        if self.sort == "name":
            return sorted(numbered, key=lambda each: each[1].name.casefold(), reverse=self.reverse)
        return arranged(numbered, lambda each: _figure(each[1], self.sort), largest_first=not self.reverse)

    def rows(self, rows: Sequence[Any]) -> list[Any]:
        """Return the rows of a table in order."""
        if self.row_sort == "name":
            return sorted(rows, key=lambda row: row["name"].casefold(), reverse=self.reverse)
        figures = {"rate": ("rate", "processed", "discarded", "count"), "errors": ("errors", "lost", "count")}
        return arranged(rows, lambda row: _first(row, figures[self.row_sort]), largest_first=not self.reverse)

    def press(self, key: str) -> bool:
        """Take a key; return False if it quits."""
        if key in {"q", "eof"}:
            return False
        match key:
            case "?" | "h":
                self.help = not self.help
            case "p" | " ":
                self.paused = not self.paused
            case "r":
                self.reverse = not self.reverse
            case "s":
                self._sort_next()
            case _ if key in _LETTERS:
                self._sort_by(_LETTERS[key])
            case _ if len(self.services) > 1:
                self._move(key)
        return True

    def _sort_next(self) -> None:
        if self.opened:
            self.row_sort = _ROW_SORTS[(_ROW_SORTS.index(self.row_sort) + 1) % len(_ROW_SORTS)]
        else:
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def _sort_by(self, sort: str) -> None:
        if not self.opened:
            self.sort = sort
        elif sort in _ROW_SORTS:
            self.row_sort = sort

    def _move(self, key: str) -> None:
        match key:
            case "enter":
                self.is_open = True
            case "escape" | "backspace" | "left":
                self.is_open = False
            case "up" | "k":
                self._step(-1)
            case "down" | "j":
                self._step(1)
            case _ if key.isdecimal() and key.isascii() and 1 <= int(key) <= len(self.services):
                self.selected, self.is_open = int(key) - 1, True

    def _step(self, by: int) -> None:
        places = [place for place, _ in self.ordered()]
        at = places.index(self.selected) + by
        self.selected = places[max(0, min(at, len(places) - 1))]


def arranged(items: Sequence[Any], figure: Callable[[Any], float | None], *, largest_first: bool) -> list[Any]:
    """Return items in the order of a figure; those without one come last, either way."""
    known = sorted((each for each in items if figure(each) is not None), key=figure, reverse=largest_first)  # type: ignore[arg-type]
    return known + [each for each in items if figure(each) is None]


def _figure(service: Service, sort: str) -> float | None:
    return None if service.reading is None else _BY[sort](service.reading)


def _first(row: Any, names: Sequence[str]) -> float | None:
    return next((row[name] for name in names if row.get(name) is not None), None)
