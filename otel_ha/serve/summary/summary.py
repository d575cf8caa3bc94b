"""Summary: metrics of this process as data for JSON, described in docs/reference/summary.md."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import metadata
from typing import Any

import psutil

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Attribute
from otel_ha.history import BusinessMetrics, History, Interval, PerformanceMetrics, SystemMetrics
from otel_ha.history.metrics import unmeasured
from otel_ha.serve.summary.accounts import accounts
from otel_ha.serve.summary.connections import connections
from otel_ha.serve.summary.metrics_in_use import Read, metrics_in_use
from otel_ha.serve.summary.tables import tables
from otel_ha.version import __version__

SCHEMA_VERSION = "2.1"
"""The first number changes if a field changes or disappears, the second if one is added."""

WINDOW = 300.0
"""Seconds over which current performance is computed, if the history is long enough."""

METRICS = {"system": SystemMetrics, "performance": PerformanceMetrics, "business": BusinessMetrics}
"""The parts of a summary, each with its figures."""

ROLL_UPS = {"1min": 60.0, "5min": 300.0, "1h": 3600.0}

GB = 1024**3


def summary(
    history: History | None,
    *,
    service: str | None,
    version: str | None = None,
    groups: Iterable[str],
    catalog: Catalog | None = None,
    started: float | None = None,
    health: Callable[[], Mapping[str, Any]] = dict,
    used: Mapping[Attribute, int] | None = None,
) -> dict[str, Any]:
    """Return the summary, after a collection, so that "current" is up to date; all figures are of that collection.

    Without a history, "current", "history", "roll_ups", "accounts" and "tables" are None. `started` is when telemetry
    started, None if it does not run; `version` is that of the service. `health` returns the state, and is called after
    the collection. `used` has the number of values within the budget of each attribute of the `catalog`.
    """
    on = sorted(groups)
    metrics = partial(metrics_in_use, catalog or Catalog(), on if started else (), used=used)
    if history is None:
        state = health()
        from_history: dict[str, Any] = {**dict.fromkeys(_FROM_HISTORY), "connections": [], "metrics": metrics(None)}
    else:
        history.collect()
        with history.reading():
            state = health()
            from_history = _from_history(history, on, metrics)
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": time.time() if history is None else history.now().timestamp,
        "started": started,
        "service": service,
        "service_version": version,
        "groups": on,
        "system_info": system_info(),
        "health": dict(state),
        **from_history,
    }


_FROM_HISTORY = ("current", "history", "roll_ups", "accounts", "tables")


def _from_history(history: History, groups: Collection[str], metrics: Callable[[Read], Any]) -> dict[str, Any]:
    figures = _Figures(groups)
    since, recent = history.since_start(), history.over(WINDOW)
    return {
        "current": _current(history, figures),
        "history": _history(history, figures),
        "roll_ups": {name: _roll_up(history, period, figures) for name, period in ROLL_UPS.items()},
        "accounts": accounts(since, groups),
        "tables": tables(since, recent, groups),
        "connections": connections(since),
        "metrics": metrics(Read(recent, history.over())),
    }


class _Figures:
    """Turns metrics into data for JSON; figures that the metric groups do not measure are None."""

    def __init__(self, groups: Collection[str]) -> None:
        self._unmeasured = {cls: dict.fromkeys(unmeasured(cls, groups)) for cls in METRICS.values()}

    def of(self, metrics: SystemMetrics | PerformanceMetrics | BusinessMetrics) -> dict[str, Any]:
        """Return the figures by name."""
        # Not by asdict(), whose deep copies are most of the time of a summary.
        found = {name: getattr(metrics, name) for name in type(metrics).__slots__}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in found.items()} | (
            self._unmeasured[type(metrics)]
        )


def _current(history: History, figures: _Figures) -> dict[str, Any]:
    return {
        "window": history.seconds(WINDOW),
        "system": figures.of(history.system()),
        "performance": figures.of(history.performance(WINDOW)),
        "business": figures.of(history.business()),
    }


def _history(history: History, figures: _Figures) -> dict[str, Any]:
    intervals: list[Interval] = history.intervals()
    parts = {part: [figures.of(getattr(each, part)) for each in intervals] for part in METRICS}
    return {"length": history.length, "interval": history.interval, **parts}


def _roll_up(history: History, period: float, figures: _Figures) -> list[dict[str, Any]]:
    return [
        {"start": each.start, "end": each.end, **{part: figures.of(getattr(each, part)) for part in METRICS}}
        for each in history.roll_up(period)
    ]


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
