"""FileWriter: appends line protocol to a file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path

from examples.ingestor.line_protocol import Point
from examples.ingestor.outage import UnavailableError
from examples.ingestor.sink import Answer
from otel_ha import measured
from otel_ha.vocabulary import ingest


class FileWriter:
    """Appends each batch completely or not at all. A batch is stored once the operating system accepts it."""

    name = "file"

    def __init__(self, path: Path) -> None:
        """Open the file; raise OSError if it cannot be opened."""
        self._file = path.open("ab", buffering=0)

    async def write(self, points: Sequence[Point]) -> Answer:
        """Append the points; raise UnavailableError if the disk is full, for example."""
        data = "".join(f"{point.line}\n" for point in points).encode()
        try:
            await asyncio.to_thread(self._append, data)
        except OSError as error:
            kind = errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise UnavailableError(kind, f"{self._file.name}: {error.strerror}") from error
        ingest.DATA_SENT.add(len(data), sink=self.name, type="line_protocol")
        return Answer()

    async def close(self) -> None:
        """Close the file."""
        self._file.close()

    @measured(ingest.WRITE, system="file", operation="write")
    def _append(self, data: bytes) -> None:
        end = self._file.seek(0, 2)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            # Remove the part that fitted onto a full disk, because the whole batch is written again.
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise
