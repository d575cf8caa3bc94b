"""BatchSink: collects points, has a writer store them in batches, and accounts for each point."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from examples.ingestor import counted
from examples.ingestor.connection import Backoff
from examples.ingestor.line_protocol import Point
from examples.ingestor.outage import Outage, UnavailableError
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)

BATCHES_WAITING = 4
BACKOFF = Backoff(first=0.5, limit=5.0)
QUIET = 300.0
"""Seconds without an error of a type until it counts as over: some devices send a bad value again and again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The store's answer to a batch: the number of rejected points, and the reason.

    `too_large` means that the store takes none of them at once, but may take fewer.
    """

    rejected: int = 0
    error_type: str = ""
    message: str = ""
    too_large: bool = False


class Writer(Protocol):
    """Writes batches to one store."""

    name: str

    async def write(self, points: Sequence[Point]) -> Answer:
        """Write a batch once; raise UnavailableError if the same batch may succeed later."""

    async def close(self) -> None:
        """Close the connections or files."""


class BatchSink:
    """Writes a batch when it has `size` points, or when its first point has waited for `seconds`.

    A batch that a store cannot take now is written again until it can, before all later ones. Meanwhile `put` waits as
    soon as the queue is full, and events pile up in the intake. Once that is full too, it discards new events and
    counts them: `overflowed` returns their number. A batch that is too large for the store is written in halves.
    """

    def __init__(
        self,
        writer: Writer,
        size: int,
        seconds: float,
        *,
        overflowed: Callable[[], int] = lambda: 0,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._writer = writer
        self._size = size
        self._seconds = seconds
        self._backoff = backoff
        self._points: asyncio.Queue[Point | None] = asyncio.Queue(BATCHES_WAITING * size)
        self._batch: list[Point] = []
        self._closed = False
        self._outage = Outage(writer.name, overflowed)
        self._troubles: dict[str, float] = {}
        ingest.QUEUE_SIZE.observe(self._points.qsize, queue="points")
        ingest.QUEUE_CAPACITY.observe(lambda: self._points.maxsize, queue="points")

    async def put(self, point: Point) -> None:
        """Add a point; wait while the queue is full."""
        await self._points.put(point)

    async def close(self) -> None:
        """Let `run` end once it has written the remaining points."""
        await self._points.put(None)

    def abandon(self) -> None:
        """Count and report the remaining points as lost, if there is no time to write them."""
        queued = [self._points.get_nowait() for _ in range(self._points.qsize())]
        left = self._batch + [point for point in queued if point is not None]
        self._batch = []
        self._count(left, "error", "shutdown")
        if left:
            logger.error("%s: lost %d points that could not be written before the end", self._writer.name, len(left))

    async def run(self) -> None:
        """Write batches until the sink is closed and empty."""
        try:
            while not self._closed:
                await self._fill()
                most = self._size
                while self._batch:
                    most = await self._write(self._batch[:most])
        finally:
            await self._writer.close()

    async def _fill(self) -> None:
        """Wait for points until the batch is complete."""
        point = await self._points.get()
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            while point is not None:
                self._batch.append(point)
                if len(self._batch) == self._size:
                    return
                async with asyncio.timeout_at(deadline):
                    point = await self._points.get()
        except TimeoutError:
            return
        self._closed = True

    async def _write(self, batch: list[Point]) -> int:
        """Write the first points of the current batch; return how many the store can take at once."""
        ingest.BATCH_SIZE.record(len(batch), sink=self._writer.name)
        try:
            answer = await self._answer(batch)
        except Exception as error:  # noqa: BLE001 - one failed batch must not end the service
            self._count(batch, "error", type(error).__name__)
            self._report(type(error).__name__, f"lost {len(batch)} points: {error!r}")
        else:
            if answer.too_large and len(batch) > 1:
                self._report("too_large", f"{answer.message}; writing {len(batch)} points in halves")
                return len(batch) // 2
            self._account(batch, answer)
        del self._batch[: len(batch)]
        return len(batch)

    async def _answer(self, batch: list[Point]) -> Answer:
        """Write a batch until the store takes it; return its answer."""
        while True:
            try:
                answer = await self._writer.write(batch)
            except UnavailableError as error:
                self._outage.failed(error)
            else:
                self._outage.over()
                return answer
            await asyncio.sleep(self._backoff.delay(self._outage.failures))
            ingest.RETRIES.add(1, component=self._writer.name, operation="write")

    def _account(self, batch: list[Point], answer: Answer) -> None:
        """Count the stored and the rejected points of a batch that the store has answered."""
        if not answer.rejected:
            self._count(batch, "ok", None)
            for event in (point.event for point in batch if point.event.timed):
                counted.lag(event.source, self._writer.name).record(event.age)
        elif answer.rejected == len(batch):
            self._count(batch, "error", answer.error_type)
        else:
            # The store reports how many points it rejected, not which; the measurement is known only if all share it.
            measurements = {point.measurement for point in batch}
            measurement = measurements.pop() if len(measurements) == 1 else None
            self._add(len(batch) - answer.rejected, measurement, "ok", None)
            self._add(answer.rejected, measurement, "error", answer.error_type)
        self._report(
            answer.error_type, f"the store rejected {answer.rejected} of {len(batch)} points: {answer.message}"
        )

    def _count(self, points: list[Point], outcome: str, error_type: str | None) -> None:
        for measurement, number in Counter(point.measurement for point in points).items():
            self._add(number, measurement, outcome, error_type)

    def _add(self, number: int, measurement: str | None, outcome: str, error_type: str | None) -> None:
        ingest.POINTS_WRITTEN.add(
            number, sink=self._writer.name, measurement=measurement, outcome=outcome, error_type=error_type
        )

    def _report(self, error_type: str, message: str) -> None:
        """Count an error. Log only the first one of its type, and when all errors have been over for some minutes."""
        now = time.monotonic()
        over = [trouble for trouble, last in self._troubles.items() if now - last >= QUIET]
        for trouble in over:
            del self._troubles[trouble]
        if error_type:
            ingest.ERRORS.add(1, component=self._writer.name, error_type=error_type, severity="error")
            if error_type not in self._troubles:
                logger.error("%s: %s", self._writer.name, message)
            self._troubles[error_type] = now
        elif over and not self._troubles:
            logger.info("%s: the store accepts all points again", self._writer.name)
