"""Time of a scrape of many histogram series, and the delay that it causes in the event loop of the service.

Run as a module, it is such a service: it prints its address, runs a timer in its event loop until its standard input
ends, and prints the times of the ticks.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections import defaultdict

from benchmarks import children, holders
from benchmarks.surroundings import Scrape, scrape
from benchmarks.tables import Table

SERIES = 2000
PERIOD = 0.001
IDLE = 1.0
SETTLED = 1.5
"""Seconds until one-off work is over, such as the first collection of the history a second after set-up."""
TIME, RENDERED, TEXT, SENT = "time of a GET, ms", "rendering alone, ms", "text, MB", "sent, MB"
IDLE_P99, P99, MOST = "p99 delay before, ms", "p99 delay during, ms", "longest delay, ms"


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    rounds, scrapes = (1, 3) if quick else (4, 25)  # enough to see an event that happens in one scrape of twenty
    found: dict[str, dict[str, list[float]]] = {title: defaultdict(list) for title in holders.LIBRARIES.values()}
    for number in range(rounds):
        children.progress(f"scrape: round {number + 1} of {rounds}")
        for library, title in holders.LIBRARIES.items():
            for column, samples in one_service(library, receiver, scrapes).items():
                found[title][column] += samples
    about = (
        f"A histogram of {SERIES:,} series, with 14 bounds and 3 attributes each, fetched over HTTP with the headers "
        f"of Prometheus 3, gzip included. During the scrape a timer should tick every {PERIOD * 1e3:g} ms in the event "
        "loop of the serving process. The delay is its lateness; at 99 % of all moments, a task that becomes ready "
        "waits no longer than the p99. The peers use prometheus_client's own server."
    )
    table = Table("scrape", "A scrape of many series", about, (TIME, RENDERED, TEXT, SENT, IDLE_P99, P99, MOST))
    for title, columns in found.items():
        for column, samples in columns.items():
            table.put(title, column, samples)
    for title in (holders.SDK, holders.CLIENT):
        pairs = zip(found[holders.OURS][TIME], found[title][TIME], strict=True)
        table.put(f"{holders.OURS} / {title}", TIME, [ours / theirs for ours, theirs in pairs])
    return [table]


def one_service(library: str, receiver: str, scrapes: int) -> dict[str, list[float]]:
    """Run one service, scrape it, and return the samples by column."""
    process = children.start("scrape", library, receiver)
    url, rendered = children.heard(process)
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
    """Return the lateness of each tick that fell into a scrape or was delayed by it."""
    pairs = itertools.pairwise(ticks)
    return [max(tick - before - PERIOD, 0.0) for before, tick in pairs if before < period.ended and tick > period.began]


def waited(delays: list[float], share: float = 0.99) -> float:
    """Return the wait that a task does not exceed at this share of all moments at which it may become ready.

    The share is one of time, not of ticks: there are few ticks while the loop is blocked, which is when tasks wait.
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
