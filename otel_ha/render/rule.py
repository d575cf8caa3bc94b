"""Rule and RuleGroup: recording rules and alerts of a Prometheus rules file, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_ha.render.yaml_text import to_yaml

__all__ = ["AlertingRule", "Rule", "RuleGroup", "rules_file"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule: the name of the new series, the expression, and labels to add."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return the rule as a rules file has it."""
        return _filled(record=self.record, expr=self.expr, labels=dict(self.labels))


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """An alerting rule as a rules file has it; `hold` is its `for`."""

    alert: str
    expr: str
    hold: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def as_data(self) -> dict[str, Any]:
        """Return the rule as a rules file has it."""
        labels, annotations = dict(self.labels), dict(self.annotations)
        return _filled(alert=self.alert, expr=self.expr, **{"for": self.hold}, labels=labels, annotations=annotations)


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated together, one after the other; without an interval, at the server's own."""

    name: str
    rules: Sequence[Rule | AlertingRule]
    interval: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the group as a rules file has it."""
        return _filled(name=self.name, interval=self.interval, rules=[rule.as_data() for rule in self.rules])


def rules_file(opening: str, groups: Sequence[RuleGroup]) -> str:
    """Return the text of a rules file; `opening` becomes the comment at its top. Groups without rules are left out."""
    return to_yaml({"groups": [group.as_data() for group in groups if group.rules]}, opening)


def _filled(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value or value == []}
