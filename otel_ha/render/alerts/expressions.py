"""Expressions that several alerts share."""

from __future__ import annotations

from typing import Final

from otel_ha.render.promql import Selection
from otel_ha.vocabulary import ingest, runtime

__all__ = ["ALIVE", "SLOW", "UPTIME", "WINDOW", "grown", "server_grown", "services"]

WINDOW: Final = Selection("<window>")
SLOW: Final = Selection("<slow_window>")
UPTIME: Final = runtime.PROCESS_UPTIME.prometheus_name
ALIVE: Final = f"{UPTIME}|{ingest.RECEIVED.prometheus_name}"
"""A pattern of metrics of which a running service has at least one. target_info is not on every way in."""


def grown(series: str) -> str:
    """Return the growth of a counter within the window, from 0 if it is new.

    A counter appears with its first measurement, and increase() does not see that one. A series is new if its process
    was known before, or has just started: after an outage of Prometheus, all series seem to be.
    """
    return _grown(series, f"({UPTIME} offset <window> or {UPTIME} < <window>)")


def server_grown(series: str) -> str:
    """Return the growth of a server's counter within the window, from 0 if it is new."""
    return _grown(series, "up offset <window>")


def _grown(series: str, known: str) -> str:
    new = f"{series} unless {series} offset <window> and on (job, instance, via) {known}"
    return f"({new} or increase({series}[<window>]))"


def services(window: str, *matchers: str, by: str = "job") -> str:
    """Return a series for each service (and way in) whose metrics arrived within a window."""
    every = ", ".join((f'__name__=~"{ALIVE}"', *matchers))
    return f"group by ({by}) (last_over_time({{{every}}}[{window}]))"
