"""Connections that are made again whenever they end, every step of which is counted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from examples.ingestor import counted
from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
REFUSED_DELAY = 60.0
"""After wrong credentials: they seldom become right, and Home Assistant may ban who tries them often (ip_ban)."""


class ConnectionEndedError(Exception):
    """A connection could not be made, or ended: why in a word, for the metrics, and in a sentence, for people."""

    def __init__(self, reason: str, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.refused = refused


@dataclass(frozen=True)
class Backoff:
    """Delays that double up to a limit, each up to half shorter at random, so that clients do not return at once."""

    first: float = FIRST_DELAY
    limit: float = LONGEST_DELAY

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row."""
        longest = min(self.limit, self.first * 2.0 ** min(failures - 1, 32))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing here is a secret


class Connection:
    """What there is to know of one kind of connection: whether it is up, why it ended, when it last said something."""

    def __init__(self, kind: str, backoff: Backoff | None = None) -> None:
        self.kind = kind
        self._backoff = backoff or Backoff()
        self._failures = 0
        self._last_message = time.monotonic()
        ingest.MESSAGE_AGE.observe(lambda: time.monotonic() - self._last_message, source=kind)

    def heard(self, size: int, kind: str) -> None:
        """Count the bytes of a message that came in."""
        self._last_message = time.monotonic()
        counted.bytes_received(self.kind, kind).add(size)

    def established(self) -> None:
        """Note that the connection works, so that the next delay is a short one again."""
        if self._failures:
            logger.info("%s: connected again", self.kind)
        self._failures = 0

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Count a connection that is up; how the block ends is how the connection ended."""
        ingest.CONNECTIONS.add(1, kind=self.kind)
        reason = "stopped"
        try:
            yield
        except ConnectionEndedError as ended:
            reason = ended.reason
            raise
        finally:
            ingest.CONNECTIONS.add(-1, kind=self.kind)
            ingest.CONNECTIONS_CLOSED.add(1, kind=self.kind, reason=reason)

    async def keep(self, session: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
        """Run `session` again whenever it raises ConnectionEndedError; until it returns, or until told to stop."""
        while not stopping.is_set():
            try:
                return await session()
            except ConnectionEndedError as ended:
                delay = self._ended(ended)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), delay)
                return None
            ingest.RECONNECTS.add(1, kind=self.kind)
        return None

    def _ended(self, ended: ConnectionEndedError) -> float:
        """Report the end of a connection and return the seconds to wait before the next."""
        self._failures += 1
        delay = REFUSED_DELAY if ended.refused else self._backoff.delay(self._failures)
        severity = "error" if ended.refused else "warning"
        ingest.ERRORS.add(1, component=self.kind, error_type=ended.reason, severity=severity)
        # The first of a series of failures is worth a line; the rest of them are in the metrics.
        level = logging.ERROR if ended.refused else logging.WARNING if self._failures == 1 else logging.DEBUG
        logger.log(level, "%s: %s; trying again in %.0f s", self.kind, ended, delay)
        return delay
