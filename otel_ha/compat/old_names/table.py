"""The table of all earlier names."""

from __future__ import annotations

from typing import Final

from otel_ha.compat.old_names.collected import COLLECTED
from otel_ha.compat.old_names.machine import MACHINE
from otel_ha.compat.old_names.work import WORK

OLD_NAMES: Final = (*MACHINE, *WORK, *COLLECTED)
"""Every earlier name that is a rule, in the order of the earlier documentation; then those of the metrics collector.

A rule may read one before it: Prometheus evaluates the rules of a group in turn.
"""
