"""Recording rules for the earlier Prometheus names; ``python -m otel_ha.compat.old_names.rules`` prints the file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import indent

from otel_ha.compat.old_names import OLD_NAMES
from otel_ha.compat.old_names.old_name import PREFIX

__all__ = ["render_rules"]

_OPENING = """\
# Rendered from otel_ha/compat/old_names/ by `make docs`; change it there.
#
# The names of the earlier ha_ingestor monitoring, so that its dashboards and alerts go on. New ones had better read the
# metrics themselves: docs/how-to/move-from-ha-ingestor.md says which. Where nothing needs the names any more, delete
# this file and its line in prometheus.yml.

groups:
  - name: ha_ingestor
    rules:
"""


def render_rules() -> str:
    """Return the file."""
    return _OPENING + "".join(_rules())


def _rules() -> Iterator[str]:
    for old in OLD_NAMES:
        for part, expression in old.series.items():
            yield f"      - record: {PREFIX}{old.name}{part}\n        expr: |\n{indent(expression, ' ' * 10)}\n"


if __name__ == "__main__":
    sys.stdout.write(render_rules())
