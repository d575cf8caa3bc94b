"""Alert: one alert as data. Its thresholds stand in its texts by name, such as ``<error_share>``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from otel_ha.declare.instruments import Instrument
from otel_ha.render.rule import AlertingRule

__all__ = ["RUNBOOKS", "Alert", "Severity"]

Severity = Literal["page", "ticket", "info"]
RUNBOOKS: Final = "docs/runbooks"
"""The folder of the runbooks, from the root of the repository."""
_NAMED: Final = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert: when it fires, how urgent it is, and the words of its notification.

    Alerts with the same cause and job are the same fault at several severities. `expr`, `summary` and `description`
    may name thresholds: ``<error_share>``. `hold` is the alert's `for`. It is rendered if a catalog contains all
    instruments that it needs.
    """

    name: str
    severity: Severity
    cause: str
    expr: str
    summary: str
    description: str
    hold: str = "5m"
    needs: tuple[Instrument, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """The path of the page that says what to do."""
        return f"{RUNBOOKS}/{self.name}.md"

    @property
    def thresholds(self) -> list[str]:
        """The names of the thresholds that the expression contains, in its order."""
        return list(dict.fromkeys(_NAMED.findall(self.expr)))

    def rule(
        self, promql: Callable[[str], str], words: Callable[[str], str], runbook: Mapping[str, str]
    ) -> AlertingRule:
        """Return the rule; `promql` and `words` spell the value of a threshold, `runbook` is its annotation."""

        def worded(text: str) -> str:
            return _NAMED.sub(lambda found: words(found[1]), text)

        return AlertingRule(
            alert=self.name,
            expr=_NAMED.sub(lambda found: promql(found[1]), self.expr),
            hold=self.hold,
            labels={"severity": self.severity, "cause": self.cause, **self.labels},
            annotations={"summary": worded(self.summary), "description": worded(self.description), **runbook},
        )
