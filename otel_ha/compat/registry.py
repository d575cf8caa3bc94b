"""MetricsRegistry: counters, gauges and histograms whose names are registered at run time."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from otel_ha.compat import exposed
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.compat.metric import BUCKETS, MOST_SERIES, Metric, samples_of
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.registry_text import text_of
from otel_ha.compat.running import ensure, report
from otel_ha.compat.spelling import LONGEST_NAME, description, labels_of, metric_name
from otel_ha.compat.words import usable_number
from otel_ha.declare.plain import LIMIT
from otel_ha.declare.ports import shown

MOST_NAMES: Final = 500
"""Names of one registry."""

MOST_BUCKETS: Final = 100
"""Bounds of one histogram."""

UPTIME: Final = f"{PREFIX}uptime_seconds"


class MetricsRegistry:
    """The earlier registry: metrics by name, which are scraped and pushed under this name while telemetry runs.

    It keeps its own numbers for export_prometheus() and get_metric(), also while telemetry does not run. Names and
    series are limited, and no method that records raises: problems are counted in otel_ha.recording.problems.
    """

    def __init__(self) -> None:
        ensure({})
        self._start_time = time.time()
        self._metrics: dict[str, Metric] = {}
        self._samples: set[str] = set()
        """The names of their samples, each of which one metric may have."""
        self._lock = ProcessLock()
        _all.add(self)

    @property
    def start_time(self) -> float:
        """When the registry was created, in seconds since the epoch."""
        return self._start_time

    def register_counter(self, name: str, help_text: str) -> None:
        """Register a counter; a name that is registered already stays as it is."""
        self._register(name, help_text, "counter")

    def register_gauge(self, name: str, help_text: str) -> None:
        """Register a gauge; a name that is registered already stays as it is."""
        self._register(name, help_text, "gauge")

    def register_histogram(self, name: str, help_text: str, buckets: list[float] | None = None) -> None:
        """Register a histogram with upper bounds of its buckets; a name that is registered already stays as it is."""
        self._register(name, help_text, "histogram", buckets)

    def increment_counter(self, name: str, value: float = 1.0, labels: dict[str, str] | None = None) -> None:
        """Add to a registered counter."""
        self._record(name, value, labels, "counter")

    def set_gauge(self, name: str, value: float, labels: dict[str, str] | None = None) -> None:
        """Set a registered gauge."""
        self._record(name, value, labels, "gauge")

    def observe_histogram(self, name: str, value: float, labels: dict[str, str] | None = None) -> None:
        """Add a value to a registered histogram."""
        self._record(name, value, labels, "histogram")

    def get_metric(self, name: str) -> Metric | None:
        """Return a metric: name, help_text, type, buckets, and its last values; None if it is not registered."""
        return self._metrics.get(metric_name(name) or "")

    def get_all_metrics(self) -> dict[str, Metric]:
        """Return all metrics by name."""
        return dict(self._metrics)

    def get_metric_names(self) -> list[str]:
        """Return the registered names."""
        return list(self._metrics)

    def clear_metric(self, name: str) -> None:
        """Forget the numbers of a metric here; its series in telemetry continue."""
        with self._lock():
            if (metric := self.get_metric(name)) is not None:
                metric.clear()

    def clear_all_metrics(self) -> None:
        """Forget all numbers here; the series in telemetry continue."""
        with self._lock():
            for metric in self._metrics.values():
                metric.clear()

    def get_uptime_seconds(self) -> float:
        """Return the time since the registry was created, in seconds."""
        return max(time.time() - self._start_time, 0.0)

    def export_prometheus(self) -> str:
        """Return the metrics as Prometheus text, one line for each series, and the uptime."""
        uptime = Metric(UPTIME, BUILT_IN[UPTIME][1], "gauge")
        uptime.record(self.get_uptime_seconds(), ())
        return text_of([uptime]) + self.text(lambda name: name != UPTIME)

    def text(self, has: Callable[[str], bool]) -> str:
        """Return those metrics whose name it shall have as Prometheus text."""
        with self._lock():
            return text_of(metric for name, metric in self._metrics.items() if has(name))

    def get_metrics_summary(self) -> dict[str, Any]:
        """Return uptime_seconds, total_metrics, and metrics: type, help, and the number of values and the last one."""
        with self._lock():
            metrics = {name: _described(metric) for name, metric in self._metrics.items()}
        return {"uptime_seconds": self.get_uptime_seconds(), "total_metrics": len(metrics), "metrics": metrics}

    def _register(self, given: object, help_text: object, kind: str, buckets: object = None) -> None:
        name = metric_name(given)
        if name is None or (kind == "counter" and name == "_total"):
            allowed = f"1 to {LONGEST_NAME} characters, for a counter not '_total' alone"
            report("MetricsRegistry", "invalid_name", f"cannot register {shown(given)}; allowed: {allowed}")
            return
        with self._lock():
            known = self._metrics.get(name)
            if known is not None:
                if known.type != kind:
                    report(name, "name_taken", f"is registered as a {known.type}; the {kind} is ignored; rename one")
            elif len(self._metrics) >= MOST_NAMES:
                message = f"more than {MOST_NAMES} names; {name} and later ones are ignored; register fewer names"
                report("MetricsRegistry", "names_exceeded", message)
            elif taken := samples_of(name, kind) & self._samples:
                message = f"cannot register {name}: a histogram has samples named {min(taken)}; rename one"
                report("MetricsRegistry", "name_taken", message)
            else:
                bounds = _bounds(name, buckets) if kind == "histogram" else None
                self._metrics[name] = Metric(name, description(help_text) or name, kind, bounds)
                self._samples |= samples_of(name, kind)

    def _record(self, given: object, value: object, labels: object, kind: str) -> None:
        name = metric_name(given) or ""
        metric = self._metrics.get(name)
        if metric is None or metric.type != kind:
            remedy = f"ignored; call register_{kind}() once, before recording"
            if metric is None:  # under one name: others would make a series of each
                report("MetricsRegistry", "undeclared", f"{shown(given)} is not registered; {remedy}")
            else:
                report(name, "undeclared", f"is a {metric.type}, not a {kind}; {remedy}")
            return
        number = usable_number(value, least=-LIMIT if kind == "gauge" else 0)
        if number is None:
            least = "-2**63" if kind == "gauge" else "0"
            allowed = f"a number from {least} to 2**63"
            report(name, "invalid_amount", f"cannot record {shown(value)}; allowed: {allowed}; ignored")
            return
        found = labels_of(labels, lambda reason, message: report(name, reason, message))
        with self._lock():
            has_place = metric.record(number, found)
        if not has_place:
            rest = "ignored" if kind == "gauge" else "recorded with otel_metric_overflow=true"
            report(name, "series_exceeded", f"more than {MOST_SERIES} sets of labels; later ones are {rest}")
        exposed.record(metric, number, found)


def _bounds(name: str, given: object) -> Sequence[float]:
    """Return the bounds of a histogram, ascending; the default ones if none of the given ones can be used."""
    if given is None:
        return BUCKETS
    try:
        first = list(islice(given, MOST_BUCKETS + 1))  # type: ignore[call-overload]  # what cannot be iterated raises
        numbers = [usable_number(each, least=-LIMIT) for each in first if each != math.inf]
    except Exception:  # noqa: BLE001 - an iterable of the caller's own may do anything
        numbers = [None]
    finite = sorted({each for each in numbers[:MOST_BUCKETS] if each is not None})
    if finite != numbers:
        allowed = f"up to {MOST_BUCKETS} finite numbers, ascending"
        used = shown(finite or BUCKETS)
        report(name, "invalid_buckets", f"buckets is {shown(given)}; allowed: {allowed}; used: {used}")
    return finite or BUCKETS


def _described(metric: Metric) -> dict[str, Any]:
    newest = metric.values[-1:]
    return {
        "type": metric.type,
        "help": metric.help_text,
        "value_count": metric.count,
        "latest_value": newest[0].value if newest else None,
        "latest_timestamp": newest[0].timestamp if newest else None,
    }


_all: weakref.WeakSet[MetricsRegistry] = weakref.WeakSet()


def _clear_all_in_child() -> None:
    """Start from zero in a forked child: the numbers are the parent's."""
    for registry in list(_all):
        registry.clear_all_metrics()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_clear_all_in_child)
