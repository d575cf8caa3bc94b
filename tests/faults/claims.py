"""The claims of the README that the fault suite proves, each with the figure of a run that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.faults.outcome import CONTROL, Outcome

LIMIT = 5.0
"""Seconds that a shutdown may take by default: OTEL_HA_SHUTDOWN_TIMEOUT."""


@dataclass(frozen=True)
class Claim:
    """Words of the README, and the figure that the faults have for them."""

    words: str
    figure: Callable[[Sequence[Outcome]], str]


def counted(outcomes: Sequence[Outcome]) -> str:
    """The events that were lost, or counted twice, where the page states no reason, and the rows that state one."""
    faults = [each for each in outcomes if each.topic != CONTROL]
    exact, may = [each for each in faults if not each.loses], [each for each in faults if each.loses]
    events = sum(each.recorded for each in exact)
    lost, twice = sum(each.lost for each in exact), sum(each.duplicated for each in exact)
    did = sum(each.lost > 0 or each.duplicated > 0 for each in may)
    return (
        f"In {len(exact)} rows nothing may be lost or counted twice: of {events:,} events, {lost} are lost and {twice} "
        f"are counted twice. {len(may)} rows may lose events or count them twice (†): {did} did, and "
        "[Lost, and why](#lost-and-why) has the reasons."
    )


def ended(outcomes: Sequence[Outcome]) -> str:
    """The ends at which the last interval arrived or could not, and their delay."""
    outcomes = [each for each in outcomes if each.topic != CONTROL]
    exact, away = sum(not each.loses for each in outcomes), sum(each.away for each in outcomes)
    took = {each.fault: each.shutdown for each in outcomes if each.shutdown is not None}
    slowest = max(took, key=lambda fault: took[fault])
    within = sum(seconds <= LIMIT for seconds in took.values())
    return (
        f"It arrived in the {exact} rows without a †, which count to the end of the program. In {away} rows, and for "
        "the second service of each receiver that fails ([how](#how-it-is-measured)), the receiver stays away at the "
        "end. Then it cannot arrive: the events since the last push that arrived are lost. These are at most those of "
        "one export interval (30 s by default, 0.2 s in these rows) if the receiver goes away in the last one, and "
        f"more if it went before. {within} of {len(took)} shutdowns ended within {LIMIT:.1f} s. The slowest took "
        f"{took[slowest]:.2f} s: {slowest}."
    )


def late(outcomes: Sequence[Outcome]) -> str:
    """The delays of the event loop under faults, and without one."""
    known = {(each.topic, each.fault): each.loop_delay * 1e3 for each in outcomes if each.loop_delay is not None}
    without = [f"{delay:.0f} ms ({fault})" for (topic, fault), delay in known.items() if topic == CONTROL]
    delays = {fault: delay for (topic, fault), delay in known.items() if topic != CONTROL}
    worst = max(delays, key=lambda fault: delays[fault])
    compared = f" The same program without a fault, several at once: {', '.join(without)}." if without else ""
    return (
        "A call that raised would fail its test. The event loop was late by "
        f"{median(delays.values()):.0f} ms at most in half of the faults, and by {delays[worst]:.0f} ms at most in "
        f"all: {worst}.{compared} The load of the machine is part of each delay, "
        "and each is the longest of a run: two runs differ, so only a large difference means something."
    )


def said(outcomes: Sequence[Outcome]) -> str:
    """The most log lines of an outage."""
    return (
        f"At most {max(each.log_lines for each in outcomes)} lines in an outage: one when it starts, one when it ends."
    )


CLAIMS = (
    Claim("Every event is accounted for.", counted),
    Claim("The last interval arrives.", ended),
    Claim("Recording never raises and never blocks.", late),
    Claim("one warning says so and the service continues, and another line says when pushes arrive again", said),
)


def lines_of(outcomes: Sequence[Outcome]) -> Iterable[list[str]]:
    """The table of claims."""
    return [["The README says", "Under these faults"], *([claim.words, claim.figure(outcomes)] for claim in CLAIMS)]
