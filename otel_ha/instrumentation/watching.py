"""Watching: the state of instrumented libraries, such as queues, connections and the age of the last message.

Telemetry may start after a library is in use, and be replaced: each telemetry that starts gets all of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

from otel_ha.declare.instruments import Observable
from otel_ha.declare.ports import AttributeValue, Source
from otel_ha.telemetry import when_started
from otel_ha.vocabulary import ingest

__all__ = ["Connections", "Silence", "observe"]

MOST_LOST = 100
"""Addresses whose connections were lost that are remembered, for each kind of connection."""


def observe(instrument: Observable, source: Source, /, **attributes: AttributeValue) -> Callable[[], None]:
    """Read `source` at every collection of any telemetry, until the returned function is called."""
    observing = [instrument.observe(lambda: None)]

    def begin() -> None:
        observing[0].stop()
        observing[0] = instrument.observe(source, **attributes)

    forget = when_started(begin, lambda: begin)

    def stop() -> None:
        forget()
        observing[0].stop()

    return stop


class _Once:
    """Lets one caller through, until it is renewed; takes no lock, as any thread may connect, and be interrupted."""

    def __init__(self) -> None:
        self._free = [None]

    def taken(self) -> bool:
        """Return True for the first caller only."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def renew(self) -> None:
        """Let one more through."""
        self._free[:] = [None]


class Silence:
    """The time since the last event of a source, or since it was first used: the metric homeassistant.message.age."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.last: float | None = None
        """When the last event arrived, by the monotonic clock; code that runs often sets it itself."""
        self._once = _Once()
        self._stop: Callable[[], None] | None = None

    def begin(self) -> None:
        """Report the source from now on; may be repeated."""
        if self._once.taken():
            self.last = monotonic()
            self._stop = observe(ingest.MESSAGE_AGE, self._age, source=self._source)

    def broken(self) -> None:
        """Note an event: the source is not silent."""
        self.last = monotonic()

    def end(self) -> None:
        """Stop reporting the source."""
        self.last = None
        if self._stop is not None:
            self._stop()
            self._stop = None
            self._once.renew()

    def _age(self) -> float | None:
        last = self.last
        return None if last is None else monotonic() - last


class Connections:
    """The connections of one kind: how many are up, why they ended, and how often they were tried again.

    A connection is any object of the library; it counts as up until `down()`, or until it is garbage. Some libraries
    connect the same object again, others make a new one; so what was lost is known by the object and by the address.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._up: dict[int, weakref.finalize[Any, Any]] = {}
        self._lost: dict[object, None] = {}
        self._lost_objects: weakref.WeakSet[Any] = weakref.WeakSet()
        self._once = _Once()
        self._forget: Callable[[], None] | None = None

    def attempt(self, address: object, connection: object = None) -> None:
        """Note an attempt to connect.

        It is a reconnect if this object, or a connection to this address, was lost or failed.
        """
        self._begin()
        if address in self._lost or connection in self._lost_objects:
            ingest.RECONNECTS.add(1, kind=self._kind)

    def failed(self, address: object, connection: object = None) -> None:
        """Note an attempt that failed."""
        self._remember(address, connection)

    def is_up(self, connection: object) -> bool:
        """Whether the connection counts as up."""
        return id(connection) in self._up

    def up(self, connection: object, address: object) -> None:
        """Note a connection that is up; may be repeated."""
        self._begin()
        self._lost.pop(address, None)
        self._lost_objects.discard(connection)
        key = id(connection)
        ended = weakref.finalize(connection, self._gone, key)
        ended.atexit = False
        if self._up.setdefault(key, ended) is ended:
            ingest.CONNECTIONS.add(1, kind=self._kind)
        else:
            ended.detach()

    def down(self, connection: object, address: object, reason: str, *, lost: bool = True) -> bool:
        """Note the end of a connection; return False if it was not up, so that it may be repeated.

        A connection that is not `lost`, because the program closed it, is not one to reconnect.
        """
        if (ended := self._up.pop(id(connection), None)) is None:
            return False
        ended.detach()
        if lost:
            self._remember(address, connection)
        ingest.CONNECTIONS_CLOSED.add(1, kind=self._kind, reason=reason)
        ingest.CONNECTIONS.add(-1, kind=self._kind)
        return True

    def end(self) -> None:
        """Forget every connection: the library is not instrumented any more."""
        for key in list(self._up):
            if (ended := self._up.pop(key, None)) is not None:
                ended.detach()
                ingest.CONNECTIONS.add(-1, kind=self._kind)
        self._lost.clear()
        self._lost_objects.clear()
        if self._forget is not None:
            self._forget()
            self._forget = None
            self._once.renew()

    def _begin(self) -> None:
        """Report the number of connections to each telemetry, 0 included, from the first attempt on."""
        if self._once.taken():
            self._forget = when_started(self._report, self._suspended)

    def _report(self) -> None:
        ingest.CONNECTIONS.add(len(self._up), kind=self._kind)

    def _suspended(self) -> Callable[[], None]:
        """Return a function that reports the change since now, to the telemetry that knows those of now."""
        before = len(self._up)
        return lambda: ingest.CONNECTIONS.add(len(self._up) - before, kind=self._kind)

    def _remember(self, address: object, connection: object) -> None:
        if len(self._lost) < MOST_LOST:
            self._lost[address] = None
        if connection is not None:
            self._lost_objects.add(connection)

    def _gone(self, key: int) -> None:
        """Note a connection whose object is garbage."""
        if self._up.pop(key, None) is not None:
            ingest.CONNECTIONS_CLOSED.add(1, kind=self._kind, reason="garbage")
            ingest.CONNECTIONS.add(-1, kind=self._kind)
