"""Overview: a table of several services, one row each, and below a row whatever there is to say about its service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from otel_ha.cli.top import parts, states
from otel_ha.cli.top.reading import Reading
from otel_ha.cli.top.text import shorten
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service
from otel_ha.serve.summary import words

__all__ = ["overview"]


@dataclass(frozen=True)
class _Column:
    sort: str
    title: str
    width: int
    shown: Callable[[Reading], str]


def _percent(value: float | None, hundred: float, *, least: float) -> str:
    """Return a share in steps of `least` percent, so that it fits into its column; only 0 is 0 %."""
    if not value:
        return words.percent(value)
    return words.percent(max(least, round(value * hundred / least) * least))


_COLUMNS = (
    _Column("rate", "Rate", 9, lambda reading: words.rate(reading.rate)),
    _Column("p95", "P95", 6, lambda reading: states.brief(reading.p95)),
    _Column("errors", "Errors", 6, lambda reading: _percent(reading.errors, 100, least=0.01)),
    _Column("lag", "Lag", 6, lambda reading: states.brief(reading.lag)),
    _Column("queue", "Queue", 7, lambda reading: words.count(reading.queue)),
    _Column("cpu", "CPU", 5, lambda reading: _percent(reading.cpu, 1, least=0.1)),
)
"""The figures, the most important first: the last ones are left out where the terminal is narrow."""

_STATUS = 8
_LEAST_NAME = 15
_LEAST_TREND = 7
_MOST_NAME = 36
_TREND = "Rate over time"


@dataclass(frozen=True)
class _Shape:
    """The widths of a row."""

    number: int
    name: int
    columns: tuple[_Column, ...]
    trend: int


def _shape(width: int, services: Sequence[Service]) -> _Shape:
    number = len(str(len(services))) + 1
    longest_name = max((len(service.name) for service in services), default=0)
    left = width - number - _LEAST_NAME - 1 - _STATUS
    columns: list[_Column] = []
    for column in _COLUMNS:
        if left < column.width + 1:
            break
        columns.append(column)
        left -= column.width + 1
    trend = left - 1 if left > _LEAST_TREND else 0
    name = _LEAST_NAME + (left if not trend else 0)
    if trend and (more := min(longest_name - _LEAST_NAME, trend - _LEAST_TREND, _MOST_NAME - _LEAST_NAME)) > 0:
        name, trend = name + more, trend - more
    return _Shape(number, name, tuple(columns), trend)


def overview(view: View, now: float, width: int, height: int) -> list[Text]:
    """Return the table in at most `height` lines of exactly `width`."""
    shape = _shape(width, view.services)
    ordered = view.ordered()
    room = height - 1
    selected = next(at for at, (place, _) in enumerate(ordered) if place == view.selected)
    first = max(0, min(selected - room // 2, len(ordered) - room))
    shown = ordered[first : first + room]
    spare = room - len(shown)
    lines = [_head(view, shape, width)]
    for place, service in shown:
        said = states.messages(service, now)[:1] if len(shown) < room else []
        lines.append(_row(view, shape, place, service, now if not said else None, width))
        if said and spare > 0:
            lines.append(parts.line(width, " " * shape.number, *said))
            spare -= 1
    return lines


def _head(view: View, shape: _Shape, width: int) -> Text:
    def title(sort: str, text: str, room: int, *, right: bool = True) -> Text:
        chosen = view.sort == sort
        return parts.cell(text, room, parts.HEAD if chosen else parts.DIM, right=right)

    head = Text(" " * shape.number, no_wrap=True)
    head.append_text(title("name", "Service", shape.name, right=False)).append(" ")
    head.append_text(parts.cell("Status", _STATUS, parts.DIM))
    for column in shape.columns:
        head.append(" ").append_text(title(column.sort, column.title, column.width))
    if shape.trend:
        trend = _TREND if shape.trend >= len(_TREND) else "Trend"
        head.append(" ").append_text(parts.cell(trend, shape.trend, parts.DIM))
    return head.append(" " * max(0, width - head.cell_len))


def _row(view: View, shape: _Shape, place: int, service: Service, now: float | None, width: int) -> Text:
    """Return the row of a service; with `now`, a problem stands in the place of the figures."""
    faded = parts.DIM if service.problem else ""
    row = parts.cell(str(place + 1), shape.number - 1, parts.DIM, right=True).append(" ")
    row.append_text(parts.cell(_label(view, service, shape.name), shape.name, faded or parts.STRONG))
    if place == view.selected:
        row.stylize("reverse")
    row.append(" ")
    word, style = states.status(service)
    row.append_text(parts.cell(word, _STATUS, style))
    said = states.messages(service, now)[:1] if now is not None and service.problem else []
    if said and row.cell_len < width:
        row.append(" ").append_text(parts.line(width - row.cell_len, *said))
    elif service.reading is not None:
        _append_figures(row, shape, service.reading, faded)
    return row.append(" " * max(0, width - row.cell_len))


def _label(view: View, service: Service, width: int) -> str:
    """Return the service's name, with its address if another one has the same name."""
    same = [each for each in view.services if each.name == service.name]
    address = service.address
    if len(same) == 1:
        return service.name if service.reading else address
    hosts = {each.url.rpartition(":")[0] for each in same}
    address = f":{address.rpartition(':')[2]}" if len(hosts) == 1 else address
    return f"{shorten(service.name, max(0, width - len(address) - 1))} {address}"


def _append_figures(row: Text, shape: _Shape, reading: Reading, faded: str) -> None:
    for column in shape.columns:
        style = faded or (parts.TROUBLE if column.sort == "errors" and reading.errors else "")
        # Without the space before the unit, there is room for names.
        row.append(" ").append_text(parts.cell(column.shown(reading).replace(" ", ""), column.width, style, right=True))
    if shape.trend:
        row.append(" ").append_text(parts.sparkline(reading.history["rate"], shape.trend, faded or parts.TREND))
