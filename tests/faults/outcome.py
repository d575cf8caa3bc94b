"""The outcome of a staged fault, which is a row of docs/reliability.md, and the table that checks it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

CONTROL = "Control"
"""The topic of programs without a fault, to which the others are compared."""
TOPICS = (CONTROL, "Receivers", "Servers", "Processes", "Endpoint", "Long runs")
LOG_LINES = 2
"""Log lines that one outage may cause: one when it starts, one when it ends."""
SHUTDOWN = 15.0
"""Seconds that a shutdown may take in a test: the promise is 5, and the machine is busy with other tests."""
LOOP_DELAY = 5.0
"""Seconds by which the event loop may be late: a push that blocked it would take longer, a busy machine takes less."""

PROPERTY = "fault"
GROWTH = "growth"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The events and the costs of one fault, as the program counted them and as the receiver has them at the end."""

    fault: str
    """A short phrase, such as "Collector killed with -9 and started again"."""
    topic: str
    recorded: int
    lost: int = 0
    duplicated: int = 0
    log_lines: int = 0
    """Lines of level WARNING and above for each outage."""
    shutdown: float | None = None
    """Seconds that telemetry.shutdown() took."""
    loop_delay: float | None = None
    """The longest delay of the event loop in seconds, as the program's own sampler saw it."""
    loses: str = ""
    """Why this fault loses events or counts them twice; empty if it must not."""
    away: bool = False
    """Whether the program ends while its receiver takes no push, so that the last interval cannot arrive."""
    note: str = ""
    """A remark for the table, such as the words of the log."""

    def check(self) -> None:
        """Fail if a promise is broken."""
        assert self.topic in TOPICS, f"{self.topic!r} is not a topic; choose one of {', '.join(TOPICS)}"
        assert self.recorded > 0, f"{self.fault}: the program recorded nothing"
        if not self.loses:
            assert (self.lost, self.duplicated) == (0, 0), f"{self.fault}: lost, duplicated of {self.recorded} events"
        assert self.log_lines <= LOG_LINES, f"{self.fault}: {self.log_lines} log lines"
        assert self.shutdown is None or self.shutdown < SHUTDOWN, f"{self.fault}: shutdown took {self.shutdown} s"
        assert self.loop_delay is None or self.loop_delay < LOOP_DELAY, (
            f"{self.fault}: loop late by {self.loop_delay} s"
        )

    def joined(self, other: Outcome) -> Outcome:
        """The one row of two outcomes of a fault: all of their events, and the worse figures."""
        return replace(
            self,
            recorded=self.recorded + other.recorded,
            lost=self.lost + other.lost,
            duplicated=self.duplicated + other.duplicated,
            log_lines=max(self.log_lines, other.log_lines),
            shutdown=_worse(self.shutdown, other.shutdown),
            loop_delay=_worse(self.loop_delay, other.loop_delay),
            loses=self.loses or other.loses,
            away=self.away or other.away,
            note=self.note or other.note,
        )


def _worse(*figures: float | None) -> float | None:
    return max((each for each in figures if each is not None), default=None)


class Table:
    """Checks the outcomes of one test and stores them in its report."""

    def __init__(self, test: str, store: Callable[[tuple[str, Any]], None]) -> None:
        self._test = test
        self._store = store

    def add(self, outcome: Outcome) -> None:
        """Fail if the outcome breaks a promise; otherwise it becomes a row of the page."""
        outcome.check()
        when = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "load": round(os.getloadavg()[0], 2)}
        self._store((PROPERTY, asdict(outcome) | {"test": self._test} | when))
