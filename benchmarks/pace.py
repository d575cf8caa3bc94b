"""The pace of the machine at this moment: run as a module, it prints the microseconds that the wrapper takes."""

from __future__ import annotations

import statistics

from benchmarks import children, ways
from benchmarks.recording import rounds

SECONDS = 0.3


def wrapper() -> float:
    """Return the microseconds of a call of the wrapper, the loop around it included, in a process of its own."""
    return float(children.run("pace"))


if __name__ == "__main__":
    known = {ways.WRAPPER: ways.limits()[ways.WRAPPER]}
    children.say(statistics.median(rounds(known, SECONDS, lambda: None)[ways.WRAPPER]))
