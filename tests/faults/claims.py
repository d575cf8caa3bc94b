"""The claims of the README that the fault suite proves, each with the figure of a run that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.faults.outcome import Outcome

LIMIT = 5.0
"""Seconds that a shutdown may take by default: OTEL_HA_SHUTDOWN_TIMEOUT."""


@dataclass(frozen=True)
class Claim:
    """Words of the README, and the figure that the faults have for them."""

    words: str
    figure: Callable[[Sequence[Outcome]], str]


def counted(outcomes: Sequence[Outcome]) -> str:
    """The events that were lost, or counted twice, without a reason that the page states."""
    exact = [each for each in outcomes if not each.loses]
    events = sum(each.recorded for each in exact)
    lost, twice = sum(each.lost for each in exact), sum(each.duplicated for each in exact)
    return (
        f"{len(exact)} of {len(outcomes)} faults cost no count: of {events:,} events, {lost} are lost and {twice} are "
        f"counted twice. The other {len(outcomes) - len(exact)} are under [Lost, and why](#lost-and-why)."
    )


def ended(outcomes: Sequence[Outcome]) -> str:
    """The shutdowns that kept the time limit, and the slowest."""
    took = {each.fault: each.shutdown for each in outcomes if each.shutdown is not None}
    slowest = max(took, key=lambda fault: took[fault])
    within = sum(seconds <= LIMIT for seconds in took.values())
    kept = f"{within} of {len(took)} shutdowns ended within {LIMIT:.0f} s."
    return f"{kept} The slowest took {took[slowest]:.1f} s: {slowest}."


def late(outcomes: Sequence[Outcome]) -> str:
    """The longest delay of an event loop."""
    worst = max(outcomes, key=lambda each: each.loop_delay or 0.0)
    delays = sorted(each.loop_delay * 1e3 for each in outcomes if each.loop_delay is not None)
    return (
        "A call that raised would fail its test. In half of the faults, the event loop was late by "
        f"{delays[len(delays) // 2]:.0f} ms at most. The longest delay was {delays[-1]:.0f} ms: {worst.fault}."
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
    Claim("one warning says so and the service continues", said),
)


def lines_of(outcomes: Sequence[Outcome]) -> Iterable[list[str]]:
    """The table of claims."""
    return [["The README says", "Under these faults"], *([claim.words, claim.figure(outcomes)] for claim in CLAIMS)]
