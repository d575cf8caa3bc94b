"""Limits in panels: the thresholds of the alerts as numbers, so that a line shows where an alert begins."""

from __future__ import annotations

import re
from typing import Final

from otel_ha.render.alerts.thresholds import THRESHOLDS

__all__ = ["limit"]

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def limit(name: str) -> float:
    """Return the value of a threshold; a duration in seconds."""
    (threshold,) = (each for each in THRESHOLDS if each.name == name)
    if threshold.kind != "duration":
        return float(threshold.value)
    return sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhd])", threshold.value))
