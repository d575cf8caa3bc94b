"""Processor: the work on each event between the queue and the sink."""

from __future__ import annotations

import logging

from examples.ingestor.dedup import Deduplicator
from examples.ingestor.event import Event
from examples.ingestor.filter import Filter
from examples.ingestor.intake import Intake
from examples.ingestor.sink import BatchSink
from examples.ingestor.transformer import Transformer
from otel_ha import Discarded, measured
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)


class Processor:
    """Filters and de-duplicates events, turns them into points, and passes the points to the sink.

    An event is processed when the sink has its point; the store's answer is counted in points. An event without a
    value that the store can take is discarded as unsupported, and has no point.
    """

    def __init__(
        self, intake: Intake, wanted: Filter, seen: Deduplicator, transformer: Transformer, sink: BatchSink
    ) -> None:
        self._intake = intake
        self._wanted = wanted
        self._seen = seen
        self._transformer = transformer
        self._sink = sink

    async def run(self) -> None:
        """Process events until the intake is closed and empty."""
        async for arrived, event in self._intake.events():
            try:
                await self.process(event, arrived)
            except Exception:  # one bad event must not end the service; measured() counts it as an error
                logger.exception("%s could not be processed", event.entity_id)

    @measured(
        ingest.QUEUED_EVENT,
        source=lambda _, event, __: event.source,
        domain=lambda _, event, __: event.domain,
        entity=lambda _, event, __: event.entity_id,
        outcome_of=lambda discarded: discarded,
    )
    async def process(self, event: Event, arrived: float) -> Discarded | None:
        """Process an event that arrived at this time of the monotonic clock; return the reason if it is discarded."""
        if not self._wanted.wants(event):
            return Discarded("filtered")
        # Events that waited for the store are processed all at once, so the time of processing says nothing.
        if self._seen.is_duplicate(event, arrived):
            return Discarded("duplicate")
        if (point := self._transformer.point(self._intake.descriptions.complete(event))) is None:
            return Discarded("unsupported")
        await self._sink.put(point)
        return None
