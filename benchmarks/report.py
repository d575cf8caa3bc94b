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
from benchmarks.targets import judged, pace

_OPENING = """\
# Performance

<!-- Rendered from benchmarks/results.json by `make bench` and `make docs`; every number comes from there. -->
"""

_HOW = """\
## How it is measured

    make bench                               # everything, in about a quarter of an hour; renders this page
    make bench ARGS='--quick'                # about a minute, with a wider spread; writes nothing
    make bench ARGS='--only recording'       # one part; writes nothing

A number in a table is a median, followed by the first and last decile in brackets. Trust ratios more than times: ratios
compare calls that ran in turn on the same machine, and machines differ. Peers run in their best honest form (attributes
made once, children held) and in their usual form. Processes that are compared run in turn, and connect over loopback.
"""

_QUICK = "\nThis was a quick run: few samples, wide spreads.\n"


def render(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    tables = [Table.from_json(data) for data in document["tables"]]
    parts = [_OPENING + (_QUICK if document["quick"] else "")]
    parts.append(f"{story(tables)}\n")
    parts.append(_HOW)
    parts.append("\n\n".join(filter(None, ["## Targets", pace(tables), markdown(judged(tables))])))
    parts += [f"## {table.title}\n\n{table.about}\n\n{markdown(table.cells(), numbers=True)}" for table in tables]
    known = [["", ""], *(list(pair) for pair in {**document["machine"], **document["versions"]}.items())]
    parts.append(f"## Machine and versions\n\n{markdown(known)}")
    return "\n".join(parts)


def markdown(lines: Iterable[list[str]], *, numbers: bool = False) -> str:
    """Return a table whose first line is its head; numbers stand at the right."""
    head, *rows = lines
    rule = ["-", *(["-:" if numbers else "-"] * (len(head) - 1))]
    return _row(head) + f"|{'|'.join(rule)}|\n" + "".join(map(_row, rows))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render(json.load(sys.stdin)))
