"""Panels of a picture: lines over two axes, of which the horizontal one has equal steps for equal ratios."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otel_ha.serve.page.html import Element, element
from otel_ha.serve.page.scales import INTERVALS, round_step

WIDTH, HEIGHT, GAP = 330, 290, 20
LEFT, TOP, BOTTOM = 52, 52, 222
"""The edges of the area of the lines, within a panel."""
RADIUS = 3
LEGEND = 258
_LEGEND_STEP = 16
_KILO, _MEGA = 1e3, 1e6
_LETTER = 7
"""The usual width of a letter."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its name, its style, and points of a number and a value."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its title, what its horizontal axis counts, the unit of its values, and lines."""

    title: str
    counted: str
    unit: str
    lines: Sequence[Line]

    @property
    def numbers(self) -> list[float]:
        """The numbers on the horizontal axis."""
        return sorted({number for line in self.lines for number, _ in line.points}) or [1.0]

    @property
    def ticks(self) -> list[float]:
        """Round values from zero up, of which the last one is not below any value."""
        top = max((value for line in self.lines for _, value in line.points), default=0.0) or 1.0
        step = round_step(top / INTERVALS)
        return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]

    def x(self, number: float) -> float:
        """Return the place of a number."""
        low, high = self.numbers[0], self.numbers[-1]
        share = math.log(number / low) / math.log(high / low) if high > low else 0.5
        return round(LEFT + 8 + (WIDTH - LEFT - 24) * share, 1)

    def y(self, value: float) -> float:
        """Return the place of a value."""
        return round(BOTTOM - (BOTTOM - TOP) * value / self.ticks[-1], 1)


def drawn(panel: Panel, left: float, top: float) -> Element:
    """Return a panel at a place."""
    return element(
        "g",
        element("text", panel.title, x=0, y=14, class_="title"),
        element("text", panel.unit, x=LEFT, y=TOP - 14, class_="quiet"),
        *_value_axis(panel),
        *_number_axis(panel),
        *_lines(panel),
        *_legend(panel),
        transform=f"translate({left} {top})",
    )


def short(value: float) -> str:
    """Return a number in few characters."""
    for size, letter in ((_MEGA, "M"), (_KILO, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _value_axis(panel: Panel) -> Iterator[Element]:
    for value in panel.ticks:
        y = panel.y(value)
        yield element("path", d=f"M{LEFT} {y}H{WIDTH}", class_="grid" if value else "base")
        yield element("text", short(round(value, 9)), x=LEFT - 6, y=y + 4, text_anchor="end")


def _number_axis(panel: Panel) -> Iterator[Element]:
    for number in panel.numbers:
        x = panel.x(number)
        yield element("path", d=f"M{x} {BOTTOM}v4", class_="base")
        yield element("text", short(number), x=x, y=BOTTOM + 17, text_anchor="middle")
    yield element("text", panel.counted, x=WIDTH, y=BOTTOM + 34, text_anchor="end", class_="quiet")


def _lines(panel: Panel) -> Iterator[Element]:
    for line in panel.lines:
        places = [(panel.x(number), panel.y(value)) for number, value in line.points]
        if places:
            yield element("path", d="M" + " ".join(f"{x} {y}" for x, y in places), class_=f"line {line.style}")
        for x, y in places:
            yield element("circle", cx=x, cy=y, r=RADIUS, class_=f"point {line.style}")


def _legend(panel: Panel) -> Iterator[Element]:
    x, y = LEFT, LEGEND + _LEGEND_STEP
    for line in panel.lines:
        if not line.points:
            continue
        if x + 28 + _LETTER * len(line.name) > WIDTH:
            x, y = LEFT, y + _LEGEND_STEP
        yield element("path", d=f"M{x} {y - 4}h20", class_=f"line {line.style}")
        yield element("text", line.name, x=x + 26, y=y)
        x += 40 + _LETTER * len(line.name)
