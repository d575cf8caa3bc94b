"""The earlier Prometheus names: what each of them is made of now, as one table.

`rules` makes recording rules of it, `page` the tables of the page on moving over. An expression works for all three
ways to Prometheus: the labels of the scope, which one of them lacks, are dropped, and what a way adds (job, instance,
via, host_name …) stays.
"""

from otel_ha.compat.old_names.machine import MACHINE
from otel_ha.compat.old_names.old_name import PREFIX, OldName
from otel_ha.compat.old_names.work import WORK

__all__ = ["OLD_NAMES", "PREFIX", "OldName"]

OLD_NAMES = (*MACHINE, *WORK)
"""Every earlier name, in the order of the earlier documentation."""
