"""Instruments that are bound once per source, because every event records on them."""

from __future__ import annotations

import functools

from otel_ha import BoundCounter, BoundHistogram, BoundOperation
from otel_ha.vocabulary import ingest


@functools.cache
def events(source: str) -> BoundOperation:
    """Return the operation that counts the events of a source."""
    return ingest.EVENT.bind(source=source)


@functools.cache
def resynchronized(source: str) -> BoundCounter:
    """Return the counter of a source's events that a resynchronization has found."""
    return ingest.RESYNCHRONIZED.bind(source=source)


@functools.cache
def bytes_received(source: str, kind: str) -> BoundCounter:
    """Return the counter of the bytes in a source's messages of this kind."""
    return ingest.DATA_RECEIVED.bind(source=source, type=kind)


@functools.cache
def lag(source: str, sink: str) -> BoundHistogram:
    """Return the histogram of the age of a source's events when a sink has written them."""
    return ingest.LAG_TO_WRITE.bind(source=source, sink=sink)
