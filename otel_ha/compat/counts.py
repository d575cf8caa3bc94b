"""Counts by name in bounded memory: the events and errors of one PerformanceMonitor."""

from __future__ import annotations

from typing import Final

from otel_ha.compat.process_lock import ProcessLock
from otel_ha.declare.instruments import OTHER

MOST_NAMES: Final = 5_000


class Counts:
    """Counts by name, and "total"; `first` are names that are always there.

    Names beyond 5,000 are counted as "_OTHER".
    """

    def __init__(self, *first: str) -> None:
        self._counts = dict.fromkeys(("total", *first), 0)
        self._lock = ProcessLock()

    def add(self, *names: str | None) -> None:
        """Count once in total, and once for each of these names."""
        with self._lock():
            self._counts["total"] += 1
            for name in dict.fromkeys(names):
                if not name or name == "total":
                    continue
                known = name if name in self._counts or len(self._counts) < MOST_NAMES else OTHER
                self._counts[known] = self._counts.get(known, 0) + 1

    def copy(self) -> dict[str, int]:
        """Return the counts."""
        with self._lock():
            return dict(self._counts)
