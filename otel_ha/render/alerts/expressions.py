"""Expressions that several alerts share."""

from __future__ import annotations

from typing import Final

from otel_ha.render.promql import Selection
from otel_ha.vocabulary import ingest, runtime

__all__ = ["ALIVE", "SLOW", "UPTIME", "WINDOW", "grown", "server_grown", "services"]

WINDOW: Final = Selection("<window>")
SLOW: Final = Selection("<slow_window>")
UPTIME: Final = runtime.PROCESS_UPTIME.prometheus_name
ALIVE: Final = "|".join(
    each.prometheus_name
    for each in (runtime.GC_COLLECTIONS, ingest.RECEIVED, ingest.CONNECTIONS, ingest.QUEUE_CAPACITY)
)
"""A pattern of metrics of which a running service has at least one from its start.

Programs of others have an uptime as well, and target_info is not on every way in.
"""


def grown(series: str) -> str:
    """Return the growth of a counter within the window, from 0 if it is new.

    A counter appears with its first measurement, and increase() does not see that one. After an outage of Prometheus,
    all series seem new: processes that were unknown before the window, although they are older, are left out. One that
    is scraped and shows no uptime is unknown for the first window after its start, too.
    """
    older = f"{UPTIME} >= 2 * <window> unless {UPTIME} offset <window>"
    return _grown(series, f"({older} or (up unless up offset <window>) unless on (job, instance, via) {UPTIME})")


def server_grown(series: str) -> str:
    """Return the growth of a server's counter within the window, from 0 if it is new."""
    return _grown(series, "(up unless up offset <window>)")


def _grown(series: str, unknown: str) -> str:
    growth = f"({series} unless {series} offset <window> or increase({series}[<window>]))"
    return f"({growth} unless on (job, instance, via) {unknown})"


def services(window: str, *matchers: str, by: str = "job") -> str:
    """Return a series for each service (and way in) whose metrics arrived within a window."""
    every = ", ".join((f'__name__=~"{ALIVE}"', *matchers))
    return f"group by ({by}) (last_over_time({{{every}}}[{window}]))"
