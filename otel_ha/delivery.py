"""Delivery: how one way out of telemetry fares."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Delivery:
    """How one reader fares: when it last succeeded (seconds since the epoch), how often it failed since, and why.

    `reader` is what it is called (otlp, console, prometheus, history), `target` where it brings the metrics to.
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
        """Return it as what /healthz shows."""
        return {
            "reader": self.reader,
            "target": self.target,
            "status": "failing" if self.failures else "ok" if self.last_success else "waiting",
            "last_success": self.last_success,
            "consecutive_failures": self.failures,
            "last_error": self.last_error or None,
        }

    def succeeded(self) -> int:
        """Note a success; return how many failures came before it."""
        before, self.failures = self.failures, 0
        self.last_success, self.last_error = time.time(), ""
        return before

    def failed(self, why: str) -> bool:
        """Note a failure; return whether it is the first one of its row."""
        self.failures += 1
        self.last_error = why
        return self.failures == 1
