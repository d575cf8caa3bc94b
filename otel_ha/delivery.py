"""Delivery: the state of one reader of the metrics, or of one exporter of traces or logs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from otel_ha.scrub import scrub

OVERDUE = 3
"""Intervals without a success after which a reader is overdue."""


@dataclass
class Delivery:
    """The state of a reader: its last success (seconds since the epoch), the failures since, and the last error.

    `reader` is its name (otlp, otlp traces, console, prometheus, history), `target` the destination. `interval` is the
    time in seconds from one delivery to the next, if it is known. `rejected` is the number of data points, spans or
    log records of the last delivery that the target did not store. `dropped` is the number of spans or log records that
    never arrived: the queue was full, which `is_full` says of the time since the last push, or the target refused them.
    """

    reader: str
    target: str
    interval: float | None = None
    last_success: float | None = None
    failures: int = 0
    last_error: str = ""
    rejected: int = 0
    dropped: int = 0
    is_full: bool = False
    _since: float = field(default_factory=time.monotonic, repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether the last attempt succeeded, with every data point."""
        return not self.failures and not self.rejected

    @property
    def problem(self) -> str:
        """The reason why this reader needs attention; empty if it does not."""
        if self.failures:
            return f"{self.last_error} ({self.failures} in a row)"
        if self.rejected:
            return self.last_error
        if self.is_full:
            return f"the queue is full: {self.dropped} dropped until now"
        age = time.monotonic() - self._since
        if self._is_overdue(age):
            return f"no success for {age:.0f} s, with one due every {self.interval:g} s"
        return ""

    def state(self) -> dict[str, object]:
        """Return the state as /healthz shows it."""
        return {
            "reader": self.reader,
            "target": self.target,
            "status": self._status(),
            "last_success": self.last_success,
            "consecutive_failures": self.failures,
            "rejected_points": self.rejected,
            "dropped": self.dropped,
            "last_error": self.last_error or None,
        }

    def succeeded(self, rejected: int = 0, why: str = "") -> int:
        """Note a success, perhaps without some `rejected` data points; return the number of failures before it."""
        before, self.failures = self.failures, 0
        self.rejected, self.last_error = rejected, why
        self.last_success, self._since = time.time(), time.monotonic()
        return before

    def had_nothing(self) -> None:
        """Note that there was nothing to deliver, so nothing is overdue."""
        self._since = time.monotonic()

    def failed(self, why: str) -> bool:
        """Note a failure, with secrets masked; return whether it is the first since the last success."""
        self.failures += 1
        self.last_error = scrub(why)
        return self.failures == 1

    def _status(self) -> str:
        if self.failures:
            return "failing"
        if self.rejected:
            return "rejecting"
        if self.is_full:
            return "dropping"
        if self._is_overdue(time.monotonic() - self._since):
            return "overdue"
        return "ok" if self.last_success else "waiting"

    def _is_overdue(self, age: float) -> bool:
        return self.interval is not None and age > OVERDUE * self.interval
