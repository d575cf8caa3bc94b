"""Recording: what a connected declaration hands its measurements to.

A recorder turns Python keywords into OpenTelemetry attributes, keeps each attribute within its closed set and budget,
and the instrument within its series, and calls the OpenTelemetry API. Whatever is wrong with a measurement is counted
and warned of once; nothing here raises into the measured code.
"""

from otel_ha.recording.cut import Cut
from otel_ha.recording.expiring import ExpiringRecorder, ExpiringSums
from otel_ha.recording.limits import (
    LIMIT,
    OVERFLOW,
    Identity,
    Resolver,
    Shared,
    attributes_of,
    identity,
    no_amount,
    plain,
    plain_duration,
)
from otel_ha.recording.observers import Amount, Observers
from otel_ha.recording.problems import Problems
from otel_ha.recording.synchronous import SynchronousRecorder, Write

__all__ = [
    "LIMIT",
    "OVERFLOW",
    "Amount",
    "Cut",
    "ExpiringRecorder",
    "ExpiringSums",
    "Identity",
    "Observers",
    "Problems",
    "Resolver",
    "Shared",
    "SynchronousRecorder",
    "Write",
    "attributes_of",
    "identity",
    "no_amount",
    "plain",
    "plain_duration",
]
