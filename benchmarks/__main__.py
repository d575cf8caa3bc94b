"""Run the benchmarks: `python -m benchmarks [--quick] [--only NAME] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import (
    growth,
    history,
    ingestor,
    instrumented,
    memory,
    new_sets,
    recording,
    scrape,
    startup,
    surroundings,
)
from benchmarks.children import progress
from benchmarks.machine import machine, versions
from benchmarks.tables import Table
from benchmarks.targets import NOT_MEASURED, judged

PARTS = {
    "recording": recording.measure,
    "new_sets": new_sets.measure,
    "ingestor": ingestor.measure,
    "growth": growth.measure,
    "instrumented": instrumented.measure,
    "scrape": scrape.measure,
    "memory": memory.measure,
    "history": history.measure,
    "startup": startup.measure,
}
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Measure, print the tables, and write them as JSON."""
    arguments = _arguments()
    known = machine()
    tables: list[Table] = []
    began = time.monotonic()
    with surroundings.receiver() as receiver:
        for name in [arguments.only] if arguments.only else PARTS:
            started = time.monotonic()
            progress(f"{name}, after {started - began:.0f} s")
            tables += PARTS[name](receiver, quick=arguments.quick)
            progress(f"{name} took {time.monotonic() - started:.0f} s")
    progress(f"done, after {time.monotonic() - began:.0f} s")
    print("\n\n".join(_printed(table) for table in tables))
    # A single part has nothing to say about the targets of others.
    targets = [cells for cells in judged(tables) if not arguments.only or cells[-1] != NOT_MEASURED]
    if len(targets) > 1:
        print(f"\n{_aligned('Targets', targets)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(known, tables, quick=arguments.quick), indent=1) + "\n")
        progress(f"written to {arguments.json}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure otel-ha and its peers.")
    parser.add_argument("--quick", action="store_true", help="about two minutes, with a wider spread")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--json", type=Path, help="file to write; a whole run writes results.json")
    arguments = parser.parse_args()
    if arguments.json is None and not arguments.quick and not arguments.only:
        arguments.json = RESULTS
    return arguments


def _document(known: dict[str, str], tables: list[Table], *, quick: bool) -> dict[str, Any]:
    return {
        "quick": quick,
        "machine": known,
        "versions": versions(),
        "tables": [table.to_json() for table in tables],
    }


def _printed(table: Table) -> str:
    return _aligned(f"{table.title}\n\n{_wrapped(table.about)}", table.cells())


def _wrapped(text: str, width: int = 120) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _aligned(title: str, lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = []
    for first, *others in lines:
        cells = (text.rjust(width) for text, width in zip(others, widths[1:], strict=True))
        rows.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join([title, "", *rows])


if __name__ == "__main__":
    sys.exit(main())
