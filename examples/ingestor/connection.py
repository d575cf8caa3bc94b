"""Connections that are restored when they end; every connection, end and attempt is counted."""

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
"""Seconds to wait after wrong credentials: Home Assistant may ban clients that fail too often (ip_ban)."""


class ConnectionEndedError(Exception):
    """A connection failed or ended. `reason` is one word for the metrics, the message a sentence for people.

    `refused` means that the server rejected our credentials.
    """

    def __init__(self, reason: str, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.refused = refused


@dataclass(frozen=True)
class Backoff:
    """Delays that double up to a limit. Each is up to half shorter at random, so that clients do not retry in step."""

    first: float = FIRST_DELAY
    limit: float = LONGEST_DELAY

    def longest(self, failures: int) -> float:
        """Return the longest delay, in seconds, after this many failures in a row."""
        return min(self.limit, self.first * 2.0 ** min(failures - 1, 32))

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row."""
        return self.longest(failures) * random.uniform(0.5, 1.0)  # noqa: S311 - not used for secrets


BACKOFF = Backoff()


class Connection:
    """Keeps one connection alive and records its state, its ends and the age of its last event.

    `kind` names it in the metrics and in the log.
    """

    def __init__(self, kind: str, backoff: Backoff) -> None:
        self.kind = kind
        self._backoff = backoff
        self._active = False
        self._failures = 0
        self._reported: set[str] = set()
        self._could_take_all = True
        self._last_event = time.monotonic()
        ingest.CONNECTIONS.add(0, kind=kind)  # an alert on 0 needs the series before the first connection
        ingest.MESSAGE_AGE.observe(lambda: time.monotonic() - self._last_event, source=kind)

    def heard(self, size: int, kind: str) -> None:
        """Count the bytes of a received message; `kind` is its type in the metrics."""
        counted.bytes_received(self.kind, kind).add(size)

    def took_event(self) -> None:
        """Note a live event. Answers and history do not prove that events arrive."""
        self._last_event = time.monotonic()

    def could_not_take(self, error: Exception) -> None:
        """Count the exception that a message has raised, and log the first one: no message must end the service."""
        ingest.ERRORS.add(1, component=self.kind, error_type="message", severity="error")
        if self._could_take_all:
            message = "%s: a message could not be taken; it counts as invalid, and later ones too"
            logger.error(message, self.kind, exc_info=error)
        self._could_take_all = False

    def established(self) -> None:
        """Note that events can arrive: the connection is active, and the next delay is the shortest again."""
        if not self._active:
            self._active = True
            ingest.CONNECTIONS.add(1, kind=self.kind)
        if self._failures:
            logger.info("%s: connected again", self.kind)
        self._failures = 0
        self._reported.clear()

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Count the end of an open connection and its reason; call `established` in the block."""
        reason = "stopped"
        try:
            yield
        except ConnectionEndedError as ended:
            reason = ended.reason
            raise
        finally:
            if self._active:
                self._active = False
                ingest.CONNECTIONS.add(-1, kind=self.kind)
            ingest.CONNECTIONS_CLOSED.add(1, kind=self.kind, reason=reason)

    async def keep(self, session: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
        """Run `session`, and again after each ConnectionEndedError, until it returns or `stopping` is set."""
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
        """Report the end of a connection and return the seconds to wait before the next attempt."""
        self._failures += 1
        delay = REFUSED_DELAY if ended.refused else self._backoff.delay(self._failures)
        severity = "error" if ended.refused else "warning"
        ingest.ERRORS.add(1, component=self.kind, error_type=ended.reason, severity=severity)
        # Log each reason once until the connection is established again; the metrics count the others.
        level = logging.ERROR if ended.refused else logging.WARNING
        level = logging.DEBUG if ended.reason in self._reported else level
        self._reported.add(ended.reason)
        logger.log(level, "%s: %s; trying again in %.0f s", self.kind, ended, delay)
        return delay
