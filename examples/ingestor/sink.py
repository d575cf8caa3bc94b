"""BatchSink: collects points, has a writer store them in batches, and accounts for each point."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from examples.ingestor import counted
from examples.ingestor.line_protocol import Point
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)

BATCHES_WAITING = 4


class WriteFailedError(Exception):
    """A batch could not be written. `error_type` is for the metrics, the message is a sentence for people."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Answer:
    """The store's answer to a batch: the number of rejected points, and the reason."""

    rejected: int = 0
    error_type: str = ""
    message: str = ""


class Writer(Protocol):
    """Writes batches to one store."""

    name: str

    async def write(self, points: Sequence[Point]) -> Answer:
        """Write a batch; raise WriteFailedError if all of it is lost."""

    async def close(self) -> None:
        """Close the connections or files."""


class BatchSink:
    """Writes a batch when it has `size` points, or when its first point has waited for `seconds`.

    While the store is slow, `put` waits and events pile up in the intake, which counts the ones that it discards.
    """

    def __init__(self, writer: Writer, size: int, seconds: float) -> None:
        self._writer = writer
        self._size = size
        self._seconds = seconds
        self._points: asyncio.Queue[Point | None] = asyncio.Queue(BATCHES_WAITING * size)
        self._closed = False
        self._trouble = ""
        ingest.QUEUE_SIZE.observe(self._points.qsize, queue="points")
        ingest.QUEUE_CAPACITY.observe(lambda: self._points.maxsize, queue="points")

    async def put(self, point: Point) -> None:
        """Add a point; wait while the queue is full."""
        await self._points.put(point)

    async def close(self) -> None:
        """Let `run` end once it has written the remaining points."""
        await self._points.put(None)

    def abandon(self) -> None:
        """Count the remaining points as lost, if there is no time to write them."""
        left = [point for _ in range(self._points.qsize()) if (point := self._points.get_nowait()) is not None]
        self._lose(left)

    async def run(self) -> None:
        """Write batches until the sink is closed and empty."""
        try:
            while not self._closed:
                if batch := await self._next_batch():
                    await self._write(batch)
        finally:
            await self._writer.close()

    async def _next_batch(self) -> list[Point]:
        batch: list[Point] = []
        point = await self._points.get()
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            while point is not None:
                batch.append(point)
                if len(batch) == self._size:
                    return batch
                async with asyncio.timeout_at(deadline):
                    point = await self._points.get()
        except TimeoutError:
            return batch
        except asyncio.CancelledError:
            self._lose(batch)
            raise
        self._closed = True
        return batch

    async def _write(self, batch: list[Point]) -> None:
        ingest.BATCH_SIZE.record(len(batch), sink=self._writer.name)
        try:
            answer = await self._writer.write(batch)
        except WriteFailedError as failed:
            self._fail(batch, failed.error_type, str(failed))
        except Exception as error:  # noqa: BLE001 - one failed batch must not end the service
            self._fail(batch, type(error).__name__, repr(error))
        except asyncio.CancelledError:
            self._lose(batch)
            raise
        else:
            self._account(batch, answer)

    def _account(self, batch: list[Point], answer: Answer) -> None:
        """Count the stored and the rejected points of a batch that the store has answered."""
        if not answer.rejected:
            self._count(batch, "ok", None)
            for point in batch:
                counted.lag(point.event.source, self._writer.name).record(point.event.age)
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

    def _fail(self, batch: list[Point], error_type: str, message: str) -> None:
        """Count and report a batch that an error has lost."""
        self._count(batch, "error", error_type)
        self._report(error_type, f"lost {len(batch)} points: {message}")

    def _lose(self, points: list[Point]) -> None:
        """Count and report points that could not be written before the end."""
        self._count(points, "error", "shutdown")
        if points:
            logger.error("%s: lost %d points that could not be written before the end", self._writer.name, len(points))

    def _count(self, points: list[Point], outcome: str, error_type: str | None) -> None:
        for measurement, number in Counter(point.measurement for point in points).items():
            self._add(number, measurement, outcome, error_type)

    def _add(self, number: int, measurement: str | None, outcome: str, error_type: str | None) -> None:
        ingest.POINTS_WRITTEN.add(
            number, sink=self._writer.name, measurement=measurement, outcome=outcome, error_type=error_type
        )

    def _report(self, error_type: str, message: str) -> None:
        """Count an error; log only when errors begin, change their type or end."""
        if error_type:
            ingest.ERRORS.add(1, component=self._writer.name, error_type=error_type, severity="error")
        if error_type and error_type != self._trouble:
            logger.error("%s: %s", self._writer.name, message)
        elif self._trouble and not error_type:
            logger.info("%s: writes succeed again", self._writer.name)
        self._trouble = error_type
