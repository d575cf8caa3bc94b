"""The page about performance, rendered from what a run of the benchmarks wrote.

`python -m benchmarks.report < benchmarks/results.json > docs/performance.md`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.figures import Table
from benchmarks.targets import judged, pace

_OPENING = """\
# Performance

<!-- Rendered from benchmarks/results.json by `make bench` and `make docs`; no figure here is typed in by hand. -->

otel-ha beside its peers, all in one run on one machine. A figure is the median, and in brackets the values below which
10 % and 90 % of the samples lie. Trust ratios rather than times: they were taken between what ran in turn, and machines
differ.

## How to reproduce it

    make bench                               # measures all of it in about a quarter of an hour and renders this page
    make bench ARGS='--quick'                # about a minute, with a wider spread; nothing is written
    make bench ARGS='--only recording'       # one part; nothing is written

The peers are given their best honest form (attributes made once, children held) and the usual one. Processes that are
compared run in turn; everything talks over the loopback interface.
"""

_QUICK = "\nThis run was a quick one: few samples, wide spreads.\n"


def render(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    tables = [Table.from_json(data) for data in document["tables"]]
    parts = [_OPENING + (_QUICK if document["quick"] else "")]
    parts.append("\n\n".join(filter(None, ["## Targets", pace(tables), _markdown(judged(tables))])))
    parts += [f"## {table.title}\n\n{table.about}\n\n{_markdown(table.cells(), numbers=True)}" for table in tables]
    known = [["", ""], *(list(pair) for pair in {**document["machine"], **document["versions"]}.items())]
    parts.append(f"## Machine and versions\n\n{_markdown(known)}")
    return "\n".join(parts)


def _markdown(lines: Iterable[list[str]], *, numbers: bool = False) -> str:
    head, *rows = lines
    rule = ["-", *(["-:" if numbers else "-"] * (len(head) - 1))]
    return _row(head) + f"|{'|'.join(rule)}|\n" + "".join(map(_row, rows))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render(json.load(sys.stdin)))
