"""Watch: reads the services side by side, each in a thread of its own, so that none waits for another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic

from otel_ha.cli.client import Client, FailedError
from otel_ha.cli.top.reading import Reading, read

__all__ = ["Service", "Watch"]


@dataclass
class Service:
    """One watched service: its last reading, and since when it has not answered. Times are those of monotonic()."""

    url: str
    reading: Reading | None = None
    problem: str = ""
    """The reason why it does not answer; empty while it does."""
    problem_since: float = 0.0
    restarted: float | None = None
    """When a restart was noticed."""
    rate_now: float | None = None
    """Events per second between the last two readings."""
    asked: float | None = None
    """When it was asked, while the answer is missing."""

    @property
    def name(self) -> str:
        """The service's name, or its URL as long as the name is not known."""
        return (self.reading.service if self.reading else "") or self.url

    @property
    def address(self) -> str:
        """The URL without its scheme."""
        return self.url.partition("://")[2] or self.url

    def answered(self, reading: Reading, now: float) -> None:
        """Take an answer."""
        before = self.reading
        self.rate_now = None
        if before is not None and not before.is_same_run(reading):
            self.restarted = now
        elif before is not None:
            self.rate_now = _rate(before, reading)
        self.reading, self.problem, self.asked = reading, "", None

    def failed(self, problem: str, now: float) -> None:
        """Take the reason of a failure."""
        if not self.problem:
            self.problem_since = now
        self.problem, self.asked = problem, None


def _rate(before: Reading, after: Reading) -> float | None:
    ends = (before.timestamp, after.timestamp, before.processed, after.processed)
    if None in ends:
        return None
    start, end, first, last = (each or 0.0 for each in ends)
    return max(0.0, last - first) / (end - start) if end > start else None


class Watch:
    """Asks services for their summaries. Only `take` changes them, in the caller's thread.

    The threads are daemons: a service that hangs does not delay the end of the process.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self.services = [Service(client.shown) for client in clients]
        self._answers: SimpleQueue[tuple[Service, Reading | str]] = SimpleQueue()
        self.ready, self._wake = os.pipe()
        """`ready` is a file descriptor that can be read when there are answers."""
        os.set_blocking(self.ready, False)
        self._due = [Event() for _ in clients]
        for parts in zip(clients, self.services, self._due, strict=True):
            Thread(target=self._serve, args=parts, daemon=True).start()

    def ask(self) -> None:
        """Ask each service that has answered the last question."""
        for service, due in zip(self.services, self._due, strict=True):
            if service.asked is None:
                service.asked = monotonic()
                due.set()

    def take(self, within: float = 0.0) -> list[Service]:
        """Take the answers that have arrived, waiting for one at most so many seconds; return their services."""
        taken = [self._take(answer) for answer in self._next(within)]
        with suppress(BlockingIOError):
            os.read(self.ready, 1_024)
        return taken + [self._take(answer) for answer in self._next(0.0)]

    def _next(self, within: float) -> Iterable[tuple[Service, Reading | str]]:
        try:
            yield self._answers.get(timeout=within) if within > 0 else self._answers.get_nowait()
            while True:
                yield self._answers.get_nowait()
        except Empty:
            return

    def _take(self, answer: tuple[Service, Reading | str]) -> Service:
        service, found = answer
        if isinstance(found, Reading):
            service.answered(found, monotonic())
        else:
            service.failed(found, monotonic())
        return service

    def _serve(self, client: Client, service: Service, due: Event) -> None:
        while True:
            due.wait()
            due.clear()
            self._answers.put((service, _fetch(client)))
            os.write(self._wake, b".")


def _fetch(client: Client) -> Reading | str:
    try:
        return read(client.summary())
    except FailedError as error:
        reason = str(error).removeprefix(client.shown).strip().removeprefix("does not answer: ")
        return reason or "no answer"
    except Exception as error:  # noqa: BLE001 - an answer that nobody foresaw is a problem of that service alone
        return f"its summary cannot be read ({type(error).__name__})"
