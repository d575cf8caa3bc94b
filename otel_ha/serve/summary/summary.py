"""Summary: metrics of this process as data for JSON, described in docs/reference/summary.md."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from typing import Any

import psutil

from otel_ha.history import History, Interval
from otel_ha.version import __version__

SCHEMA_VERSION = "1.1"
"""The first number changes if a field changes or disappears, the second if one is added."""

WINDOW = 300.0
"""Seconds over which current performance is computed, if the history is long enough."""

ROLL_UPS = {"1min": 60.0, "5min": 300.0, "1h": 3600.0}

GB = 1024**3


def summary(history: History | None, *, service: str | None, groups: Iterable[str]) -> dict[str, Any]:
    """Return the summary, after a collection, so that "current" is up to date.

    Without a history, "current", "history" and "roll_ups" are None.
    """
    from_history: dict[str, Any] = {"current": None, "history": None, "roll_ups": None}
    if history is not None:
        history.collect()
        from_history = {
            "current": _current(history),
            "history": _history(history),
            "roll_ups": {name: [asdict(each) for each in history.roll_up(period)] for name, period in ROLL_UPS.items()},
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": time.time(),
        "service": service,
        "groups": sorted(groups),
        "system_info": system_info(),
        **from_history,
    }


def _current(history: History) -> dict[str, Any]:
    system, performance, business = history.system(), history.performance(WINDOW), history.business()
    return {
        "window": history.seconds(WINDOW),
        "system": asdict(system),
        "performance": asdict(performance),
        "business": asdict(business),
    }


def _history(history: History) -> dict[str, Any]:
    intervals: list[Interval] = history.intervals()
    return {
        "length": history.length,
        "interval": history.interval,
        "system": [asdict(each.system) for each in intervals],
        "performance": [asdict(each.performance) for each in intervals],
        "business": [asdict(each.business) for each in intervals],
    }


FACTS: Mapping[str, Callable[[], Any]] = {
    "hostname": platform.node,
    "platform": platform.platform,
    "architecture": platform.machine,
    "processor": platform.processor,
    "python_version": platform.python_version,
    "process_id": os.getpid,
    "cpu_count": psutil.cpu_count,
    "memory_total_gb": lambda: round(psutil.virtual_memory().total / GB, 2),
    "otel_ha_version": lambda: __version__,
    "opentelemetry_sdk_version": lambda: metadata.version("opentelemetry-sdk"),
}
"""The functions that return the facts about the host and this process; each of them may fail."""


def system_info(facts: Mapping[str, Callable[[], Any]] = FACTS) -> dict[str, Any]:
    """Return facts about the host and this process: names, versions, and sizes in GB (1,073,741,824 bytes).

    A fact that cannot be read is absent.
    """
    found: dict[str, Any] = {}
    for name, read in facts.items():
        with suppress(Exception):  # /proc may be hidden or faked; the other facts are still true
            if (fact := read()) is not None:
                found[name] = fact
    return found
