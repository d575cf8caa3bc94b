"""Objectives as rules: the share of measurements that miss each objective, and the alerts on how fast its budget burns.

An objective with target 0.99 has a budget: 1 % of the measurements may miss its bound. A burn rate of 1 uses the budget
up exactly; at 14.4, one hour takes 2 % of the budget of 30 days. Factors and windows are those of the Site Reliability
Workbook, chapter 5: an alert compares a long window, which shows that it matters, and a short one, which shows that it
still goes on.

The rates of measurements within and beyond the bound are recorded once for each job and way in. The share over any
window follows from their sums: counter resets, restarts and gaps are in both sums alike. Without measurements there is
no share, so a quiet service fires nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from otel_ha.declare.catalog import Objective
from otel_ha.render.promql import EVERYTHING, once, total
from otel_ha.render.rule import AlertingRule, Rule, RuleGroup

__all__ = ["WINDOWS", "burn_rate_alerts", "error_ratio", "left_out", "missed_groups", "slug"]

INTERVAL: Final = 30
"""Seconds between two evaluations of the rates; a sum of recorded rates times this is a number of measurements."""

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""The windows over which the share of missed measurements is recorded."""

LEAST_MISSED: Final = 5
"""An alert needs that many missed measurements in its long window: one slow event at night is not a trend."""

_SHORT: Final = ("5m", "30m", "1h", "2h")
_MET: Final = "job_via:objective_met:rate5m"
_MISSED: Final = "job_via:objective_missed:rate5m"
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400}


class Burn(NamedTuple):
    """A burn rate, and the windows that must both exceed it."""

    factor: float
    short: str
    long: str


class Alarm(NamedTuple):
    """One severity of alert on an objective: its name, how long it must hold, and the burn rates that fire it."""

    alert: str
    severity: str
    hold: str
    burns: tuple[Burn, ...]


ALARMS: Final = (
    Alarm("ObjectiveBurnsFast", "page", "2m", (Burn(14.4, "5m", "1h"), Burn(6, "30m", "6h"))),
    Alarm("ObjectiveBurnsSlowly", "ticket", "15m", (Burn(3, "2h", "1d"), Burn(1, "6h", "3d"))),
)


def slug(objective: Objective) -> str:
    """Return the label of an objective: histogram and bound, such as homeassistant_event_lag_5_5.

    The target is no part of it, so that a series continues when the target changes.
    """
    return re.sub(r"[^a-z0-9]+", "_", f"{objective.histogram.name}_{objective.bound!r}")


def error_ratio(objective: Objective, window: str = "5m") -> str:
    """Return the recorded series of the share of measurements that missed the objective; window is one of WINDOWS."""
    return f'{_ratio_name(window)}{{objective="{slug(objective)}"}}'


def missed_groups(objectives: Iterable[Objective]) -> list[RuleGroup]:
    """Return the groups of recording rules behind all objectives; the windows of hours and days have their own pace."""
    rates = [rule for objective in _distinct(objectives) for rule in _rates(objective)]
    if not rates:
        return []
    longer = [window for window in WINDOWS if window not in _SHORT]
    return [
        RuleGroup("otel_ha_objectives", [*rates, *map(_ratio, _SHORT)], f"{INTERVAL}s"),
        RuleGroup("otel_ha_objectives_long", list(map(_ratio, longer)), "2m"),
    ]


def burn_rate_alerts(objectives: Iterable[Objective]) -> Iterator[AlertingRule]:
    """Yield the alerts of all objectives, without those that could never fire."""
    for objective in dict.fromkeys(objectives):
        for alarm in ALARMS:
            if burns := [burn for burn in alarm.burns if _can_fire(burn, objective)]:
                yield _alert(alarm, burns, objective)


def left_out(objectives: Iterable[Objective]) -> list[str]:
    """Return a sentence for each burn rate that can never fire, because its threshold is a share of 1 or more."""
    return [
        f"{alarm.alert} of {slug(objective)} has no burn rate of {burn.factor:g} over {burn.short} and {burn.long}: "
        f"with target {objective.target:g} it would need a share of {_threshold(burn, objective):g}, "
        "and no share is above 1."
        for objective in dict.fromkeys(objectives)
        for alarm in ALARMS
        for burn in alarm.burns
        if not _can_fire(burn, objective)
    ]


def _distinct(objectives: Iterable[Objective]) -> Iterable[Objective]:
    return {slug(objective): objective for objective in objectives}.values()


def _rates(objective: Objective) -> Iterator[Rule]:
    """Yield the rates of measurements within the bound and beyond it.

    They are subtracted series by series: one without this bucket, of a service that measures no durations or has other
    buckets, is in neither.
    """
    labels = {"objective": slug(objective)}
    met = EVERYTHING.rate(objective.histogram, f'le="{objective.bound!r}"', part="_bucket")
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


def _threshold(burn: Burn, objective: Objective) -> float:
    return round(burn.factor * (1 - objective.target), 9)


def _can_fire(burn: Burn, objective: Objective) -> bool:
    return _threshold(burn, objective) < 1


def _alert(alarm: Alarm, burns: Sequence[Burn], objective: Objective) -> AlertingRule:
    name, histogram = slug(objective), objective.histogram
    unit = "" if histogram.unit.startswith(("{", "1")) else f" {histogram.unit}"
    limits = " or ".join(f"{burn.factor:g} times that over {burn.short} and {burn.long}" for burn in burns)
    return AlertingRule(
        alarm.alert,
        "\nor\n".join(_burning(burn, objective) for burn in burns),
        alarm.hold,
        {
            "severity": alarm.severity,
            "cause": f"objective_{name}",
            "objective": name,
            "target": f"{objective.target:g}",
        },
        {
            "summary": f"{{{{ $labels.job }}}} misses an objective: {objective.description}",
            "description": (
                f"{{{{ $value | humanizePercentage }}}} of the measurements of {histogram.name} are above "
                f"{objective.bound:g}{unit}. The objective allows {100 * (1 - objective.target):.3g} %; "
                f"this alert fires at {limits}."
            ),
            "runbook": f"docs/runbooks/{alarm.alert}.md",
        },
    )


def _burning(burn: Burn, objective: Objective) -> str:
    """Return the share over the long window where both windows burn too fast and enough measurements have missed."""
    threshold = f"{burn.factor:g} * (1 - {objective.target!r})"
    missed = f'sum_over_time({_MISSED}{{objective="{slug(objective)}"}}[{burn.long}])'
    return (
        f"(\n  {error_ratio(objective, burn.long)} > {threshold}\n"
        f"  and on (job) {error_ratio(objective, burn.short)} > {threshold}\n"
        f"  and on (job) {once(f'{INTERVAL} * {missed}')} >= {LEAST_MISSED}\n)"
    )
