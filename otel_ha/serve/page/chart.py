"""A chart as data: lines over time. Long ones are condensed, and times that jump back are made to ascend."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from otel_ha.serve.page.scales import Unit

__all__ = ["MOST_POINTS", "Chart", "Line", "ascending", "condensed", "label"]

MOST_POINTS = 300
"""The most points of a line that are drawn; more would be closer than a pixel."""

_DIRECTIONS = re.compile(
    "[\N{LEFT-TO-RIGHT EMBEDDING}-\N{RIGHT-TO-LEFT OVERRIDE}\N{LEFT-TO-RIGHT ISOLATE}-\N{POP DIRECTIONAL ISOLATE}]"
)
_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: a value for each time, None where nothing is known.

    path: the path in the summary to its newest value, if that is a number of the summary itself.
    least: for a condensed line, the smallest value behind each point; values are the largest.
    """

    name: str
    values: Sequence[float | None]
    path: str | None = None
    least: Sequence[float | None] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same times, in seconds since the epoch, with values of one unit.

    key: an identifier that is unique on the page.
    collections: the number of collections behind each point; more than one if the chart is condensed.
    """

    key: str
    title: str
    unit: Unit
    times: Sequence[float]
    lines: Sequence[Line]
    collections: int = 1


def condensed(chart: Chart, most: int = MOST_POINTS) -> Chart:
    """Return a chart with at most so many points, each of which stands for the same number of collections.

    A point has the largest value of its collections, and the least one besides, so that no peak and no pause is lost.
    Its time is that of its last collection. Values that are not finite are unknown.
    """
    size = max(1, math.ceil(len(chart.times) / most))
    lines = [_condensed(line, size) for line in chart.lines]
    times = [*chart.times[size - 1 :: size], *(chart.times[-1:] if len(chart.times) % size else [])]
    return replace(chart, times=times, lines=lines, collections=size)


def _condensed(line: Line, size: int) -> Line:
    known = [value if value is not None and math.isfinite(value) else None for value in line.values]
    if size == 1:
        return replace(line, values=known)
    starts = range(0, len(known), size)
    parts = [[value for value in known[start : start + size] if value is not None] for start in starts]
    largest, least = ([of(part, default=None) for part in parts] for of in (max, min))
    return replace(line, values=largest, least=least)


def ascending(times: Sequence[float]) -> list[float]:
    """Return times that do not jump back, as if the newest clock had been right all the time.

    Where the clock was set back, the usual step takes the place of the jump.
    """
    listed = list(times)
    if listed == sorted(listed):
        return listed
    steps = [after - before for before, after in pairwise(times)]
    usual = sorted([step for step in steps if step > 0] or [1.0])
    found = [times[-1]]
    for step in reversed(steps):
        found.append(found[-1] - (step if step >= 0 else usual[len(usual) // 2]))
    return found[::-1]


def label(text: str, length: int = _LENGTH) -> str:
    """Return a name from outside for a text that cannot hold elements: of limited length, its direction contained."""
    if len(text) > length:
        text = f"{text[: length - 1]}…"
    if text.isascii():
        return text
    return f"\N{FIRST STRONG ISOLATE}{_DIRECTIONS.sub('', text)}\N{POP DIRECTIONAL ISOLATE}"
