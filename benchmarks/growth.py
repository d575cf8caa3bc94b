"""Growth: more series, more writing threads, more services on one Collector."""

from __future__ import annotations

from benchmarks import growth_series, growth_services, growth_threads
from benchmarks.tables import Table


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the tables."""
    services = growth_services.measure(quick=quick)
    tables = [growth_series.measure(receiver, quick=quick), growth_threads.measure(receiver, quick=quick)]
    return tables if services is None else [*tables, services]
