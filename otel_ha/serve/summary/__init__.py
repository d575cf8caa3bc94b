"""Summary: the figures of this process, as data that JSON can hold.

docs/reference/summary.md describes it; SCHEMA_VERSION says in which version it is.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from typing import Any

import psutil

from otel_ha.history import History, Interval
from otel_ha.version import __version__

SCHEMA_VERSION = "1.0"
"""The first number changes where something that is there now changes or goes; the second where something is added."""

WINDOW = 300.0
"""Seconds that the current performance is taken over, where as much is kept."""

ROLL_UPS = {"1min": 60.0, "5min": 300.0, "1h": 3600.0}

_GB = 1024**3


def summary(history: History | None, *, service: str | None, groups: Iterable[str]) -> dict[str, Any]:
    """Return the summary; takes a collection, so that what is current is as of now.

    Without a history, "current", "history" and "roll_ups" are None.
    """
    figures: dict[str, Any] = {"current": None, "history": None, "roll_ups": None}
    if history is not None:
        history.collect()
        figures = {
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
        **figures,
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


def system_info() -> dict[str, Any]:
    """Return what this process runs on: names, versions, and sizes in GB (1,073,741,824 bytes)."""
    return {
        "hostname": platform.node(),
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "processor": platform.processor(),
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "cpu_count": psutil.cpu_count(),
        "memory_total_gb": round(psutil.virtual_memory().total / _GB, 2),
        "otel_ha_version": __version__,
        "opentelemetry_sdk_version": metadata.version("opentelemetry-sdk"),
    }
