"""A plain model of measured work: what telemetry must have recorded of it, counted in Python."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from otel_ha import Attribute, Discarded, Histogram, Operation
from otel_ha.declare.instruments import Synchronous
from otel_ha.vocabulary import runtime
from tests.hostile import Incomparable, Raising, RaisingText, Unhashable

OTHER = "_OTHER"
LONGEST = 255

GIVEN: dict[str, tuple[Callable[[], Any], Any]] = {
    "nothing": (lambda: None, None),
    "one": (lambda: 1, 1),
    "one, as a float": (lambda: 1.0, 1.0),
    "true": (lambda: True, True),
    "other": (lambda: OTHER, OTHER),
    "long": (lambda: "x" * (LONGEST + 1), "x" * (LONGEST + 1)),
    "text that cannot be hashed": (partial(Unhashable, "a"), "a"),
    "text that cannot be compared": (partial(Incomparable, "b"), "b"),
    "text that raises": (partial(RaisingText, "c"), "c"),
    "an object that raises": (Raising, ...),
    "a list": (lambda: [1], ...),
    "a lone surrogate": (lambda: "\ud800", ...),
}
"""Values of attributes that are not plain text: how to make them, and as which value they count; ... as none."""


def exported(given: str) -> Any:
    """Return the value as which an attribute counts that was given by this name; a name may be a text itself."""
    return GIVEN[given][1] if given in GIVEN else given


def reason_of(given: str) -> str:
    """Return the name of the reason as which one of this name counts: a discard without a reason is a problem."""
    return "an object that raises" if given == "nothing" else given


@dataclass
class Piece:
    """A piece of work, as it is known so far: `outcome` is a name, or Discarded with one."""

    at_start: dict[str, str]
    at_end: dict[str, str] = field(default_factory=dict)
    outcome: str | Discarded = "ok"
    seconds: float = 0

    def __post_init__(self) -> None:
        self.at_end = {**self.at_start, **self.at_end}


class Model:
    """The points of one telemetry whose `instruments` are on."""

    def __init__(self, instruments: Iterable[Synchronous]) -> None:
        self.on = set(instruments)
        self.points: dict[str, dict[frozenset[Any], Any]] = defaultdict(dict)
        self._within_budget: dict[Attribute, set[Any]] = defaultdict(set)
        self._queues: dict[str, tuple[Operation, dict[frozenset[Any], dict[str, Any]]]] = {}

    # ---- The steps of work

    def received(self, operation: Operation, given: Mapping[str, str]) -> None:
        """Count work that goes into the queue."""
        self.check(operation, given)
        self._add(operation.received, 1, given)
        self._add(operation.in_flight, 1, {**given, "state": "queued"})

    def dropped(self, operation: Operation, reason: str, given: Mapping[str, str]) -> None:
        """Count work that is discarded while it is in the queue."""
        self.check(operation, given)
        self._add(operation.discarded, 1, {**given, "reason": reason_of(reason)})
        self._leave_queue(operation, given)

    def started(self, operation: Operation, given: Mapping[str, str]) -> None:
        """Count work that starts."""
        self._arrived(operation, given)
        self._add(operation.in_flight, 1, {**given, "state": "active"})

    def ended(self, operation: Operation, piece: Piece) -> None:
        """Count work that ends."""
        self._ended(operation, piece)
        self._add(operation.in_flight, -1, {**piece.at_start, "state": "active"})

    def passed(self, operation: Operation, piece: Piece) -> None:
        """Count work that was measured elsewhere."""
        self.check(operation, piece.at_end)
        self._ended(operation, piece)
        self._arrived(operation, piece.at_end)

    def collected(self) -> None:
        """Count as received what has left a queue unreceived."""
        for operation, keys in self._queues.values():
            waiting = self.points[operation.in_flight.name]
            for key, attributes in keys.items():
                missing = -waiting[key]
                if missing > 0:
                    waiting[key] = 0
                    self._count(operation.received, missing, attributes)
                    self.problem(operation.duration, "not_received", times=missing)

    # ---- Problems

    def problem(self, instrument: Synchronous, reason: str, attribute: str | None = None, times: int = 1) -> None:
        """Count a problem."""
        named = {"otel_ha.instrument": instrument.name, "otel_ha.problem.reason": reason}
        self._count(
            runtime.RECORDING_PROBLEMS, times, named if attribute is None else named | {"otel_ha.attribute": attribute}
        )

    def reporting(self, operation: Operation) -> Synchronous | None:
        """Return the instrument that stands for an operation in problems; None while all of them are off."""
        on = [each for each in operation.instruments if each in self.on]
        return min(on, key=lambda each: each.expires if hasattr(each, "expires") else False, default=None)

    def check(self, operation: Operation, given: Iterable[str]) -> None:
        """Report keywords that an operation does not declare."""
        for keyword in given:
            if keyword not in operation.attributes and (instrument := self.reporting(operation)) is not None:
                self.problem(instrument, "undeclared_attribute", keyword)

    # ---- Points

    def _arrived(self, operation: Operation, given: Mapping[str, str]) -> None:
        if operation.queued:
            self._leave_queue(operation, given)
        else:
            self._add(operation.received, 1, given)

    def _leave_queue(self, operation: Operation, given: Mapping[str, str]) -> None:
        key, attributes = self._add(operation.in_flight, -1, {**given, "state": "queued"})
        del attributes["test.state"]
        self._queues.setdefault(operation.in_flight.name, (operation, {}))[1][key] = attributes

    def _ended(self, operation: Operation, piece: Piece) -> None:
        if isinstance(piece.outcome, Discarded) and operation.discarded is not None:
            self._add(operation.discarded, 1, {**piece.at_end, "reason": reason_of(piece.outcome.reason)})
            return
        outcome = "discarded" if isinstance(piece.outcome, Discarded) else piece.outcome
        self._add(operation.duration, piece.seconds, {**piece.at_end, "outcome": outcome})
        self._add(operation.occurrences, 1, piece.at_end)

    def _add(self, instrument: Synchronous | None, amount: float, given: Mapping[str, str]) -> Any:
        """Count an amount with those of the attributes that the instrument declares."""
        if instrument is None or instrument not in self.on:
            return None
        declared = {attribute.keyword: attribute for attribute in instrument.attributes}
        own = {declared[k]: exported(v) for k, v in given.items() if k in declared and exported(v) is not None}
        attributes = {each.name: self._within_limits(instrument, each, value) for each, value in own.items()}
        return self._count(instrument, amount, attributes), attributes

    def _within_limits(self, instrument: Synchronous, attribute: Attribute, value: Any) -> Any:
        known = self._within_budget[attribute]
        if value is ...:
            problem = "invalid_value"
        elif value == OTHER:
            return OTHER
        elif attribute.values and value not in attribute.values:
            problem = "undeclared_value"
        else:
            if isinstance(value, str) and len(value) > LONGEST:
                self.problem(instrument, "value_too_long", attribute.name)
                value = value[:LONGEST]
            if not attribute.budget or value in known or len(known) < attribute.budget:
                known.add(value)
                return value
            problem = "budget_exceeded"
        self.problem(instrument, problem, attribute.name)
        return OTHER

    def _count(self, instrument: Synchronous, amount: float, attributes: Mapping[str, Any]) -> frozenset[Any]:
        key = frozenset((name, type(value).__name__, value) for name, value in attributes.items())
        points = self.points[instrument.name]
        if isinstance(instrument, Histogram):
            counts = points.setdefault(key, [0] * (len(instrument.buckets) + 1))
            counts[bisect_left(instrument.buckets, amount)] += 1
        else:
            points[key] = points.get(key, 0) + amount
        return key
