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
_LEAST_ROWS = 2
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
    bands = min(-(-len(found) // across), (height + 1) // (_LEAST_ROWS + 2))
    if bands < 1:
        return []
    widths = [(width - _GAP * (across - 1)) // across] * across
    widths[-1] += width - sum(widths) - _GAP * (across - 1)
    lines: list[Text] = []
    for band in range(bands):
        if band:
            lines.append(Text(" " * width))
        row = found[band * across : (band + 1) * across]
        left = height - len(lines)
        tall = left - (bands - band - 1) * (_LEAST_ROWS + 2)
        wanted = max(len(box.rows) for box in row) + 1
        columns = [box.lines(room, min(tall, max(2, wanted))) for box, room in zip(row, widths, strict=False)]
        lines += parts.beside([*columns, *[[]] * (across - len(row))], widths, _GAP)
    return lines


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
