"""What a scrape of many histogram series takes, and how long it holds up the event loop of the service.

Run as a module, it is one such service: it prints its address, lets a timer tick in its event loop until its standard
input ends, and prints when the timer ticked.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import defaultdict

from benchmarks import children, holders
from benchmarks.figures import Table
from benchmarks.surroundings import Scrape, scrape

SERIES = 2000
PERIOD = 0.001
IDLE = 1.0
SETTLED = 1.5
"""Seconds after which what is done once is over: the first collection of a history, a second after set-up."""
TIME, RENDERED, TEXT, SENT = "time of a GET, ms", "rendered alone, ms", "text, MB", "sent, MB"
IDLE_P99, P99, MOST = "p99 delay without, ms", "p99 delay meanwhile, ms", "longest delay, ms"


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Return the table."""
    rounds, scrapes = (1, 3) if quick else (4, 25)  # what happens in one scrape of twenty is to be seen
    found: dict[str, dict[str, list[float]]] = {title: defaultdict(list) for title in holders.LIBRARIES.values()}
    for number in range(rounds):
        children.progress(f"scrape: round {number + 1} of {rounds}")
        for library, title in holders.LIBRARIES.items():
            for column, figures in one_service(library, receiver, scrapes).items():
                found[title][column] += figures
    about = (
        f"A histogram of {SERIES:,} series, 14 bounds and 3 attributes each, fetched over HTTP with the headers of "
        f"Prometheus 3, gzip among them. Meanwhile a timer is to tick every {PERIOD * 1e3:g} ms in the event loop of "
        "the process that serves; its delay is how late it does, and its p99 what 99 % of the "
        "moments have to wait at the most. The exporters serve by prometheus_client's own server."
    )
    table = Table("scrape", "A scrape of many series", about, (TIME, RENDERED, TEXT, SENT, IDLE_P99, P99, MOST))
    for title, columns in found.items():
        for column, figures in columns.items():
            table.put(title, column, figures)
    for title in (holders.SDK, holders.CLIENT):
        pairs = zip(found[holders.OURS][TIME], found[title][TIME], strict=True)
        table.put(f"{holders.OURS} / {title}", TIME, [ours / theirs for ours, theirs in pairs])
    return [table]


def one_service(library: str, receiver: str, scrapes: int) -> dict[str, list[float]]:
    """Run one service, scrape it, and return the figures by column."""
    process = children.start("scrape", library, receiver)
    assert process.stdout is not None
    url, rendered = json.loads(process.stdout.readline())
    scrape(url)  # warms up
    time.sleep(SETTLED)
    idle = Scrape(time.monotonic(), time.monotonic() + IDLE, 0, 0)
    time.sleep(IDLE)
    done = []
    for _ in range(scrapes):
        done.append(scrape(url))
        time.sleep(0.1)
    ticks: list[float] = children.finish(process)
    delays = [delay for each in done for delay in delays_during(ticks, each)]
    return {
        TIME: [1e3 * (each.ended - each.began) for each in done],
        RENDERED: [1e3 * seconds for seconds in rendered],
        TEXT: [each.text / 1e6 for each in done],
        SENT: [each.sent / 1e6 for each in done],
        IDLE_P99: [1e3 * waited(delays_during(ticks, idle))],
        P99: [1e3 * waited(delays)],
        MOST: [1e3 * max(delays)],
    }


def delays_during(ticks: list[float], period: Scrape) -> list[float]:
    """Return how late each tick was that fell into a scrape, or was held up by it."""
    pairs = itertools.pairwise(ticks)
    return [max(tick - before - PERIOD, 0.0) for before, tick in pairs if before < period.ended and tick > period.began]


def waited(delays: list[float], share: float = 0.99) -> float:
    """Return how long this share of what becomes ready at any moment waits at the most.

    Over time, not over ticks: while the loop is held up there are few ticks, and it is then that most is kept waiting.
    """
    late = (1 - share) * sum(delay + PERIOD for delay in delays)
    low, high = 0.0, max(delays)
    for _ in range(40):
        middle = (low + high) / 2
        fits = sum(max(delay - middle, 0.0) for delay in delays) <= late
        low, high = (low, middle) if fits else (middle, high)
    return high


async def _serve(library: str, receiver: str) -> list[float]:
    """Be one of the services."""
    holder = holders.holder(library, receiver)
    holders.fill(holder, SERIES)
    rendered = []
    for _ in range(4):
        began = time.perf_counter()
        holder.render()
        rendered.append(time.perf_counter() - began)
    children.say([holder.serve(), rendered[1:]])
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    ticks = []
    while not ended.done():
        await asyncio.sleep(PERIOD)
        ticks.append(time.monotonic())
    return ticks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=holders.LIBRARIES)
    parser.add_argument("receiver")
    arguments = parser.parse_args()
    children.say(asyncio.run(_serve(arguments.library, arguments.receiver)))
