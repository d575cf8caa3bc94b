"""Draws a chart in SVG: axes, lines with gaps, and for each time an area that shows the values under the pointer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timezone
from itertools import groupby, pairwise

from otel_ha.serve.page.chart import Chart, Line, ascending, condensed, label
from otel_ha.serve.page.clock import time_ticks, times_of_day, zone_at, zone_name
from otel_ha.serve.page.html import Element, data, element, name
from otel_ha.serve.page.scales import Axis, axis

__all__ = ["draw"]

WIDTH, HEIGHT = 360, 170
TOP, BOTTOM, RIGHT = 8, 146, 343
"""The edges of the plot; its left edge leaves room for the texts of the axis."""

STYLES = 6
"""The number of colours and dashes in charts.css; further lines begin again."""

_LETTER = 5.8
"""The usual width of a character of an axis."""

_OVERHANG = 6
"""The part of a text that may be in the margin around the drawing."""


def draw(chart: Chart) -> Element:
    """Return a chart as a figure: title, legend with the newest values, drawing, and an output for the script."""
    times = ascending(chart.times)
    set_back = times != list(chart.times)
    chart = condensed(replace(chart, times=times))
    known = [value for line in chart.lines for value in (*line.values, *(line.least or ())) if value is not None]
    return element(
        "figure",
        element("figcaption", element("h3", chart.title, class_="chart-title"), _legend(chart)),
        _picture(chart, known) if known else _empty(chart),
        _note(chart, set_back=set_back),
        class_="chart",
        id=f"chart-{chart.key}",
        data_points=len(chart.times),
    )


def _empty(chart: Chart) -> Element:
    return element("p", "Not measured." if chart.times else "No collection yet.", class_="chart-empty")


def _note(chart: Chart, *, set_back: bool) -> Element | None:
    notes = []
    if chart.collections > 1:
        notes.append(
            f"Each point stands for {chart.collections:,} collections: the line has their largest value, the shade "
            "reaches down to their smallest."
        )
    if set_back:
        notes.append("The clock was set back; earlier times are shown as if it had been right.")
    return element("p", " ".join(notes), class_="chart-note") if notes else None


def _legend(chart: Chart) -> Element:
    """Return the names of the lines with their newest values, which those under the pointer cover."""
    keys = [_key(number, line, chart) for number, line in enumerate(chart.lines)]
    values = element("output", class_="chart-value", for_=f"chart-{chart.key}")
    return element("div", element("ul", *keys), values, class_="chart-legend")


def _key(number: int, line: Line, chart: Chart) -> Element:
    newest = line.values[-1] if line.values else None
    shown, known = chart.unit.show(newest), line.path if line.values else None
    sample = element("path", d="M1 4H23", class_="chart-line")
    return element(
        "li",
        element("svg", sample, class_="chart-sample", viewBox="0 0 24 8", aria_hidden="true"),
        element("span", name(line.name), class_="chart-name", title=line.name),
        element("span", data(newest, shown) if known else shown, class_="chart-newest", data_key=known),
        class_=f"chart-{number % STYLES + 1}",
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """The area of the lines: where times and values are in it."""

    left: float
    low: float
    high: float
    values: Axis

    @classmethod
    def of(cls, times: Sequence[float], known: list[float], chart: Chart) -> _Plot:
        values = axis(known, chart.unit)
        left = max(44.0, 8 + _LETTER * max(len(text) for _, text in values.ticks))
        low, high = times[0], times[-1]
        return cls(left, *((low, high) if high > low else (low - 1, high + 1)), values)

    def x(self, time: float) -> float:
        return round(self.left + (RIGHT - self.left) * (time - self.low) / (self.high - self.low), 1)

    def y(self, value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * self.values.share(value), 1)

    def heights(self, values: Sequence[float | None]) -> list[str | None]:
        """Return the places of values as texts, None in gaps."""
        return [None if value is None else _n(self.y(value)) for value in values]


def _picture(chart: Chart, known: list[float]) -> Element:
    plot = _Plot.of(chart.times, known, chart)
    zone = zone_at(chart.times[-1])
    xs = [plot.x(time) for time in chart.times]
    texts = _texts(chart, zone)
    heights = [plot.heights(line.values) for line in chart.lines]
    title, desc, dot = (f"chart-{chart.key}-{part}" for part in ("title", "desc", "dot"))
    return element(
        "svg",
        element("title", chart.title, id=title),
        element("desc", f"Newest values: {texts[-1]} ({zone_name(zone)}). Points: {len(xs):,}.", id=desc),
        _dot(dot),
        *_value_axis(plot),
        *_time_axis(plot, zone),
        *_lines(chart, xs, heights, plot),
        element("g", *_areas(xs, texts, heights, plot), class_="chart-hits", marker_mid=f"url(#{dot})"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_labelledby=f"{title} {desc}",
    )


def _dot(identifier: str) -> Element:
    """Return the mark that a line of the pointer has at each value."""
    circle = element("circle", cx=4, cy=4, r=3)
    return element(
        "marker", circle, id=identifier, refX=4, refY=4, markerWidth=8, markerHeight=8, markerUnits="userSpaceOnUse"
    )


def _value_axis(plot: _Plot) -> Iterator[Element]:
    for value, text in plot.values.ticks:
        y = plot.y(value)
        style = "chart-base" if value == 0 else "chart-grid"
        yield element("path", d=f"M{_n(plot.left)} {_n(y)}H{RIGHT}", class_=style)
        yield element("text", text, x=_n(plot.left - 6), y=_n(y + 3.5), class_="chart-tick", text_anchor="end")


def _time_axis(plot: _Plot, zone: timezone) -> Iterator[Element]:
    yield element("text", zone_name(zone), x=_n(plot.left - 6), y=HEIGHT - 6, class_="chart-tick", text_anchor="end")
    for time, text in time_ticks(plot.low, plot.high, zone):
        x, half = plot.x(time), _LETTER * len(text) / 2
        yield element("path", d=f"M{_n(x)} {BOTTOM}v4", class_="chart-base")
        if plot.left - 2 <= x - half and x + half <= WIDTH + _OVERHANG:
            yield element("text", text, x=_n(x), y=HEIGHT - 6, class_="chart-tick", text_anchor="middle")


def _lines(chart: Chart, xs: list[float], heights: list[list[str | None]], plot: _Plot) -> Iterator[Element]:
    """Return the parts of all lines; one line alone is shaded down to zero, a condensed one to its least values."""
    places = list(map(_n, xs))
    for number, (line, ys) in enumerate(zip(chart.lines, heights, strict=True)):
        if line.least is not None:
            floors = plot.heights(line.least)
        else:
            floors = plot.heights([0.0 if len(chart.lines) == 1 else None]) * len(xs)
        yield from _line(f"chart-{number % STYLES + 1}", zip(places, ys, floors, strict=True))


def _line(style: str, points: Iterable[tuple[str, str | None, str | None]]) -> Iterator[Element]:
    """Return the parts of a line: a shade, the line itself without its gaps, and dots for points without neighbours."""
    runs = [list(run) for is_known, run in groupby(points, key=lambda point: point[1] is not None) if is_known]
    long = [run for run in runs if len(run) > 1]
    paths = [" ".join(f"{x} {y}" for x, y, _ in run) for run in long]
    floors = [" ".join(f"{x} {floor}" for x, _, floor in reversed(run) if floor is not None) for run in long]
    shade = "".join(f"M{path}L{floor}Z" for path, floor in zip(paths, floors, strict=True) if floor)
    if shade:
        yield element("path", d=shade, class_=f"chart-shade {style}")
    if paths:
        yield element("path", d="".join(f"M{path}" for path in paths), class_=f"chart-line {style}")
    for run in runs:
        if len(run) == 1:
            yield element("circle", cx=run[0][0], cy=run[0][1], r=2.5, class_=f"chart-point {style}")


def _texts(chart: Chart, zone: timezone) -> list[str]:
    """Return the values at each time in words."""
    show = chart.unit.show
    columns = []
    for line in chart.lines:
        called = label(line.name)
        if line.least is None:
            columns.append([f" · {called} {show(value)}" for value in line.values])
        else:
            pairs = zip(line.least, line.values, strict=True)
            columns.append([f" · {called} {show(low)} to {show(value)}" for low, value in pairs])
    times = times_of_day(chart.times, zone)
    return ["".join(row) for row in zip(times, *columns, strict=True)]


def _areas(xs: list[float], texts: list[str], heights: list[list[str | None]], plot: _Plot) -> Iterator[Element]:
    """Return a group for each time: its text, a line that shows while the pointer is there, and the area for that."""
    edges = [plot.left, *(round((before + after) / 2, 1) for before, after in pairwise(xs)), float(RIGHT)]
    for x, text, ys, (left, right) in zip(xs, texts, zip(*heights, strict=True), pairwise(edges), strict=True):
        marks = "".join([f"V{y}" for y in ys if y is not None])
        yield element(
            "g",
            element("title", text),
            element("path", d=f"M{_n(x)} {TOP}{marks}V{BOTTOM}"),
            element("rect", x=_n(left), y=TOP, width=_n(right - left), height=BOTTOM - TOP),
        )


def _n(number: float) -> str:
    """Return a coordinate without needless digits."""
    return f"{number:.1f}".removesuffix(".0")
