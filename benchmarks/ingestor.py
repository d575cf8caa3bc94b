"""Cost of telemetry in the example ingestor: ours, two peers by hand, and none, in processes that take turns."""

from __future__ import annotations

import json
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf

import psutil

from benchmarks import children, pace
from benchmarks.by_hand.host import DEVICES
from benchmarks.service import CLIENT, MODES, NONE, OTEL, OURS
from benchmarks.surroundings import scraping
from benchmarks.tables import Spread, Table, quantile
from otel_ha.sources.devices import real_disks, real_interfaces
from otel_ha.sources.filesystems import local_mounts, space_of

RATES = (10, 200, 1000, 5000)
CPU, RATE, P99, RESIDENT = "CPU, % of a core", "events/s processed", "p99 from intake to sink, ms", "resident, MB"
COLUMNS = (CPU, RATE, P99, RESIDENT)
SHARE = {OURS: "otel-ha, % of a core", OTEL: "OpenTelemetry, % of a core", CLIENT: "prometheus_client, % of a core"}
RATIO = {OTEL: "otel-ha / OpenTelemetry", CLIENT: "otel-ha / prometheus_client"}
PACE = 0.3
SCALED = f"otel-ha where the wrapper takes {PACE} µs, % of a core"
DRAWS = 1000


@dataclass(frozen=True)
class Intervals:
    """How often a service is scraped and pushes, in seconds, and how long it is observed."""

    name: str
    scrape: float
    push: float
    window: float


SECOND = Intervals("every second", 1.0, 1.0, 4.0)
DEFAULT = Intervals("default intervals", 15.0, 30.0, 30.0)
"""The window is the longest interval, so that each run has two scrapes and one push in it, whatever their phase."""


@dataclass(frozen=True)
class Plan:
    """So many rounds at one rate, in which each of the modes has a turn."""

    intervals: Intervals
    rate: int
    rounds: int
    modes: tuple[str, ...] = MODES


QUICK = (Plan(SECOND, 1000, 1),)
WHOLE = (
    Plan(SECOND, 10, 1),
    Plan(SECOND, 200, 2),
    Plan(SECOND, 1000, 10),
    Plan(SECOND, 5000, 2),
    *(Plan(DEFAULT, rate, 1) for rate in RATES),
    Plan(DEFAULT, 200, 2, (OURS, NONE)),
)
"""18 minutes. The targets are about 1,000 events/s every second and about 200 at default intervals: these have more."""

Run = dict[str, float]
Round = dict[str, Run]
"""The run of each mode; ours has the time of the wrapper, in µs, as `wrapper`."""

Rounds = Mapping[tuple[Intervals, int], list[Round]]
"""By intervals and rate."""


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the tables."""
    rounds: dict[tuple[Intervals, int], list[Round]] = defaultdict(list)
    for plan in QUICK if quick else WHOLE:
        for number in range(plan.rounds):
            children.progress(
                f"ingestor: {plan.rate} events/s, {plan.intervals.name}, round {number + 1} of {plan.rounds}"
            )
            rounds[plan.intervals, plan.rate].append(one_round(receiver, plan, number))
    return tables(rounds)


def tables(rounds: Rounds) -> list[Table]:
    """Return the tables of the intervals that were run, and that of the differences."""
    by_mode = [_by_mode("ingestor_second", SECOND, rounds), _by_mode("ingestor_default", DEFAULT, rounds)]
    return [*(table for table in by_mode if table.rows), _differences(rounds)]


def one_round(receiver: str, plan: Plan, number: int) -> Round:
    """Run each mode once, each round from another one on, and time the wrapper just before ours."""
    turn = number % len(plan.modes)
    found = {}
    for mode in plan.modes[turn:] + plan.modes[:turn]:
        wrapper = {"wrapper": pace.wrapper()} if mode == OURS else {}
        found[mode] = one_run(receiver, mode, plan.rate, plan.intervals) | wrapper
    return found


def one_run(receiver: str, mode: str, rate: int, intervals: Intervals, **settings: str) -> Run:
    """Run the ingestor in a process of its own, and scrape it if there is telemetry."""
    process = children.start("service", mode, rate, intervals.window, **settings_of(receiver, intervals) | settings)
    url = children.heard(process)
    with scraping(url, intervals.scrape) if url else nullcontext() as scrapes:
        found: Run = children.finish(process)
    if scrapes is not None and len(scrapes) < intervals.window / intervals.scrape:
        raise RuntimeError(f"{mode}: {len(scrapes)} scrapes in {intervals.window:g} s are too few")
    return found


def settings_of(receiver: str, intervals: Intervals) -> dict[str, str]:
    """Return the variables for a service: where and how often it pushes, and the devices that a peer reads."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
        "OTEL_METRIC_EXPORT_INTERVAL": f"{intervals.push * 1e3:.0f}",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        DEVICES: json.dumps(devices()),
    }


