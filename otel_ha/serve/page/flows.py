"""Draws a quantity that splits into parts: bands from left to right, whose widths are proportional to the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from otel_ha.serve.page.chart import label
from otel_ha.serve.page.html import Element, element
from otel_ha.serve.summary import words

__all__ = ["MOST_PARTS", "Flow", "picture"]

MOST_PARTS = 6
"""The most parts of one way that have bands of their own; the rest shares one."""

WIDTH = 360
_NODE = 8
_START, _END, _TEXT = _NODE, 146, 160
_BANDS = 150.0
"""The height of the whole quantity."""
_HEAD, _ROW, _GAP, _TOP = 18.0, 17.0, 4.0, 22.0
_LETTERS = 21


@dataclass(frozen=True, slots=True)
class Flow:
    """A way that a quantity goes: its name, its number and path in the summary, and its parts.

    kind: the suffix of its class in charts.css, which colours it.
    """

    name: str
    number: int
    path: str | None
    kind: str = ""
    parts: tuple[Flow, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of text at the right, with a band or, for a heading, without one."""

    flow: Flow
    y: float
    height: float
    band: float | None
    is_head: bool


def picture(received: int, flows: list[Flow]) -> Element:
    """Return the drawing of a quantity and its ways; parts without an amount are left out."""
    whole = max(received, sum(max(0, flow.number) for flow in flows))
    scale = _BANDS / whole if whole > 0 else 0.0
    rows = list(_rows(flows, scale))
    height = max(_TOP + _BANDS, rows[-1].y + rows[-1].height if rows else 0) + 6
    title, desc = "accounts-title", "accounts-desc"
    return element(
        "svg",
        element("title", "Ways of the events", id=title),
        element("desc", _words(received, flows), id=desc),
        element("text", f"received {words.count(received)}", x=0, y=12, class_="flow-head"),
        *_node(received, scale),
        *_bands(rows, whole),
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        class_="flows",
        aria_labelledby=f"{title} {desc}",
    )


def _words(received: int, flows: list[Flow]) -> str:
    told = ", ".join(f"{words.count(flow.number)} {flow.name}" for flow in flows)
    return f"Of {words.count(received)} events received: {told}."


def _merged(parts: tuple[Flow, ...]) -> list[Flow]:
    """Return the parts that have an amount, the small ones as one."""
    some = [part for part in parts if part.number > 0]
    if len(some) <= MOST_PARTS:
        return some
    rest = some[MOST_PARTS - 1 :]
    return [*some[: MOST_PARTS - 1], Flow(f"{len(rest)} others", sum(part.number for part in rest), None)]


def _rows(flows: list[Flow], scale: float) -> Iterator[_Row]:
    y = 0.0
    for flow in flows:
        parts = [replace(part, kind=part.kind or flow.kind) for part in _merged(flow.parts)]
        alone = not parts and flow.number > 0
        band = flow.number * scale if alone else None
        height = max(_HEAD, (band or 0) + _GAP)
        yield _Row(flow, y, height, band, is_head=True)
        y += height
        for part in parts:
            band = part.number * scale
            height = max(_ROW, band + _GAP)
            yield _Row(part, y, height, band, is_head=False)
            y += height
        y += _GAP


def _node(received: int, scale: float) -> Iterator[Element]:
    """Return the bar at the left, and besides what left it without having been received."""
    height = max(1.0, received * scale)
    yield element("rect", x=0, y=_n(_TOP), width=_NODE, height=_n(height), class_="flow-node")
    if scale and _BANDS - height > 0:
        y, rest = _n(_TOP + height), _n(_BANDS - height)
        yield element("rect", x=0, y=y, width=_NODE, height=rest, class_="flow-node flow-missing")


def _bands(rows: list[_Row], whole: int) -> Iterator[Element]:
    left = _TOP
    for row in rows:
        middle = row.y + row.height / 2
        if row.band is not None:
            yield _band(left, middle - row.band / 2, row)
            left += row.band
        yield from _text(row, middle, whole)


def _band(left: float, right: float, row: _Row) -> Element:
    """Return a band from the bar to its row, never thinner than can be seen."""
    thick = max(1.0, row.band or 0)
    turn = _n((_START + _END) / 2)
    outward = f"M{_START} {_n(left)}C{turn} {_n(left)} {turn} {_n(right)} {_END} {_n(right)}"
    back = f"C{turn} {_n(right + thick)} {turn} {_n(left + thick)} {_START} {_n(left + thick)}Z"
    title = element("title", f"{label(row.flow.name, 255)} {words.count(row.flow.number)}")
    return element(
        "path", title, d=f"{outward}h{_NODE}v{_n(thick)}h-{_NODE}{back}", class_=f"flow-band flow-{row.flow.kind}"
    )


def _text(row: _Row, middle: float, whole: int) -> Iterator[Element]:
    """Return a row's name and its share of the whole; the numbers stand in the table beside the drawing."""
    class_ = "flow-head" if row.is_head else "flow-text"
    x, y = _TEXT if row.is_head else _TEXT + 8, _n(middle + 4)
    full = element("title", label(row.flow.name, 255))
    yield element("text", full, label(row.flow.name, _LETTERS), x=x, y=y, class_=class_)
    if whole > 0:
        yield element("text", words.share(row.flow.number / whole), x=WIDTH, y=y, class_=class_, text_anchor="end")


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
