"""Cost of telemetry in the example ingestor: on, off, and absent, in processes that take turns.

Run as a module, it is one of these processes: it prints the address to scrape, and at the end its result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from contextlib import nullcontext

from benchmarks import children, stripped
from benchmarks.surroundings import scraping
from benchmarks.tables import Table

ON, OFF, ABSENT = "on", "off", "absent"
MODES = (ON, OFF, ABSENT)
RATES = (1000, 5000)
SETTINGS = {
    ON: {"OTEL_EXPORTER_PROMETHEUS_PORT": "0", "OTEL_METRIC_EXPORT_INTERVAL": "1000"},
    OFF: {"OTEL_SDK_DISABLED": "true"},
    ABSENT: {},
}
CPU, RATE, P99 = "CPU, % of a core", "events/s processed", "p99 from intake to sink, ms"

Runs = dict[tuple[int, str], list[dict[str, float]]]


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the tables."""
    repeats, more, seconds = (1, 0, 3.0) if quick else (9, 12, 4.0)
    runs: Runs = defaultdict(list)
    for repeat in range(repeats):
        for rate in RATES:
            children.progress(f"ingestor: {rate} events/s, round {repeat + 1} of {repeats}")
            # Each mode takes its turn to be the first.
            for mode in MODES[repeat % 3 :] + MODES[: repeat % 3]:
                runs[rate, mode].append(one_run(receiver, mode, rate, seconds))
    # The difference that the target is about is smaller than the noise between two runs: it needs more of them.
    for repeat in range(more):
        children.progress(f"ingestor: {RATES[0]} events/s, on and off, round {repeat + 1} of {more}")
        for mode in (ON, OFF) if repeat % 2 else (OFF, ON):
            runs[RATES[0], mode].append(one_run(receiver, mode, RATES[0], seconds))
    return [_by_mode(runs, seconds), _differences(runs)]


def one_run(receiver: str, mode: str, rate: int, seconds: float, **settings: str) -> dict[str, float]:
    """Run the ingestor in a process of its own, and scrape it every second if telemetry is on."""
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
        f"The example ingestor without a broker, {seconds:g} s per run after two seconds of warm-up. On: default "
        "settings, history included; scraped, pushed, and asked for its health every second. Off: "
        "OTEL_SDK_DISABLED=true. Absent: the same sources with every recording statement removed at import. CPU is "
        "user and system time of the whole process."
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
        "Differences between consecutive runs. One part grows with the events; the rest is constant: scrapes, pushes, "
        "and watching the process. The two rates separate these parts. The row of telemetry's threads, which scrape "
        "and push, is the more precise one, because nearly all noise is in the thread of the event loop."
    )
    each, fixed = "µs per event", "at 0 events/s"
    columns = (*(f"{rate:,} events/s" for rate in RATES), fixed, each)
    table = Table("telemetry", "Telemetry's use of a core, in %", about, columns)
    for less, part, row in (
        (OFF, "cpu", "on less off"),
        (OFF, "elsewhere", "on less off, in telemetry's threads"),
        (ABSENT, "cpu", "on less absent"),
    ):
        by_rate = []
        for rate in RATES:
            pairs = zip(runs[rate, ON], runs[rate, less], strict=False)  # some modes have more runs
            by_rate.append([100 * (on[part] - other[part]) for on, other in pairs])
            table.put(row, f"{rate:,} events/s", by_rate[-1])
        slopes = [(high - low) / (RATES[1] - RATES[0]) for low, high in zip(*by_rate, strict=False)]
        table.put(row, fixed, [low - RATES[0] * slope for low, slope in zip(by_rate[0], slopes, strict=False)])
        table.put(row, each, [slope * 1e4 for slope in slopes])
    return table


async def _serve(mode: str, rate: float, seconds: float) -> dict[str, float]:
    """Be one of the processes."""
    if mode == ABSENT:
        stripped.strip()
    from benchmarks import load  # noqa: PLC0415 - after strip()

    if mode == ABSENT:
        children.say(None)
        return await load.run(rate, seconds)
    from otel_ha import setup_telemetry  # noqa: PLC0415 - absent means not even imported

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
