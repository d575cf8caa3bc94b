"""The picture of growth on the page about performance, rendered from the results of a run of the benchmarks.

`python -m benchmarks.picture < benchmarks/results.json > docs/images/growth.svg`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import growth_series, growth_services, growth_threads, holders
from benchmarks.panels import GAP, HEIGHT, WIDTH, Line, Panel, drawn
from benchmarks.tables import Table
from otel_ha.serve.page.html import element, text_of

OURS, SDK, CLIENT = "otel-ha", "OpenTelemetry", "prometheus_client"
STYLES = {OURS: "ours", SDK: "sdk", CLIENT: "client"}
EMPTY = "This run has not measured growth."

_STYLE = """
.sheet { fill: #fff; stroke: #d0d7de }
text { fill: #1f2328; font: 12px system-ui, sans-serif }
.title { font-size: 14px; font-weight: 600 }
.quiet { fill: #59636e }
.grid { stroke: #d0d7de; fill: none }
.base { stroke: #59636e; fill: none }
.line { fill: none; stroke-width: 2 }
.line.ours, .point.ours { stroke: #0969da }
.line.sdk, .point.sdk { stroke: #bc4c00; stroke-dasharray: 7 3 }
.line.client, .point.client { stroke: #8250df; stroke-dasharray: 2 3 }
.point { fill: #fff; stroke-width: 2 }
.point.sdk, .point.client { stroke-dasharray: none }
@media (prefers-color-scheme: dark) {
.sheet { fill: #0d1117; stroke: #3d444d }
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.grid { stroke: #3d444d }
.base { stroke: #9198a1 }
.line.ours, .point.ours { stroke: #58a6ff }
.line.sdk, .point.sdk { stroke: #f0883e }
.line.client, .point.client { stroke: #bc8cff }
.point { fill: #0d1117 }
}
"""


def picture(document: Mapping[str, Any]) -> str:
    """Return the picture as SVG; one that says so if the run has not measured growth."""
    tables = {data["key"]: Table.from_json(data) for data in document["tables"]}
    panels = [panel for panel in (_series(tables), _threads(tables), _services(tables)) if panel is not None]
    width = max(len(panels), 1) * (WIDTH + GAP) + GAP
    parts = [drawn(panel, GAP + number * (WIDTH + GAP), GAP) for number, panel in enumerate(panels)]
    if not panels:
        parts = [element("text", EMPTY, x=GAP, y=2 * GAP)]
    svg = element(
        "svg",
        element("title", "Growth by series, by writing threads and by services"),
        element("style", _STYLE),
        element("rect", x=0.5, y=0.5, width=width - 1, height=HEIGHT + 2 * GAP - 1, rx=6, class_="sheet"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {HEIGHT + 2 * GAP}",
        width=width,
        height=HEIGHT + 2 * GAP,
        role="img",
    )
    return f"{text_of(svg)}\n"


def _series(tables: Mapping[str, Table]) -> Panel | None:
    """Return the panel of scrapes."""
    table = tables.get("growth_series")
    if table is None:
        return None
    prefixes = {OURS: "", SDK: f"{holders.SDK}, ", CLIENT: f"{holders.CLIENT}, "}
    lines = [_line(name, table, growth_series.EACH, "series", prefix) for name, prefix in prefixes.items()]
    return Panel("A scrape: time per series", "series in the process", "µs", lines)


def _threads(tables: Mapping[str, Table]) -> Panel | None:
    """Return the panel of threads."""
    table = tables.get("growth_threads")
    if table is None:
        return None
    libraries = {OURS: "otel_ha", SDK: "sdk", CLIENT: "client"}
    lines = [
        _line(name, table, growth_threads.column(library, growth_threads.RATE), "thread")
        for name, library in libraries.items()
    ]
    return Panel("Full events recorded in all", "writing threads", "events/s", lines)


def _services(tables: Mapping[str, Table]) -> Panel | None:
    """Return the panel of services."""
    table = tables.get("growth_services")
    if table is None:
        return None
    columns = {"the Collector": growth_services.COLLECTOR, "each service": growth_services.SERVICE}
    lines = [
        _line(name, table, column, "service", style=style)
        for (name, column), style in zip(columns.items(), ("sdk", "ours"), strict=True)
    ]
    rate = f"services ({growth_services.RATE} events/s, a push each second)"
    return Panel("CPU with one Collector", rate, "% of a core", lines)


def _line(name: str, table: Table, column: str, noun: str, prefix: str = "", style: str = "") -> Line:
    """Return the medians of a column by the number at the beginning of a row, such as "8 threads"."""
    points = []
    for row, cells in table.rows.items():
        number, _, rest = row.removeprefix(prefix).partition(" ")
        if row.startswith(prefix) and rest in {noun, f"{noun}s"} and column in cells:
            points.append((float(number.replace(",", "")), cells[column].median))
    return Line(name, style or STYLES[name], points)


if __name__ == "__main__":
    sys.stdout.write(picture(json.load(sys.stdin)))
