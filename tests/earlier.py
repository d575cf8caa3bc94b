"""Helpers for tests of the earlier API, in a process that has not used it yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha.compat import running
from otel_ha.declare.instruments import Instrument
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import runtime

SNIPPETS = Path(__file__).parent / "snippets"
"""The snippets of the earlier documentation, with only the import changed."""


@contextmanager
def untouched() -> Iterator[None]:
    """Run the block in such a process; telemetry that it set up ends with it."""
    running.forget()
    try:
        yield
    finally:
        running.forget()
        if (left := running_telemetry()) is not None:
            left.shutdown(timeout=1)


@contextmanager
def telemetry(**settings: object) -> Iterator[Telemetry]:
    """Run the block with telemetry that opens no port and pushes nothing."""
    quiet = {"metrics_exporters": ("prometheus",), "endpoint_server": False, "environ": {}}
    with untouched(), setup_telemetry("test", config=TelemetryConfig(**quiet | settings)) as running_now:
        yield running_now


def values(of: Telemetry, instrument: Instrument) -> dict[frozenset[tuple[str, str]], float]:
    """Return the samples of an instrument (the counts of a histogram) in a scrape, by their labels."""
    name = instrument.prometheus_name + ("_count" if instrument.kind == "histogram" else "")
    found = {}
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", of.prometheus_text(), re.MULTILINE):
        pairs = re.findall(r'(\w+)="([^"]*)"', labels)
        found[frozenset((k, v) for k, v in pairs if v)] = float(value)
    return found


def total(of: Telemetry, instrument: Instrument) -> float:
    """Return the sum of an instrument's samples (the counts of a histogram) in a scrape."""
    return sum(values(of, instrument).values())


def problems(of: Telemetry) -> float:
    """Return the number of problems counted."""
    return total(of, runtime.RECORDING_PROBLEMS)
