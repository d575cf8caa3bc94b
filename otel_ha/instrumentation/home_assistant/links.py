"""Links: whether a connection to Home Assistant is up, why it ended, and whether it is made again."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otel_ha.declare.measurement import qualified_name
from otel_ha.instrumentation.home_assistant.frames import SOURCE
from otel_ha.instrumentation.watching import Connections
from otel_ha.vocabulary import ingest

__all__ = ["Link", "attempt"]


@contextmanager
def attempt(connections: Connections, address: str) -> Iterator[None]:
    """Note that a program connects to an address, in a block."""
    connections.attempt(address)
    try:
        yield
    except BaseException as error:
        connections.failed(address)
        if isinstance(error, Exception):
            ingest.ERRORS.add(1, component=SOURCE, error_type=qualified_name(type(error)), severity="warning")
        raise


class Link:
    """One connection: up from the first frame after Home Assistant has accepted the token, until it ends.

    A library may know the end before the program has read the last frames; it counts when they say whether the token
    was accepted.
    """

    def __init__(self, connections: Connections, connection: Any, address: str) -> None:
        self._connections = connections
        self._connection = weakref.ref(connection)
        self._address = address
        self._unread_end: int | None = None
        self._is_refused = False
        self._is_over = False
        self.is_judged = False
        """Whether the token is known to be accepted or refused."""

    def judge(self, head: str) -> None:
        """Note the start of a frame: any but these two says that the token is accepted."""
        if '"auth_required"' in head or (connection := self._connection()) is None:
            return
        self.is_judged = True
        self._is_refused = '"auth_invalid"' in head
        if not self._is_refused and not self._is_over:
            self._connections.up(connection, self._address)
        self.settle()

    def end(self, code: int | None, *, by_program: bool = False, may_be_unread: bool = False) -> None:
        """Note that the connection has ended with a close code, or that the program closes it; may be repeated."""
        if self._is_over:
            return
        if may_be_unread and not self.is_judged:
            self._unread_end = code or 1006
            return
        self._is_over = True
        if self._unread_end is not None:
            code, by_program = self._unread_end, False
        lost = self._is_refused or not by_program
        reason = "auth_invalid" if self._is_refused else str(code or 1006) if lost else "stopped"
        connection = self._connection()
        if connection is None or not self._connections.down(connection, self._address, reason, lost=lost):
            ingest.CONNECTIONS_CLOSED.add(1, kind=SOURCE, reason=reason)
            if lost:
                self._connections.failed(self._address)
        if lost:
            ingest.ERRORS.add(1, component=SOURCE, error_type=reason, severity="warning")

    def settle(self) -> None:
        """Count an end that was known before its frames were read, as none of them is to come."""
        if self._unread_end is not None:
            self.end(None)

    def forget(self) -> None:
        """Count nothing from now on."""
        self._is_over = True
