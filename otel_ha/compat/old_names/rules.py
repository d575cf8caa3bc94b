"""Recording rules for the earlier Prometheus names."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.compat.old_names.work import STEPS

__all__ = ["render_rules"]

_OPENING = """\
# Rendered from otel_ha/compat/old_names/ by `make docs`; change it there.
#
# The metric names of the earlier ha_ingestor monitoring, for its dashboards and alerts. New ones should read the
# metrics listed in docs/how-to/move-from-ha-ingestor.md instead. Once nothing uses these names, delete this file and
# its line in prometheus.yml.

groups:
  - name: ha_ingestor
    rules:
"""


def render_rules() -> str:
    """Return the rules file."""
    return _OPENING + "".join(_rules())


def _rules() -> Iterator[str]:
    for name, expression in STEPS.items():
        yield _rule(name, expression)
    for old in OLD_NAMES:
        for part, expression in old.series.items():
            yield _rule(f"{PREFIX}{old.name}{part}", expression)


def _rule(name: str, expression: str) -> str:
    return f"      - record: {name}\n        expr: |\n{indent(expression, ' ' * 10)}\n"
