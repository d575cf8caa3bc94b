"""The page about performance, rendered from the results of a run of the benchmarks.

`python -m benchmarks.report < benchmarks/results.json > docs/performance.md`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.story import story
from benchmarks.tables import Table
from benchmarks.targets import PACE, judged

_OPENING = """\
# Performance

<!-- Rendered from benchmarks/results.json by `make bench` and `make docs`; every number comes from there. -->
"""

_HOW = """\
## How it is measured

    make bench                               # everything, in about half an hour; renders this page
    make bench ARGS='--quick'                # about two minutes, with a wider spread; writes nothing
    make bench ARGS='--only recording'       # one part; writes nothing

A number in a table is a median, followed by the first and last decile in brackets. Ratios compare calls that ran in
turn on the same machine. Peers run in their best honest form (attributes made once, children held) and in their usual
form. Their scrapes leave out what ours has not: the scope of each series and the time of its creation. Processes that
are compared run in turn, and connect over loopback.
"""
_RELATIVE = f"""\
## Targets

Limits without a unit are ratios. Those of what is inert are 0.1 µs on a machine whose wrapper takes {PACE.most}.
"""
_ABSOLUTE = """\
## Absolute figures

Times, shares of a core and memory of one machine: {cpu}, {cores} cores, with a load average of {load} before the run.\
{wrapper} Elsewhere, times and shares of a core grow about as the time of a wrapper does, which \
`make bench ARGS='--quick --only recording'` tells; memory hardly changes.
"""
_WRAPPER = " A wrapper took {took} µs, the loop around it included."
_GROWTH = """\
### Growth

![A scrape by the number of series, events by writing threads, and a Collector by services](images/growth.svg)
"""
_QUICK = "\nThis was a quick run: few samples, wide spreads.\n"


def render(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown: wrappers and ratios first, then all absolute figures in one section."""
    tables = [Table.from_json(data) for data in document["tables"]]
    parts = [_OPENING + (_QUICK if document["quick"] else ""), f"{story(tables)}\n", _HOW]
    parts.append(f"{_RELATIVE}\n{markdown(judged(tables, absolute=False))}")
    compared = [table.part(absolute=False) for table in tables]
    parts += [_section("##", table, table.about) for table in compared if table.rows]
    parts.append(_absolute(document["machine"], tables))
    if any(table.key == "growth_series" for table in tables):
        parts.append(_GROWTH)
    parts.append(f"### Targets in milliseconds\n\n{markdown(judged(tables, absolute=True))}")
    above = {table.key for table in compared if table.rows}
    for table in (table.part(absolute=True) for table in tables):
        if table.rows:
            about = "As described above." if table.key in above else table.about
            parts.append(_section("###", table, about))
    known = [["", ""], *(list(pair) for pair in {**document["machine"], **document["versions"]}.items())]
    parts.append(f"### Machine and versions\n\n{markdown(known)}")
    return "\n".join(parts)


def _section(level: str, table: Table, about: str) -> str:
    return f"{level} {table.title}\n\n{about}\n\n{markdown(table.cells(), numbers=True)}"


def _absolute(machine: Mapping[str, str], tables: Iterable[Table]) -> str:
    took = PACE.cell({table.key: table for table in tables})
    wrapper = "" if took is None else _WRAPPER.format(took=took)
    load = machine["Load average before"]
    return _ABSOLUTE.format(wrapper=wrapper, cpu=machine["CPU"], cores=machine["Cores"], load=load)


def markdown(lines: Iterable[list[str]], *, numbers: bool = False) -> str:
    """Return a table whose first line is its head; numbers stand at the right."""
    head, *rows = lines
    rule = ["-", *(["-:" if numbers else "-"] * (len(head) - 1))]
    return _row(head) + f"|{'|'.join(rule)}|\n" + "".join(map(_row, rows))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render(json.load(sys.stdin)))
