"""All alerts by rule group, and the rules file that follows from them, a catalog and a user's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from otel_ha.declare.catalog import Catalog
from otel_ha.errors import TelemetryError
from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.burn_rates import burn_rate_alerts, left_out
from otel_ha.render.alerts.events import EVENTS
from otel_ha.render.alerts.presence import SERVERS, SERVICES
from otel_ha.render.alerts.recording import RECORDING, folded
from otel_ha.render.alerts.resources import RESOURCES
from otel_ha.render.alerts.servers import COLLECTOR, STORES, WATCHDOG
from otel_ha.render.alerts.sinks import SINKS
from otel_ha.render.alerts.sources import SOURCES
from otel_ha.render.alerts.thresholds import THRESHOLDS, Threshold, duration, words
from otel_ha.render.rule import RuleGroup, rules_file

__all__ = ["Settings", "alerts_by_group", "render_alerts"]

_OPENING: Final = """\
Rendered by `python -m otel_ha.render alerts`; change a threshold with its option --set, see docs/how-to/alerts.md.
"""


def alerts_by_group(catalog: Catalog) -> dict[str, list[Alert]]:
    """Return the alerts whose instruments the catalog contains, by the name of their rule group."""
    groups: dict[str, Sequence[Alert]] = {
        "otel_ha_service": (*SERVICES, *SOURCES, *EVENTS, *SINKS, *RECORDING, *folded(catalog)),
        "otel_ha_objectives": tuple(burn_rate_alerts(catalog.objectives)),
        "otel_ha_resources": RESOURCES,
        "otel_ha_servers": (*SERVERS, *COLLECTOR, *STORES, *WATCHDOG),
    }
    declared = set(catalog)
    return {name: [each for each in alerts if declared.issuperset(each.needs)] for name, alerts in groups.items()}


class Settings:
    """The values of thresholds, and each alert's `for`, after a user's changes of the form NAME=VALUE.

    NAME is a threshold, an alert with ".for", or "for" alone, which is meant for all alerts. Raises TelemetryError.
    """

    def __init__(self, changes: Sequence[str] = (), alerts: Sequence[Alert] = ()) -> None:
        self._table: dict[str, Threshold] = {each.name: each for each in THRESHOLDS}
        self._holds: dict[str, str] = {}
        names = {f"{alert.name}.for" for alert in alerts} | {"for"}
        for change in changes:
            name, equals, value = change.partition("=")
            if not (name and equals):
                lacks = "value" if name else "name"
                raise TelemetryError(f"--set {change} has no {lacks}; write NAME=VALUE, such as error_share_page=0.1")
            if name in names:
                self._holds[name] = duration(name, value)
            elif name in self._table:
                self._table[name] = replace(self._table[name], value=self._table[name].parsed(value))
            else:
                raise TelemetryError(
                    f"--set {name} names nothing that can be set; allowed are for, an alert's name with .for, such as "
                    f"ServiceDown.for, and {', '.join(self._table)}"
                )

    def promql(self, name: str) -> str:
        """Return the value of a threshold in PromQL."""
        return self._table[name].value

    def words(self, name: str) -> str:
        """Return the value of a threshold in words."""
        return words(self._table[name])

    def hold(self, alert: Alert) -> str:
        """Return the `for` of an alert."""
        return self._holds.get(f"{alert.name}.for") or self._holds.get("for") or alert.hold


def render_alerts(catalog: Catalog, changes: Sequence[str] = (), runbooks: str = "") -> str:
    """Return the rules file. `runbooks` is the address of a folder with the runbooks, which become links."""
    groups = alerts_by_group(catalog)
    if runbooks and not re.fullmatch(r"https?://[^\s{}?#<>]+", runbooks):
        raise TelemetryError(
            f"--runbooks {runbooks} is not the address of a folder; write one such as https://example.org/runbooks"
        )
    settings = Settings(changes, [alert for alerts in groups.values() for alert in alerts])
    return rules_file(
        "\n".join([_OPENING, *left_out(catalog.objectives)]),
        [
            RuleGroup(
                name,
                [
                    replace(alert, hold=settings.hold(alert)).rule(
                        settings.promql, settings.words, _runbook(alert, runbooks)
                    )
                    for alert in alerts
                ],
            )
            for name, alerts in groups.items()
        ],
    )


def _runbook(alert: Alert, address: str) -> Mapping[str, str]:
    if not address:
        return {"runbook": alert.runbook}
    return {"runbook_url": f"{address.rstrip('/')}/{alert.name}.md"}
