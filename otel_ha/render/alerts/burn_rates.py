"""Alerts on objectives: how fast the budget of an objective burns.

An objective with target 0.99 has a budget: 1 % of the measurements may miss its bound. A burn rate of 1 uses the budget
up exactly; at 14.4, one hour takes 2 % of the budget of 30 days. Factors and windows are those of the Site Reliability
Workbook, chapter 5: the long window shows that it matters, the short one that it still goes on. A number of
measurements, the threshold objective_missed, must have missed the bound in the long window: one slow event in a quiet
night fires nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from otel_ha.declare.catalog import Objective
from otel_ha.render.alerts.alert import Alert, Severity
from otel_ha.render.alerts.thresholds import duration_in_words
from otel_ha.render.objectives import distinct, error_ratio, missed, slug

__all__ = ["ALARMS", "burn_rate_alerts", "left_out"]


class Burn(NamedTuple):
    """A burn rate, and the two windows that must both exceed it."""

    factor: float
    short: str
    long: str

    def threshold(self, objective: Objective) -> float:
        """Return the share of missed measurements at which the budget burns that fast."""
        return round(self.factor * (1 - objective.target), 9)

    def can_fire(self, objective: Objective) -> bool:
        """Whether a share can be above the threshold."""
        return self.threshold(objective) < 1

    def limit(self, objective: Objective) -> str:
        """Return the threshold and the windows in words."""
        short, long = duration_in_words(self.short), duration_in_words(self.long)
        return f"{100 * self.threshold(objective):.3g} % over both {short} and {long}"


class Alarm(NamedTuple):
    """The alert of one severity: its name, its pace in words, how long it must hold, the burn rates that fire it."""

    alert: str
    pace: str
    severity: Severity
    hold: str
    burns: tuple[Burn, ...]


ALARMS: Final = (
    Alarm("ObjectiveBurnsFast", "fast", "page", "2m", (Burn(14.4, "5m", "1h"), Burn(6, "30m", "6h"))),
    Alarm("ObjectiveBurnsSlowly", "slowly", "ticket", "15m", (Burn(3, "2h", "1d"), Burn(1, "6h", "3d"))),
)


def burn_rate_alerts(objectives: Iterable[Objective]) -> Iterator[Alert]:
    """Yield the alerts of all objectives, without burn rates that can never fire."""
    for objective in distinct(objectives):
        for alarm in ALARMS:
            if burns := [burn for burn in alarm.burns if burn.can_fire(objective)]:
                yield _alert(alarm, burns, objective)


def left_out(objectives: Iterable[Objective]) -> list[str]:
    """Return a sentence for each burn rate that can never fire, for the opening of the rules file."""
    return [
        f"{alarm.alert} of {slug(objective)} leaves out the burn rate {burn.factor:g} over {burn.short} and "
        f"{burn.long}: with target {objective.target!r} it needs a share above {burn.threshold(objective):g}, "
        "which does not exist."
        for objective in distinct(objectives)
        for alarm in ALARMS
        for burn in alarm.burns
        if not burn.can_fire(objective)
    ]


def _alert(alarm: Alarm, burns: Sequence[Burn], objective: Objective) -> Alert:
    name, histogram = slug(objective), objective.histogram
    unit = "" if histogram.unit.startswith(("{", "1")) else f" {histogram.unit}"
    limits = ", or ".join(burn.limit(objective) for burn in burns)
    return Alert(
        name=alarm.alert,
        severity=alarm.severity,
        cause=f"objective_{name}",
        expr="\nor\n".join(_burning(burn, objective) for burn in burns),
        summary=f"{{{{ $labels.job }}}} misses an objective {alarm.pace}: {_literal(objective.description)}",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the measurements of {histogram.name} are above "
            f"{objective.bound!r}{unit}. The objective allows {100 * (1 - objective.target):.3g} %; "
            f"this alert fires above {limits}."
        ),
        hold=alarm.hold,
        needs=(histogram,),
        labels={"objective": name, "target": repr(objective.target)},
    )


def _literal(text: str) -> str:
    """Return a user's text for a template of Prometheus, where two braces begin an expression.

    A brace that stands alone is quoted as well: what follows may be quoted, and begins with two braces then.
    """
    return re.sub(r"\{+|<(?=\w+>)", lambda found: f'{{{{ "{found[0]}" }}}}', text)


def _burning(burn: Burn, objective: Objective) -> str:
    """Return the share over the long window where both windows burn too fast and enough measurements have missed."""
    threshold = f"{burn.factor:g} * (1 - {objective.target!r})"
    return (
        f"(\n  {error_ratio(objective, burn.long)} > {threshold}\n"
        f"  and on (job) {error_ratio(objective, burn.short)} > {threshold}\n"
        f"  and on (job) {missed(objective, burn.long)} >= <objective_missed>\n)"
    )
