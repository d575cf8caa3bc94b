"""Accounts: the measurements that each step of an operation consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from otel_ha.declare.instruments import Counter, Histogram, Synchronous, UpDownCounter
from otel_ha.declare.outcome import Discarded, Outcome, is_discarded
from otel_ha.declare.ports import Attributes, Change, Queue


class _NoReason:
    """Takes the place of a reason that was not given, so that it is reported; None would leave the attribute out."""

    def __repr__(self) -> str:
        return "empty"


_NO_REASON: Any = _NoReason()


def _given(reason: Any) -> Any:
    """Return the reason of a discard, or the value that is reported in its place."""
    return _NO_REASON if reason is None or (type(reason) is str and not reason) else reason


class Accounts:
    """The instruments that account for work, and the changes to them at each step.

    Each instrument gets those of the attributes that it declares. Every step leaves
    received = processed + discarded + in flight.
    """

    def __init__(
        self,
        duration: Histogram,
        in_flight: UpDownCounter | None,
        received: Counter | None,
        discarded: Counter | None,
        occurrences: Counter | None,
        *,
        queued: bool,
    ) -> None:
        self._duration = duration
        self._in_flight = in_flight
        self._received = received
        self._discarded = discarded
        self._occurrences = occurrences
        self._queued = queued
        self.queue = None if in_flight is None else Queue(duration, in_flight, received)
        """The declarations that count work in the queue; None if work in flight is not counted."""
        every = (duration, in_flight, received, discarded, occurrences)
        self.instruments: tuple[Synchronous, ...] = tuple(each for each in every if each is not None)
        self.keywords = {each: frozenset(a.keyword for a in each.attributes) for each in self.instruments}
        """The attributes that each instrument declares, by keyword."""
        self.fixed = frozenset[str]().union(*(self.keywords[i] for i in (received, in_flight) if i)) - {"state"}
        """The keywords by which received work and work in flight are counted; they cannot change after its start."""

    def received(self, attributes: Attributes) -> Sequence[Change]:
        """Return the changes for work that goes into a queue."""
        return [*self._one(self._received, 1, attributes), *self._one(self._in_flight, 1, attributes, "queued")]

    def discarded(self, reason: str, attributes: Attributes) -> Sequence[Change]:
        """Return the changes for work that is given up while it is in the queue."""
        discarded = self._one(self._discarded, 1, {**attributes, "reason": _given(reason)})
        return [*discarded, *self._one(self._in_flight, -1, attributes, "queued")]

    def started(self, attributes: Attributes) -> Sequence[Change]:
        """Return the changes for work that starts."""
        return [*self._arrival(attributes), *self._one(self._in_flight, 1, attributes, "active")]

    def ended(
        self, outcome: Outcome | Discarded, duration: float, at_start: Attributes, at_end: Attributes
    ) -> Sequence[Change]:
        """Return the changes for work that ends; for processed work, the duration comes first."""
        return [*self._outcome_of(outcome, duration, at_end), *self._one(self._in_flight, -1, at_start, "active")]

    def passed(self, outcome: Outcome | Discarded, duration: float, attributes: Attributes) -> Sequence[Change]:
        """Return the changes for work that was received and ended in one step; the duration as for ended()."""
        return [*self._outcome_of(outcome, duration, attributes), *self._arrival(attributes)]

    def _arrival(self, attributes: Attributes) -> Sequence[Change]:
        if self._queued:
            return self._one(self._in_flight, -1, attributes, "queued")
        return self._one(self._received, 1, attributes)

    def _outcome_of(self, outcome: Outcome | Discarded, duration: float, attributes: Attributes) -> Sequence[Change]:
        if is_discarded(outcome) and self._discarded is not None:
            return self._one(self._discarded, 1, {**attributes, "reason": _given(outcome.reason)})
        name = "discarded" if is_discarded(outcome) else cast("Outcome", outcome)
        taken = self._one(self._duration, duration, {**attributes, "outcome": name})
        return [*taken, *self._one(self._occurrences, 1, attributes)]

    def _one(
        self, instrument: Synchronous | None, amount: float, attributes: Attributes, state: str | None = None
    ) -> list[Change]:
        """Return the change of one instrument, with those of the attributes that it declares."""
        if instrument is None:
            return []
        keywords = self.keywords[instrument]
        own = {keyword: value for keyword, value in attributes.items() if keyword in keywords}
        if state is not None:
            own["state"] = state
        return [(instrument, amount, own)]
