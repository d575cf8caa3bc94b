"""Counted: what is recorded for every event, with its attributes resolved once for each source."""

from __future__ import annotations

import functools

from otel_ha import BoundCounter, BoundHistogram, BoundOperation
from otel_ha.vocabulary import ingest


@functools.cache
def events(source: str) -> BoundOperation:
    """Return what counts the events of a source."""
    return ingest.EVENT.bind(source=source)


@functools.cache
def bytes_received(source: str, kind: str) -> BoundCounter:
    """Return what counts the bytes that a source's messages of this kind have."""
    return ingest.DATA_RECEIVED.bind(source=source, type=kind)


@functools.cache
def lag(source: str, sink: str) -> BoundHistogram:
    """Return what records how old the events of a source are when a sink has them."""
    return ingest.LAG_TO_WRITE.bind(source=source, sink=sink)
