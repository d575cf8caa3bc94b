"""Obstacles: why a declared instrument cannot be recorded."""

from __future__ import annotations

from otel_ha.declare.instruments import Instrument
from otel_ha.testing.points import Snapshot

ENDED = "the code under test has shut telemetry down; nothing is recorded since"
OVER = "the capture has ended; nothing is recorded since"
NOTHING = "nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?"
OFF = "telemetry is off; remove enabled=False or OTEL_SDK_DISABLED"


def end(snapshot: Snapshot) -> str:
    """Return why nothing more is recorded; "" if telemetry goes on."""
    return {"shut down": ENDED, "over": OVER}.get(snapshot.state, "")


def obstacle(instrument: Instrument, snapshot: Snapshot) -> str:
    """Return why the newest telemetry does not record an instrument, and the remedy; "" if it does."""
    pipeline = snapshot.pipeline
    if pipeline is None or snapshot.state == "off":
        return OFF
    if instrument not in pipeline.catalog:
        has_namesake = any(each.name == instrument.name for each in pipeline.catalog)
        lack = (
            "it is another one than the instrument of this name in the catalog"
            if has_namesake
            else "the catalog lacks it"
        )
        return f"{lack}; give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()"
    if not instrument.is_on(pipeline.groups):
        return f"its metric group {instrument.group} is off; {_switch(instrument.group)}"
    return ""


def lack_of_buckets(instrument: Instrument | None) -> str:
    """Return why a histogram has no buckets, and the remedy."""
    if instrument is None:
        return "give it bounds by its advisory parameter or a View"
    return f"its metric group {instrument.group} is off; {_switch(instrument.group)}"


def _switch(group: str) -> str:
    return f"set {group}_metrics=True, or OTEL_HA_{group.upper()}_METRICS=true"
