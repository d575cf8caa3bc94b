"""Boxes: the tables of one service, a heading and rows of a name and figures, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from otel_ha.cli.top import parts, states
from otel_ha.cli.top.reading import Reading, Row
from otel_ha.cli.top.view import View
from otel_ha.serve.summary import words

__all__ = ["boxes"]

_FIGURE = 8
_WIDTH = 38
"""The least width of a box."""

_GAP = 2
_LEAST_BAND = 3
"""The lines of tables side by side that come before more rows of others: a heading and two rows."""

_FAILURES = "consecutive_failures"


@dataclass(frozen=True)
class _Box:
    title: str
    figures: tuple[tuple[str, Callable[[Row], str]], ...]
    rows: Sequence[Row]
    is_bad: Callable[[Row], bool] = lambda _: False

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the box in exactly `height` lines of exactly `width`."""
        shown = self.rows[: height - 1]
        title = self.title if len(shown) == len(self.rows) else f"{self.title} ({len(shown)} of {len(self.rows)})"
        name = width - _FIGURE * len(self.figures)
        head = parts.cell(title, name, parts.HEAD)
        for figure, _ in self.figures:
            head.append_text(parts.cell(figure, _FIGURE, parts.DIM, right=True))
        lines = [head, *(self._row(row, name) for row in shown)]
        if not self.rows:
            lines.append(parts.cell("none", width, parts.DIM))
        return (lines + [Text(" " * width)] * height)[:height]

    def _row(self, row: Row, width: int) -> Text:
        text = parts.cell(row["name"], width - 1, parts.TROUBLE if self.is_bad(row) else "").append(" ")
        for _, shown in self.figures:
            text.append_text(parts.cell(shown(row), _FIGURE, right=True))
        return text


def _rate(row: Row) -> str:
    return words.rate(row.get("rate"))


def _count(name: str) -> Callable[[Row], str]:
    return lambda row: words.count(row.get(name))


def boxes(reading: Reading, view: View, width: int, height: int) -> list[Text]:
    """Return the tables in at most `height` lines of exactly `width`, the most important first, side by side."""
    across = max(1, (width + _GAP) // (_WIDTH + _GAP))
    found = _boxes(reading, view)
    widths = [(width - _GAP * (across - 1)) // across] * across
    widths[-1] += width - sum(widths) - _GAP * (across - 1)
    bands = [found[start : start + across] for start in range(0, len(found), across)]
    lines: list[Text] = []
    for band, tall in zip(bands, _heights([_wanted(band) for band in bands], height), strict=False):
        columns = [box.lines(room, tall) for box, room in zip(band, widths, strict=False)]
        lines += [Text(" " * width)] if lines else []
        lines += parts.beside([*columns, *[[]] * (across - len(band))], widths, _GAP)
    return lines


def _wanted(band: Sequence[_Box]) -> int:
    """Return the lines that show all rows of tables side by side, or that they have none."""
    return 1 + max(1, *(len(box.rows) for box in band))


def _heights(wanted: Sequence[int], room: int) -> list[int]:
    """Return the heights of as many bands as fit, with a line between two: the least of each, and more in turn."""
    heights: list[int] = []
    left = room
    for want in wanted:
        if (height := min(want, _LEAST_BAND, left)) <= 1:
            break
        heights.append(height)
        left -= height + 1
    left += 1
    while left > 0 and (unmet := [at for at, height in enumerate(heights) if height < wanted[at]]):
        for at in unmet[:left]:
            heights[at] += 1
        left -= len(unmet[:left])
    return heights


def _boxes(reading: Reading, view: View) -> list[_Box]:
    """Return the tables, those with rows first."""
    tables = {name: view.rows(rows) for name, rows in reading.tables.items()}
    all_boxes = [
        _Box("Sources", (("Rate", _rate), ("Errors", _count("errors"))), tables["sources"]),
        _Box("Connections", (("Age", _age), ("Reconn.", _count("reconnects"))), _connections(reading), _is_down),
        _Box("Discarded", (("Rate", _rate), ("Events", _count("discarded"))), tables["reasons"]),
        _Box("Sinks", (("Rate", _rate), ("Lost", _count("lost")), ("P95", _write)), tables["sinks"], _has_lost),
        _Box("Errors", (("Rate", _rate), ("Count", _count("count"))), _errors(tables["errors"])),
        _Box("Ways out", (("Last", _last(reading)), ("Failed", _count(_FAILURES))), reading.readers, _fails),
        _Box("Domains", (("Rate", _rate), ("Errors", _count("errors"))), tables["domains"]),
    ]
    return sorted(all_boxes, key=lambda box: not box.rows)


def _connections(reading: Reading) -> list[Row]:
    return [{**row, "name": f"{row['name']}{' is down' if _is_down(row) else ''}"} for row in reading.connections]


def _errors(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "name": " in ".join(filter(None, (row["name"], row.get("component"))))} for row in rows]


def _is_down(row: Row) -> bool:
    return row.get("up") == 0


def _has_lost(row: Row) -> bool:
    return bool(row.get("lost"))


def _fails(row: Row) -> bool:
    return bool(row.get(_FAILURES))


def _age(row: Row) -> str:
    return states.brief(row.get("message_age"))


def _write(row: Row) -> str:
    milliseconds = row.get("p95_write_ms")
    return states.brief(None if milliseconds is None else milliseconds / 1_000)


def _last(reading: Reading) -> Callable[[Row], str]:
    def last(row: Row) -> str:
        success = row.get("last_success")
        if success is None or reading.timestamp is None:
            return words.NOTHING
        return states.brief(max(0.0, reading.timestamp - success))

    return last