def devices() -> dict[str, Sequence[object]]:
    """Return the disks, interfaces and file systems that otel-ha reads, so that the peers read the same ones."""
    spaces = [space for space in map(space_of, local_mounts()) if space is not None]
    return {
        "disks": sorted(real_disks((psutil.disk_io_counters(perdisk=True) or {}).keys())),
        "interfaces": sorted(real_interfaces(psutil.net_io_counters(pernic=True).keys())),
        "filesystems": [(space.mount.device, space.mountpoint, space.mount.type) for space in spaces],
    }


def _by_mode(key: str, intervals: Intervals, rounds: Rounds) -> Table:
    about = (
        f"The example ingestor without a broker, {intervals.window:g} s per run after a warm-up, in "
        f"which it is scraped and pushes once. It is scraped every {intervals.scrape:g} s, and pushes every "
        f"{intervals.push:g} s, with default settings otherwise. By hand, the same sources have an engineer's "
        "statements in place of ours, for the same metrics with the same attributes, and read the host and the process "
        "by psutil at each scrape and push. prometheus_client pushes nothing. Only otel-ha has a history, limits of "
        "attribute values, accounts that add up, and pages about its health. Without telemetry, every statement that "
        "records is removed. CPU is user and system time of the whole process; if fewer events are processed than "
        "arrive, the machine was too busy for a comparison."
    )
    table = Table(key, f"The ingestor, {_scraped(intervals)}", about, COLUMNS)
    for rate in RATES:
        for mode in MODES:
            if found := [each[mode] for each in rounds.get((intervals, rate), ()) if mode in each]:
                row = f"{rate:,} events/s, {mode}"
                table.put(row, CPU, [100 * run["cpu"] for run in found])
                table.put(row, RATE, [run["rate"] for run in found])
                table.put(row, P99, [1e3 * run["p99"] for run in found])
                table.put(row, RESIDENT, [run["resident"] / 1e6 for run in found])
    return table


def _scraped(intervals: Intervals) -> str:
    if intervals.scrape == intervals.push:
        return "scraped and pushed every second"
    return f"scraped every {intervals.scrape:g} s and pushed every {intervals.push:g} s"


def _differences(rounds: Rounds) -> Table:
    about = (
        "The CPU of a run less that of the run without telemetry in the same round. A ratio is that of the medians of "
        "these differences over all rounds, as the noise of a single round may be larger than a difference; in "
        f"brackets are the first and last decile of the same ratio in {DRAWS:,} random draws of as many rounds. A "
        "difference that is not above 0 counts as 0, so a ratio to it is ∞; if neither is above 0, there is no ratio. "
        f"The last column is for a machine on which the wrapper takes {PACE} µs: each difference is scaled by the "
        "wrapper's time just before the run."
    )
    columns = (*SHARE.values(), *RATIO.values(), SCALED)
    table = Table("telemetry", "The telemetry's use of a core", about, columns)
    for (intervals, rate), found in sorted(
        rounds.items(), key=lambda item: (item[0][0].name != SECOND.name, item[0][1])
    ):
        row = f"{rate:,} events/s, {intervals.name}"
        for mode, column in SHARE.items():
            if shares := _shares(found, mode):
                table.put(row, column, shares)
        table.put(row, SCALED, [_share(each, OURS) * PACE / each[OURS]["wrapper"] for each in found])
        for peer, column in RATIO.items():
            both = [(_share(each, OURS), _share(each, peer)) for each in found if peer in each]
            if (ratio := ratio_of_medians(both)) is not None:
                table.rows[row][column] = ratio
    return table


def _shares(rounds: Iterable[Round], mode: str) -> list[float]:
    return [_share(each, mode) for each in rounds if mode in each]


def _share(runs: Round, mode: str) -> float:
    return 100 * (runs[mode]["cpu"] - runs[NONE]["cpu"])


def ratio_of_medians(pairs: Sequence[tuple[float, float]], draws: int = DRAWS) -> Spread | None:
    """Return the ratio of the medians of pairs, with the deciles of the same ratio in random draws of the pairs.

    A median below 0 counts as 0: it is lost in the noise. If both are, a ratio would be meaningless, and is None.
    """
    chance = random.Random(1)  # the same pairs have the same spread
    found = _ratio(pairs)
    drawn = [ratio for _ in range(draws) if (ratio := _ratio(chance.choices(pairs, k=len(pairs)))) is not None]
    return None if found is None else Spread(found, quantile(drawn, 0.1), quantile(drawn, 0.9), len(pairs))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float | None:
    of, to = (max(statistics.median(side), 0.0) for side in zip(*pairs, strict=True))
    if to > 0:
        return of / to
    return inf if of > 0 else None
