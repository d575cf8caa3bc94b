"""Memory of series. Run as a module, it fills one histogram and prints the bytes that this added."""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections import defaultdict

import psutil

from benchmarks import children, holders
from benchmarks.tables import Table, ratios

SERIES = 1000
TRACED, RESIDENT = "objects, kB", "resident, kB"
LIBRARIES = holders.LIBRARIES | holders.WITHOUT_HISTORY
MODES = {"traced": TRACED, "resident": RESIDENT}


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    rounds = 1 if quick else 4
    about = (
        f"Memory that {SERIES:,} series of a histogram with 14 bounds and 3 attributes add to a fresh process, after "
        "two scrapes with the headers of Prometheus and, except with prometheus_client, two pushes. Objects are "
        "Python's objects as tracemalloc counts them; resident is the resident set of another process. otel-ha also "
        "keeps a history; the rows without it compare like with like."
    )
    table = Table("memory", "Memory", about, tuple(MODES.values()))
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        children.progress(f"memory: round {number + 1} of {rounds}")
        for library, title in LIBRARIES.items():
            for mode, column in MODES.items():
                found[title][column].append(children.run("memory", library, mode, receiver) / 1e3)
    for title, columns in found.items():
        for column, samples in columns.items():
            table.put(title, column, samples)
    for ours in (holders.OURS, *holders.WITHOUT_HISTORY.values()):
        for title in (holders.SDK, holders.CLIENT):
            for column in table.columns:
                table.put(f"{ours} / {title}", column, ratios(found[ours][column], found[title][column]))
    return [table]


def grown(library: str, mode: str, receiver: str) -> int:
    """Return the bytes that the series add to this process."""
    holder = holders.holder(library, receiver)
    # One series first, for everything that is made only once.
    holders.fill(holder, 1)
    _collect(holder)
    if mode == "traced":
        tracemalloc.start()
    before = _size(mode)
    holders.fill(holder, SERIES)
    _collect(holder)
    return _size(mode) - before


def _collect(holder: holders.Holder) -> None:
    for _ in range(2):
        holder.answer()
        holder.push()
    gc.collect()


def _size(mode: str) -> int:
    return tracemalloc.get_traced_memory()[0] if mode == "traced" else int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("receiver")
    arguments = parser.parse_args()
    children.say(grown(arguments.library, arguments.mode, arguments.receiver))
