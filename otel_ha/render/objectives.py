"""Objectives as recording rules: the share of measurements that miss each objective, over windows of minutes to days.

The rates of measurements within and beyond the bound are recorded once for each job and way in. The share over any
window follows from their sums: counter resets, restarts and gaps are in both sums alike, and a window of days reads a
few series. Without measurements there is no share, so a quiet service fires no alert.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from otel_ha.declare.catalog import Objective
from otel_ha.errors import CatalogError
from otel_ha.render.promql import EVERYTHING, at_most, once, total
from otel_ha.render.rule import Rule, RuleGroup

__all__ = ["WINDOWS", "distinct", "error_ratio", "missed", "missed_groups", "slug"]

INTERVAL: Final = 30
"""Seconds between two evaluations of the rates; a sum of recorded rates times this is a number of measurements."""

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""The windows over which the share of missed measurements is recorded."""

_SHORT: Final = ("5m", "30m", "1h", "2h")
_MET: Final = "job_via:objective_met:rate5m"
_MISSED: Final = "job_via:objective_missed:rate5m"


def slug(objective: Objective) -> str:
    """Return the label of an objective: histogram and bound, such as homeassistant_event_lag_5_5.

    It leaves the target out, so that a series continues when the target changes.
    """
    return re.sub(r"[^a-z0-9]+", "_", f"{objective.histogram.name}_{objective.bound!r}")


def distinct(objectives: Iterable[Objective]) -> list[Objective]:
    """Return each objective once. Raises CatalogError if the label of two histograms or bounds is the same."""
    found = list(dict.fromkeys(objectives))
    measured: dict[str, Objective] = {}
    for each in found:
        first = measured.setdefault(slug(each), each)
        if (first.histogram, first.bound) != (each.histogram, each.bound):
            raise CatalogError(
                f"objectives on {first.histogram.name!r} (bound {first.bound!r}) and {each.histogram.name!r} (bound "
                f"{each.bound!r}) would both be recorded as {slug(each)!r}; rename one histogram or change one bound"
            )
    return found


def error_ratio(objective: Objective, window: str = "5m") -> str:
    """Return the recorded series of the share of measurements that missed the objective; window is one of WINDOWS."""
    return f'{_ratio_name(window)}{{objective="{slug(objective)}"}}'


def missed(objective: Objective, window: str) -> str:
    """Return the number of measurements that missed the objective within the window, for each job."""
    series = f'{_MISSED}{{objective="{slug(objective)}"}}'
    return once(f"{INTERVAL} * sum_over_time({series}[{window}])")


def missed_groups(objectives: Iterable[Objective]) -> list[RuleGroup]:
    """Return the groups of recording rules behind all objectives; the windows of hours and days have their own pace."""
    rates = [rule for objective in _measured(objectives) for rule in _rates(objective)]
    if not rates:
        return []
    longer = [window for window in WINDOWS if window not in _SHORT]
    return [
        RuleGroup("otel_ha_objectives", [*rates, *map(_ratio, _SHORT)], f"{INTERVAL}s"),
        RuleGroup("otel_ha_objectives_long", list(map(_ratio, longer)), "2m"),
    ]


def _measured(objectives: Iterable[Objective]) -> Iterable[Objective]:
    """Return one objective for each bound of a histogram, whatever the targets."""
    return {slug(objective): objective for objective in distinct(objectives)}.values()


def _rates(objective: Objective) -> Iterator[Rule]:
    """Yield the rates of measurements within the bound and beyond it.

    They are subtracted series by series: one without this bucket, of a service that measures no durations or has other
    buckets, is in neither.
    """
    labels = {"objective": slug(objective)}
    met = EVERYTHING.rate(objective.histogram, at_most(objective.bound), part="_bucket")
    count = EVERYTHING.rate(objective.histogram, part="_count")
    yield Rule(_MET, total(met), labels)
    yield Rule(_MISSED, total(f"clamp_min({count} - ignoring (le) {met}, 0)"), labels)


def _ratio(window: str) -> Rule:
    """Return the rule for the share of all objectives over one window."""
    met, missed = _MET, _MISSED
    if window != "5m":
        met, missed = (f"sum_over_time({series}[{window}])" for series in (met, missed))
    return Rule(_ratio_name(window), f"max by (job, objective) ({missed} / ({met} + {missed} > 0))")


def _ratio_name(window: str) -> str:
    return f"job:objective_errors:ratio_rate{window}"
