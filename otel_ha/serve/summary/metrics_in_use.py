"""The metrics of a catalog as they are declared and used: their series, values, budgets and objectives."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from otel_ha.declare.catalog import Catalog, Objective
from otel_ha.declare.instruments import Attribute, Histogram, Instrument, Observable
from otel_ha.history.derive import Span
from otel_ha.history.distribution import Distribution
from otel_ha.history.series import Series
from otel_ha.record.resolver import attributes_of
from otel_ha.turn import giving_way

__all__ = ["MOST_VALUES", "Read", "metrics_in_use"]

MOST_VALUES = 20
"""The series of a metric whose values a summary has; the others are counted."""

_EXACT = 2**53
"""The number from which a float cannot tell an integer from its neighbours."""


@dataclass(frozen=True)
class Read:
    """The spans from which values are read: the one of the quantiles, and the one of the objectives, both to now."""

    recent: Span
    kept: Span


def metrics_in_use(
    catalog: Catalog, groups: Collection[str], read: Read | None, used: Mapping[Attribute, int] | None
) -> list[dict[str, Any]]:
    """Return every instrument of a catalog, in order.

    `groups` are the metric groups that record now, and `used` has the number of values within the budget of each
    attribute, if it is known. Without a history to `read`, series and values are unknown.
    """
    return [
        {
            **_declared(instrument),
            "on": instrument.is_on(groups),
            **_values(instrument, groups, read),
            "budgets": [
                {"attribute": each.name, "used": None if used is None else used.get(each, 0), "budget": each.budget}
                for each in instrument.attributes
                if each.budget
            ],
            "objectives": [_judged(each, read) for each in catalog.objectives if each.histogram is instrument],
        }
        for instrument in giving_way(catalog)
    ]


def _declared(instrument: Instrument) -> dict[str, Any]:
    observed = "observable_" if isinstance(instrument, Observable) else ""
    return {
        "name": instrument.name,
        "prometheus_name": instrument.prometheus_name,
        "kind": f"{observed}{instrument.kind}",
        "unit": instrument.unit,
        "description": instrument.description,
        "group": instrument.group,
        "limit": instrument.series,
    }


def _values(instrument: Instrument, groups: Collection[str], read: Read | None) -> dict[str, Any]:
    if read is None:
        return {"series": None, "values": [], "omitted": 0}
    series = read.recent.series(instrument)
    largest = heapq.nlargest(MOST_VALUES, series, key=partial(Series.number, age=0))
    value: Callable[[Series], Any] = _number_of
    if isinstance(instrument, Histogram):
        value = partial(_distribution_of, read.recent.ages() if instrument.bounds(groups) else None)
    return {
        "series": len(series),
        "values": [{"attributes": _attributes(each), "value": value(each)} for each in largest],
        "omitted": len(series) - len(largest),
    }


def _attributes(series: Series) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in attributes_of(series.identity).items()
    }


def _number_of(series: Series) -> float | None:
    return _finite(series.number(0))


def _distribution_of(ages: tuple[int, int] | None, series: Series) -> dict[str, float | None]:
    """Return the count and the sum since telemetry started, and the quantiles between two ages."""
    recent = Distribution()
    for increases in series.buckets(*ages) if ages else ():
        recent.add(series.bounds, increases)
    quantiles = [None] * 3 if recent.is_empty else list(map(_finite, recent.quantiles((0.5, 0.95, 0.99))))
    return {
        "count": _finite(series.number(0)),
        "sum": _finite(series.total(0)),
        **dict(zip(("p50", "p95", "p99"), quantiles, strict=True)),
    }


def _finite(number: float) -> float | None:
    """Return a number as JSON can have it, a whole one without a fraction."""
    if not math.isfinite(number):
        return None
    return int(number) if number == math.floor(number) and abs(number) < _EXACT else number


def _judged(objective: Objective, read: Read | None) -> dict[str, Any]:
    share = None if read is None else read.kept.distribution(objective.histogram).share_within(objective.bound)
    return {
        "description": objective.description,
        "bound": objective.bound,
        "target": objective.target,
        "share": share,
        "met": None if share is None else share >= objective.target,
    }
