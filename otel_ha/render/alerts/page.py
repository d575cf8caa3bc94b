"""The reference of alerts as a Markdown page: every alert with its severity, and every threshold with its value."""

from __future__ import annotations

import re
from typing import Final

from otel_ha.declare.catalog import Catalog
from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.groups import Settings, alerts_by_group
from otel_ha.render.alerts.thresholds import THRESHOLDS, words
from otel_ha.render.markdown import code, table

__all__ = ["render_alerts_page"]

_OPENING: Final = """\
# Alerts

<!-- Rendered from otel_ha/render/alerts/ by `make docs`; change it there. -->

The alerts of collector-config/prometheus/otel_ha.alerts.yml. [Alerts](../how-to/alerts.md) explains how to load the
file and how to change a threshold. A name links to the page that says what to do.

- **Severity.** `page`: somebody has to act now. `ticket`: within days. `info`: good to know.
- **For.** The time for which the condition must hold.
- **Cause.** Alerts with the same cause and job are one fault: while the `page` fires, the `ticket` is not sent. While
  `ServiceDown` fires, no other alert of the job is sent.
- **Words.** `[job]` and the like stand for the labels of the alert, `[value]` for its value.
"""
_TITLES: Final = {
    "otel_ha_service": "Services",
    "otel_ha_objectives": "Objectives",
    "otel_ha_resources": "Resources",
    "otel_ha_servers": "Servers",
}


def render_alerts_page(catalog: Catalog) -> str:
    """Return the page with the alerts of a catalog."""
    settings = Settings()
    parts = [_OPENING]
    for group, alerts in alerts_by_group(catalog).items():
        if alerts:
            head = ("Alert", "Severity", "For", "Cause", "Fires when", "Thresholds")
            rows = table(head, (_row(alert, settings) for alert in alerts))
            parts.append(f"\n## {_TITLES[group]}\n\nRule group `{group}`.\n\n{rows}")
    rows = table(
        ("Threshold", "Value", "Meaning"), ((code(each.name), words(each), each.meaning) for each in THRESHOLDS)
    )
    parts.append(f"\n## Thresholds\n\n{rows}")
    return "".join(parts)


def _row(alert: Alert, settings: Settings) -> tuple[str, ...]:
    names = ", ".join(code(name) for name in alert.thresholds)
    link = f"[{alert.name}](../runbooks/{alert.name}.md)"
    return (link, alert.severity, settings.hold(alert), code(alert.cause), _plain(alert.summary), names)


def _plain(text: str) -> str:
    """Return a summary with its placeholders as short words."""
    text = re.sub(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \}\}\{\{ end \}\}", r"\2{{ $labels.\1 }}", text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: f"[{_last_word(found[1])}]", text)
    text = re.sub(r'\{\{ "([{<]+)" \}\}', r"\1", text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "[value]", text)


def _last_word(label: str) -> str:
    """Return the word that says most: operation for db_operation_name."""
    return label.removesuffix("_name").rpartition("_")[2]
