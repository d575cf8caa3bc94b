"""Writes to InfluxDB: whether the store took the points, how long that took, how often it was tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from otel_ha.declare.measurement import qualified_name
from otel_ha.instrumentation.influxdb.line_protocol import count_points
from otel_ha.measure.decorator import Measured, measured
from otel_ha.vocabulary import ingest

__all__ = ["STORE", "WRITES", "error_type", "lost"]

STORE = "influxdb"
"""The sink, the component and the database of all that the clients write."""

_PARTIAL = frozenset({400, 422})
"""The statuses by which a store says that it rejected some of the points."""
_TAKEN = re.compile(r"\((\d{1,9}) (?:accepted|written)\)")
_DROPPED = re.compile(r"dropped=(\d{1,9})")
_UNREADABLE = "unable to parse '"


class Write:
    """Line protocol that a program has handed to a client, in one request."""

    __slots__ = ("answers", "body", "is_counted", "retry", "size")

    def __init__(self, body: object) -> None:
        self.body = body
        self.is_counted = False
        """Whether its points are counted, or will be when the request ends."""
        self.size = 0
        """The bytes of the request's body, as sent."""
        self.answers = 0
        """The requests that the store has answered."""
        self.retry: object = None
        """The state of the last retry."""


class Writes:
    """The writes of all clients; each write's state follows it through its library in a context variable."""

    def __init__(self) -> None:
        self._current: ContextVar[Write | None] = ContextVar("otel_ha_influxdb_write", default=None)

    @contextmanager
    def handing_over(self, body: object) -> Iterator[None]:
        """Count points as lost if the library fails before it sends them."""
        write = self._uncounted(body)
        with self._following(write):
            try:
                yield
            except BaseException as error:
                if not write.is_counted:
                    write.is_counted = True
                    _count(count_points(body), error)
                raise

    @contextmanager
    def sending(self, body: object, url: object) -> Iterator[None]:
        """Measure a request, retries included."""
        write = self._uncounted(body)
        write.is_counted = True
        points = count_points(body)
        with self._following(write):
            try:
                with _operation(url if isinstance(url, str) else "") as measurement:
                    try:
                        yield
                    except Exception as error:
                        measurement.fail(error_type(error))
                        raise
            except BaseException as error:
                write.answers += _status(error) is not None
                _count(points, error)
                raise
            else:
                write.answers += 1
                _count(points, None)
            finally:
                if write.answers:
                    ingest.DATA_SENT.add(write.size * write.answers, sink=STORE, type="line_protocol")

    def requested(self, body: object) -> None:
        """Note the body of a request as it is sent, maybe compressed."""
        write = self._current.get()
        if write is not None and isinstance(body, bytes | str):
            write.size = len(body if isinstance(body, bytes) else body.encode(errors="replace"))

    def retried(self, retry: Any) -> None:
        """Note a retry of the present request by urllib3's state of it."""
        write = self._current.get()
        if write is None or write.retry is retry:
            return
        write.retry = retry
        history = getattr(retry, "history", None)
        if history and history[-1].redirect_location is None:
            write.answers += history[-1].status is not None
            ingest.RETRIES.add(1, component=STORE, operation="write")

    def _uncounted(self, body: object) -> Write:
        """Return the present write, or one with this body if there is none or its points are counted."""
        write = self._current.get()
        return Write(body) if write is None or write.is_counted else write

    @contextmanager
    def _following(self, write: Write) -> Iterator[None]:
        token: Token[Write | None] = self._current.set(write)
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that is garbage is closed in another context
                self._current.reset(token)


WRITES = Writes()
"""The ones of this process."""


def lost(points: int, reason: str) -> None:
    """Count points that no request will hold."""
    ingest.POINTS_WRITTEN.add(points, sink=STORE, outcome="error", error_type=reason)
    ingest.ERRORS.add(1, component=STORE, error_type=reason, severity="error")


def _count(points: int, error: BaseException | None) -> None:
    """Count the points of a request by outcome; a write without points is none to a batch."""
    if points:
        ingest.BATCH_SIZE.record(points, sink=STORE)
    if error is not None and not isinstance(error, Exception):
        _add(points, "cancelled")
        return
    rejected = 0 if error is None else _rejected(error, points)
    _add(points - rejected, "ok")
    if error is not None:
        _add(rejected, "error", error_type(error))
        ingest.ERRORS.add(1, component=STORE, error_type=error_type(error), severity="error")


def _add(points: int, outcome: str, reason: str | None = None) -> None:
    if points:
        ingest.POINTS_WRITTEN.add(points, sink=STORE, outcome=outcome, error_type=reason)


@lru_cache(maxsize=64)
def _operation(url: str) -> Measured:
    """Return the measurement of writes to the store at this URL, which judges exceptions itself."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return measured(ingest.WRITE, expected=Exception, system=STORE, operation="write", server_address=host)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an exception of a client; None if the store has not answered."""
    status = _attribute(error, "status")
    return status if isinstance(status, int) and status > 0 else None


def _attribute(error: BaseException, name: str) -> Any:
    """Return an attribute of an exception, which may come from a callback of the program and do anything."""
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001 - the exception has to pass through
        return None


def error_type(error: BaseException) -> str:
    """Return the HTTP status, or else the exception's name; of given up retries it is the last exception's."""
    reason = _attribute(error, "reason")
    if isinstance(reason, Exception):
        error = reason
    status = _status(error)
    return qualified_name(type(error)) if status is None else str(status)


def _rejected(error: Exception, points: int) -> int:
    """Return how many of the points a store has rejected: all, unless it says that it stored the others.

    InfluxDB 3 lists up to 100 rejected lines. InfluxDB Cloud says how many points it accepted. InfluxDB 1 and 2 say
    dropped=N for points that do not fit stored ones; for lines that it cannot parse, 1 says dropped=0 and lists them.
    """
    if _status(error) not in _PARTIAL:
        return points
    try:
        answer = json.loads(_attribute(error, "body") or "")
        message = str(answer.get("message") or answer.get("error"))
        details = answer.get("data")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return points
    if "partial write" not in message:
        return points
    if (taken := _TAKEN.search(message)) is not None:
        return max(points - int(taken[1]), 0)
    if isinstance(details, list):
        return min(len(details), points)
    dropped = sum(map(int, _DROPPED.findall(message)))
    return min(dropped + message.count(_UNREADABLE) or 1, points)
