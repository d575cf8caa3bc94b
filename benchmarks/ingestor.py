"""What telemetry costs the example ingestor: on, switched off, and not there at all, in processes that take turns.

Run as a module, it is one such process: it prints where to scrape it, then what it found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from contextlib import nullcontext

from benchmarks import children, stripped
from benchmarks.figures import Table
from benchmarks.surroundings import scraping

ON, OFF, ABSENT = "on", "off", "absent"
MODES = (ON, OFF, ABSENT)
RATES = (1000, 5000)
SETTINGS = {
    ON: {"OTEL_EXPORTER_PROMETHEUS_PORT": "0", "OTEL_METRIC_EXPORT_INTERVAL": "1000"},
    OFF: {"OTEL_SDK_DISABLED": "true"},
    ABSENT: {},
}
CPU, RATE, P99 = "CPU, % of a core", "events/s worked off", "p99 from intake to sink, ms"

Runs = dict[tuple[int, str], list[dict[str, float]]]


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Return the tables."""
    repeats, more, seconds = (1, 0, 3.0) if quick else (9, 12, 4.0)
    runs: Runs = defaultdict(list)
    for repeat in range(repeats):
        for rate in RATES:
            children.progress(f"ingestor: {rate} events/s, round {repeat + 1} of {repeats}")
            # Each of them is the first in turn.
            for mode in MODES[repeat % 3 :] + MODES[: repeat % 3]:
                runs[rate, mode].append(one_run(receiver, mode, rate, seconds))
    # What the target is about differs by less than two runs of the same do: it takes more of them.
    for repeat in range(more):
        children.progress(f"ingestor: {RATES[0]} events/s, on and off, round {repeat + 1} of {more}")
        for mode in (ON, OFF) if repeat % 2 else (OFF, ON):
            runs[RATES[0], mode].append(one_run(receiver, mode, RATES[0], seconds))
    return [_by_mode(runs, seconds), _differences(runs)]


def one_run(receiver: str, mode: str, rate: int, seconds: float, **settings: str) -> dict[str, float]:
    """Run the ingestor in a process of its own, scraped every second if it can be."""
    environ = SETTINGS[mode] | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver} | settings
    process = children.start("ingestor", mode, rate, seconds, **environ)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())
    with scraping(url, health=url.replace("/metrics", "/healthz")) if url else nullcontext() as scrapes:
        found: dict[str, float] = children.finish(process)
    if scrapes is not None and len(scrapes) < seconds / 2:
        raise RuntimeError(f"{len(scrapes)} scrapes in {seconds:g} s: telemetry was hardly on")
    return found


def _by_mode(runs: Runs, seconds: float) -> Table:
    about = (
        f"The example ingestor without a broker, {seconds:g} s a run after two seconds of warming up. On: the default "
        "settings, the history among them, scraped and asked for its health every second, and pushed every second. "
        "Off: OTEL_SDK_DISABLED=true. Absent: the same sources with all that records taken out when they are imported. "
        "CPU is user and system time of the whole process."
    )
    table = Table("ingestor", "The ingestor with telemetry on, off and absent", about, (CPU, RATE, P99))
    for (rate, mode), found in sorted(runs.items(), key=lambda item: (item[0][0], MODES.index(item[0][1]))):
        row = f"{rate:,} events/s, {mode}"
        table.put(row, CPU, [100 * run["cpu"] for run in found])
        table.put(row, RATE, [run["rate"] for run in found])
        table.put(row, P99, [1e3 * run["p99"] for run in found])
    return table


def _differences(runs: Runs) -> Table:
    about = (
        "Differences of runs that followed one another. A part of it goes with the events and the rest with time: "
        "scrapes, pushes and what watches the process. The two rates tell them apart. What is used in threads of "
        "telemetry's own, for scrapes and pushes, is known the better, as the event loop's thread has nearly all that "
        "varies."
    )
    each, fixed = "µs an event", "for 0 events/s"
    columns = (*(f"{rate:,} events/s" for rate in RATES), fixed, each)
    table = Table("telemetry", "What telemetry takes of a core, in %", about, columns)
    for less, what, row in (
        (OFF, "cpu", "on less off"),
        (OFF, "elsewhere", "on less off, beside the event loop"),
        (ABSENT, "cpu", "on less absent"),
    ):
        by_rate = []
        for rate in RATES:
            pairs = zip(runs[rate, ON], runs[rate, less], strict=False)  # there are more of some than of others
            by_rate.append([100 * (on[what] - other[what]) for on, other in pairs])
            table.put(row, f"{rate:,} events/s", by_rate[-1])
        slopes = [(high - low) / (RATES[1] - RATES[0]) for low, high in zip(*by_rate, strict=False)]
        table.put(row, fixed, [low - RATES[0] * slope for low, slope in zip(by_rate[0], slopes, strict=False)])
        table.put(row, each, [slope * 1e4 for slope in slopes])
    return table


async def _serve(mode: str, rate: float, seconds: float) -> dict[str, float]:
    """Be one of the processes."""
    if mode == ABSENT:
        stripped.strip()
    from benchmarks import load  # noqa: PLC0415 - stripped, perhaps

    if mode == ABSENT:
        children.say(None)
        return await load.run(rate, seconds)
    from otel_ha import setup_telemetry  # noqa: PLC0415 - not even its import where it is absent

    async with setup_telemetry("ha-ingestor") as telemetry:
        children.say(telemetry.metrics_url)
        return await load.run(rate, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("rate", type=int)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    children.say(asyncio.run(_serve(arguments.mode, arguments.rate, arguments.seconds)))
