"""Limits in panels: the thresholds of the alerts as numbers, so that a line shows where an alert begins."""

from __future__ import annotations

from otel_ha.render.alerts.thresholds import THRESHOLDS

__all__ = ["limit"]


def limit(name: str) -> float:
    """Return the value of a threshold; a duration in seconds."""
    (threshold,) = (each for each in THRESHOLDS if each.name == name)
    return threshold.number
