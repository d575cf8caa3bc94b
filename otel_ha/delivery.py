"""Delivery: the state of one reader of the metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass

from otel_ha.scrub import scrub


@dataclass
class Delivery:
    """The state of a reader: its last success (seconds since the epoch), the failures since, and the last error.

    `reader` is its name (otlp, console, prometheus, history), `target` the destination of the metrics.
    """

    reader: str
    target: str
    last_success: float | None = None
    failures: int = 0
    last_error: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.failures > 0

    def state(self) -> dict[str, object]:
        """Return the state as /healthz shows it."""
        return {
            "reader": self.reader,
            "target": self.target,
            "status": "failing" if self.failures else "ok" if self.last_success else "waiting",
            "last_success": self.last_success,
            "consecutive_failures": self.failures,
            "last_error": self.last_error or None,
        }

    def succeeded(self) -> int:
        """Note a success; return the number of failures before it."""
        before, self.failures = self.failures, 0
        self.last_success, self.last_error = time.time(), ""
        return before

    def failed(self, why: str) -> bool:
        """Note a failure, with secrets masked; return whether it is the first since the last success."""
        self.failures += 1
        self.last_error = scrub(why)
        return self.failures == 1
