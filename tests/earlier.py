"""For tests of the earlier API: a process in which none of it has been used yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha.compat import enhanced_collector, performance_monitor, prometheus_collector, running
from otel_ha.declare.instruments import Instrument
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import runtime

SNIPPETS = Path(__file__).parent / "snippets"
"""The snippets of the earlier documentation, unchanged except for the import."""


def forget() -> None:
    """Forget the instances, and that telemetry was ever set up."""
    for module in (performance_monitor._the_monitor, prometheus_collector._the_collector):
        module.set(None)
    enhanced_collector._the_collector.set(None)
    running._seen = False


@contextmanager
def untouched() -> Iterator[None]:
    """Run the block in such a process; telemetry that it set up ends with it."""
    forget()
    try:
        yield
    finally:
        forget()
        if (left := running_telemetry()) is not None:
            left.shutdown(timeout=1)


@contextmanager
def telemetry(**settings: object) -> Iterator[Telemetry]:
    """Run the block with telemetry that is scraped on no port, and read by its history alone."""
    quiet = {"metrics_exporters": ("prometheus",), "endpoint_server": False, "environ": {}}
    with untouched(), setup_telemetry("test", config=TelemetryConfig(**quiet | settings)) as running_now:
        yield running_now


def values(of: Telemetry, instrument: Instrument) -> dict[frozenset[tuple[str, str]], float]:
    """Return the samples of an instrument (of a histogram its counts) in a scrape, by their labels."""
    name = instrument.prometheus_name + ("_count" if instrument.kind == "histogram" else "")
    found = {}
    for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", of.prometheus_text(), re.MULTILINE):
        pairs = re.findall(r'(\w+)="([^"]*)"', labels)
        found[frozenset((k, v) for k, v in pairs if v and not k.startswith("otel_scope"))] = float(value)
    return found


def total(of: Telemetry, instrument: Instrument) -> float:
    """Return the sum of an instrument's samples (of a histogram of its counts) in a scrape."""
    return sum(values(of, instrument).values())


def problems(of: Telemetry) -> float:
    """Return how many problems were counted."""
    return total(of, runtime.RECORDING_PROBLEMS)
