"""The table of all earlier names."""

from __future__ import annotations

from typing import Final

from otel_ha.compat.old_names.machine import MACHINE
from otel_ha.compat.old_names.work import WORK

OLD_NAMES: Final = (*MACHINE, *WORK)
"""Every earlier name, in the order of the earlier documentation."""
