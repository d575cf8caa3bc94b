"""Growth by series: a scrape, a push, a collection, the history and the memory of many series.

Run as a module, it is a service with so many series: it prints its address and its memory, runs a timer in its event
loop, does what its standard input says, and prints the times of the ticks when that ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import psutil

from benchmarks import children, holders
from benchmarks.scrape import PERIOD, delays_during, waited
from benchmarks.surroundings import Scrape, scrape
from benchmarks.tables import Table
from otel_ha.export.otlp.parts import MOST_POINTS

SIZES, PEERS = (1_000, 10_000, 50_000), (1_000, 10_000)
QUICK, QUICK_PEERS = (1_000, 4_000), (1_000,)
KEPT = 2
"""Collections of the history whose memory is measured."""
AGAIN = (0.003,)
"""The value that each series records before a scrape or a collection."""
TIMEOUT = 60.0

SCRAPE, EACH, P99, LONGEST = "a scrape, ms", "per series, µs", "p99 delay during it, ms", "longest delay, ms"
PUSH, PUSH_P99, COLLECTION = "a push, ms", "p99 delay during a push, ms", "a collection, ms"
RESIDENT = "resident per series, kB"
HISTORY, HISTORY_KEPT = "the history's collection, ms", "the history, B per series and collection"
COLUMNS = (SCRAPE, EACH, P99, LONGEST, PUSH, PUSH_P99, COLLECTION, RESIDENT, HISTORY, HISTORY_KEPT)

Samples = dict[str, dict[str, list[float]]]
"""By row and column."""


def measure(receiver: str, *, quick: bool) -> Table:
    """Measure and return the table."""
    rounds, times = (1, 2) if quick else (2, 3)
    sizes, peers = (QUICK, QUICK_PEERS) if quick else (SIZES, PEERS)
    found: Samples = defaultdict(lambda: defaultdict(list))
    services = [("otel_ha", size) for size in sizes for _ in range(rounds)]
    services += [(library, size) for library in ("sdk", "client") for size in peers]
    for library, size in services:
        children.progress(f"growth: {_row(library, size)}")
        for column, samples in one_service(library, size, receiver, times).items():
            found[_row(library, size)][column] += samples
    return tabled(found, times, sizes[0], sizes[-1])


def tabled(found: Samples, times: int, least: int, most: int) -> Table:
    """Return the table with the ratio of the most series to the least, for which there were `times` scrapes a round."""
    about = (
        "Histograms with 14 bounds and 3 attributes each, in one process per number of series; rows without a name are "
        "otel-ha, history included. Each series records a value before each scrape, push and collection. A scrape "
        "is a GET with the headers of Prometheus 3, gzip included; a push goes by HTTP to a receiver that answers at "
        f"once, {MOST_POINTS:,} series in a request. Delays are those of a timer that should tick every "
        f"{PERIOD * 1e3:g} ms in the event loop of the process. Resident memory includes two scrapes and two pushes. "
        f"The history's memory is what {KEPT} further collections add to Python's objects."
    )
    table = Table("growth_series", "Growth: series", about, COLUMNS)
    for row, columns in found.items():
        for column, samples in columns.items():
            table.put(row, column, samples)
    few, many = (_medians(found[_row("otel_ha", size)][EACH], times) for size in (least, most))
    pairs = zip(many, few, strict=True)
    table.put(f"{most:,} series / {least:,} series, per series", SCRAPE, [one / other for one, other in pairs])
    return table


def one_service(library: str, size: int, receiver: str, times: int) -> dict[str, list[float]]:
    """Run one service, and return the samples by column."""
    process = children.start("growth_series", library, size, receiver)
    url, resident = _answer(process)
    scrapes = []
    for number in range(times + 1):
        _answer(process, "record")
        scrapes.append(scrape(url))
        if not number:
            scrapes.clear()  # the first one warms up
    pushes = [Scrape(*_answer(process, "push"), 0, 0) for _ in range(times * (library != "client"))]
    found = {column: [_answer(process, column) for _ in range(times)] for column in WORK if library == "otel_ha"}
    if library == "otel_ha":
        found[HISTORY_KEPT] = [_answer(process, "keep")]
    ticks: list[float] = children.finish(process)
    delays = [delay for each in scrapes for delay in delays_during(ticks, each)]
    seconds = [each.ended - each.began for each in scrapes]
    found |= {SCRAPE: [1e3 * each for each in seconds], EACH: [1e6 * each / size for each in seconds]}
    found |= {P99: [1e3 * waited(delays)], LONGEST: [1e3 * max(delays)], RESIDENT: [resident / size / 1e3]}
    if pushes:
        found[PUSH] = [1e3 * (each.ended - each.began) for each in pushes]
        found[PUSH_P99] = [1e3 * waited([delay for each in pushes for delay in delays_during(ticks, each)])]
    return found


def _row(library: str, size: int) -> str:
    return f"{size:,} series" if library == "otel_ha" else f"{holders.LIBRARIES[library]}, {size:,} series"


def _medians(samples: list[float], times: int) -> list[float]:
    """Return the median of each round."""
    return [statistics.median(samples[start : start + times]) for start in range(0, len(samples), times)]


def _answer(process: subprocess.Popen[str], command: str = "") -> Any:
    """Return the next line of a service, after a command."""
    assert process.stdin is not None
    if command:
        print(command, file=process.stdin, flush=True)
    return children.heard(process)


# ---- The service


async def _serve(library: str, size: int, receiver: str) -> list[float]:
    """Be one of the services."""
    holder = holders.holder(library, receiver)
    resident = _grown(holder, size)
    children.say([holder.serve(), resident])
    ticks: list[float] = []
    ticking = asyncio.create_task(_tick(ticks))
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        holders.fill(holder, size, AGAIN)
        await asyncio.sleep(10 * PERIOD)  # recording has held up the loop, which is not the delay of a scrape
        if command == "record":
            children.say("recorded")
        elif command == "keep":
            children.say(_kept(holder, size))
        elif command == "push":
            children.say(await asyncio.to_thread(_timed, _push_of(holder)))
        else:
            began, ended = await asyncio.to_thread(_timed, WORK[command](holder))
            children.say(1e3 * (ended - began))
    await asyncio.sleep(10 * PERIOD)  # the tick that the last scrape has delayed
    ticking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking
    return ticks


async def _tick(ticks: list[float]) -> None:
    while True:
        await asyncio.sleep(PERIOD)
        ticks.append(time.monotonic())


def _grown(holder: holders.Holder, size: int) -> int:
    """Return the resident memory that the series add to this process."""
    before = 0
    for count in (1, size):  # one series first, for everything that is made only once
        before = psutil.Process().memory_info().rss
        for _ in range(2):
            holders.fill(holder, count)
            holder.answer()
            holder.push()
        gc.collect()
    return int(psutil.Process().memory_info().rss) - before


def _push_of(holder: holders.Holder) -> Callable[[], object]:
    telemetry = holder.telemetry
    return holder.push if telemetry is None else lambda: telemetry.flush(TIMEOUT)


def _collection_of(holder: holders.Holder) -> Callable[[], object]:
    """Return a push that ends when everything is collected."""
    assert holder.telemetry is not None
    assert holder.telemetry.pipeline is not None
    holder.telemetry.pipeline.silence()
    return _push_of(holder)


def _history_of(holder: holders.Holder) -> Callable[[], object]:
    assert holder.telemetry is not None
    assert holder.telemetry.pipeline is not None
    assert holder.telemetry.pipeline.history is not None
    return holder.telemetry.pipeline.history.collect_and_store


WORK = {HISTORY: _history_of, COLLECTION: _collection_of}
"""Functions that return the work of a column."""


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    began = time.monotonic()
    work()
    return began, time.monotonic()


def _kept(holder: holders.Holder, size: int) -> float:
    """Return the memory that a collection of the history adds for each series, in bytes."""
    collect = _history_of(holder)
    collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(KEPT):
        holders.fill(holder, size, AGAIN)
        collect()
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / size / KEPT


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=holders.LIBRARIES)
    parser.add_argument("size", type=int)
    parser.add_argument("receiver")
    arguments = parser.parse_args()
    children.say(asyncio.run(_serve(arguments.library, arguments.size, arguments.receiver)))
