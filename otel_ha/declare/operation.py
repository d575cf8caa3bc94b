"""Operation: a kind of work, and the instruments that account for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from otel_ha.declare.amounts import no_amount, plain_duration
from otel_ha.declare.instruments import Attribute, Counter, Histogram, Synchronous, UpDownCounter
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import GENERATION, Attributes, AttributeValue, Change, Recorder, Step
from otel_ha.declare.resolved import MOST_RESOLVED, BoundOperation, Resolved, ended_as
from otel_ha.errors import CatalogError


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """A kind of work and the instruments that account for it.

    At every collection received = processed + discarded + in flight,
    where processed is the count of `duration`. Each instrument takes those of the attributes that it declares;
    `in_flight` is told apart by state, queued or active. Work that is `queued` was counted by `receive()` when it went
    into a queue; other work is received when it starts. `occurrences` counts work that was processed.
    """

    duration: Histogram
    in_flight: UpDownCounter | None = None
    received: Counter | None = None
    discarded: Counter | None = None
    occurrences: Counter | None = None
    queued: bool = False

    def __post_init__(self) -> None:
        """Check that the instruments can hold what is recorded on them; raises CatalogError."""
        name, unit = self.duration.name, self.duration.unit
        if unit != "s":
            raise CatalogError(f"{name!r} cannot measure durations: these are in seconds, its unit is {unit!r}")
        for instrument, keyword in ((self.in_flight, "state"), (self.discarded, "reason")):
            if instrument is not None and keyword not in self._keywords[instrument]:
                raise CatalogError(f"{instrument.name!r} needs an attribute {keyword!r} in an operation")

    @functools.cached_property
    def instruments(self) -> tuple[Synchronous, ...]:
        """The instruments it records to."""
        every = (self.duration, self.in_flight, self.received, self.discarded, self.occurrences)
        return tuple(instrument for instrument in every if instrument is not None)

    @functools.cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """The attributes that its instruments declare, by keyword."""
        return {attribute.keyword: attribute for instrument in self.instruments for attribute in instrument.attributes}

    @property
    def recorder(self) -> Recorder | None:
        """What its measurements are handed to; None while all of its instruments are inert."""
        for instrument in self.instruments:
            if instrument.recorder is not None:
                return instrument.recorder
        return None

    def receive(self, /, **attributes: AttributeValue | None) -> None:
        """Count work that was received and now waits in a queue; never raises."""
        if not self._recorded_again((), attributes):
            changes = [*self._one(self.received, 1, attributes), *self._one(self.in_flight, 1, attributes, "queued")]
            self._record_first((), attributes, changes, "received")

    def discard(self, /, reason: str, **attributes: AttributeValue | None) -> None:
        """Count work that `receive()` counted and that is given up while it still waits; never raises."""
        if not self._recorded_again((reason,), attributes):
            discarded = self._one(self.discarded, 1, {**attributes, "reason": reason})
            changes = [*discarded, *self._one(self.in_flight, -1, attributes, "queued")]
            self._record_first((reason,), attributes, changes, "ended")

    def record(
        self, duration: float, /, outcome: Outcome | Discarded = OK, **attributes: AttributeValue | None
    ) -> None:
        """Count work that is over and took `duration` seconds, measured elsewhere: received and ended in one step.

        A duration that is none (negative, no number) is reported, and nothing is counted. Never raises.
        """
        taken = plain_duration(duration)
        if taken is None:
            self._report("invalid_amount", "", no_amount(duration, self.duration))
            return
        what = ended_as(outcome)
        if not self._recorded_again(what, attributes, taken):
            changes = [*self._ended(outcome, taken, attributes), *self._arriving(attributes)]
            self._record_first(what, attributes, changes, "ended", varies=changes[0][0] is self.duration)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundOperation:
        """Return this operation with its attributes resolved, for a place where work comes in often.

        Raises CatalogError for a reason, an outcome or a state: each step has its own.
        """
        return BoundOperation(self, attributes)

    def start(self, attributes: Attributes) -> None:
        """Count work that starts."""
        self._record(self.starting(attributes), "started")

    def end(
        self,
        outcome: Outcome | Discarded,
        duration: float,
        *,
        at_start: Attributes,
        at_end: Attributes,
        later: bool = False,
    ) -> None:
        """Count work that ended after `duration` seconds; what leaves the number in flight has the attributes it had.

        With `later`, no lock is taken and the next collection sees it: for finalizers.
        """
        self._record(self.ending(outcome, duration, at_start, at_end), "ended", later=later)

    def starting(self, attributes: Attributes) -> Sequence[Change]:
        """Return what a start changes."""
        return [*self._arriving(attributes), *self._one(self.in_flight, 1, attributes, "active")]

    def _arriving(self, attributes: Attributes) -> Sequence[Change]:
        if self.queued:
            return self._one(self.in_flight, -1, attributes, "queued")
        return self._one(self.received, 1, attributes)

    def ending(
        self, outcome: Outcome | Discarded, duration: float, at_start: Attributes, at_end: Attributes
    ) -> Sequence[Change]:
        """Return what an end changes; work that is processed changes the duration, and that first."""
        return [*self._ended(outcome, duration, at_end), *self._one(self.in_flight, -1, at_start, "active")]

    def _ended(self, outcome: Outcome | Discarded, duration: float, attributes: Attributes) -> Sequence[Change]:
        if isinstance(outcome, Discarded) and self.discarded is not None:
            return self._one(self.discarded, 1, {**attributes, "reason": outcome.reason})
        name = "discarded" if isinstance(outcome, Discarded) else outcome
        taken = self._one(self.duration, duration, {**attributes, "outcome": name})
        return [*taken, *self._one(self.occurrences, 1, attributes)]

    def late(self, at_start: Attributes, attributes: Attributes) -> Attributes:
        """Return those of `attributes`, which are given after the start, that can still be taken.

        What tells received work and work in flight apart stays as it was, or the accounts would not add up.
        """
        self._check(attributes)
        fixed = {k for k in attributes.keys() & self._fixed if attributes[k] != at_start.get(k)}
        for keyword in fixed:
            self._report(
                "late_attribute", keyword, f"{keyword!r} cannot change once work has started; it is left as it was"
            )
        return {keyword: value for keyword, value in attributes.items() if keyword not in fixed}

    def _check(self, attributes: Attributes) -> bool:
        """Report attributes that no instrument declares, and return whether there is none.

        Those that just one instrument has are left out of the others.
        """
        undeclared = attributes.keys() - self.attributes.keys()
        for keyword in undeclared:
            self._report(
                "undeclared_attribute", keyword, f"an operation on it has no attribute {keyword!r}; it is left out"
            )
        return not undeclared

    def _report(self, reason: str, keyword: str, what: str) -> None:
        if (recorder := self.recorder) is not None:
            recorder.report(reason, what, attribute=keyword)

    def _one(
        self, instrument: Synchronous | None, amount: float, attributes: Attributes, state: str | None = None
    ) -> list[Change]:
        """Return the change of one instrument, with those of the attributes that it declares."""
        if instrument is None:
            return []
        keywords = self._keywords[instrument]
        own = {keyword: value for keyword, value in attributes.items() if keyword in keywords}
        if state is not None:
            own["state"] = state
        return [(instrument, amount, own)]

    def _record(self, changes: Sequence[Change], step: Step, *, later: bool = False) -> None:
        recorder = self.recorder
        if recorder is not None:
            recorder.record_together(changes, step, later=later)

    def _recorded_again(self, what: tuple[Any, ...], attributes: Attributes, amount: float = 1) -> bool:
        """Record a step with attributes that it was recorded with before, if it was; or nothing, while inert.

        `what` tells apart what can be recorded with the same attributes: the reason, or the outcome.
        """
        prepared = self._prepared
        if prepared.generation is not GENERATION.current:
            prepared = self.prepared()
        if prepared.recorder is None:
            return True
        try:
            group = prepared.groups.get((*what, *attributes, *attributes.values()))
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            return False
        return group is not None and group.record(amount)

    def _record_first(
        self,
        what: tuple[Any, ...],
        attributes: Attributes,
        changes: Sequence[Change],
        step: Step,
        *,
        varies: bool = False,
    ) -> None:
        prepared = self.prepared()
        declared = self._check(attributes)
        self._record(changes, step)
        recorder, key = prepared.recorder, (*what, *attributes, *attributes.values())
        # Of values that equal others (1, 1.0 and True) the key would not say which.
        plain = all(isinstance(part, str | None) for part in key)
        if not (declared and plain) or recorder is None:
            return
        with suppress(Exception):  # a text may be of a class of its own, which does anything when it is hashed
            if key not in prepared.groups and len(prepared.groups) < MOST_RESOLVED:
                group = recorder.prepare(changes, step, varies=varies)
                if group is not None:
                    group.generation = prepared.generation
                    prepared.groups[key] = group

    def prepared(self) -> Resolved:
        """Return what is resolved for the recorders of now."""
        prepared = self._prepared
        if prepared.generation is not GENERATION.current:
            prepared = self.__dict__["_prepared"] = Resolved(self.instruments)
        return prepared

    @functools.cached_property
    def _prepared(self) -> Resolved:
        return Resolved(self.instruments)

    @functools.cached_property
    def _keywords(self) -> Mapping[Synchronous, frozenset[str]]:
        return {i: frozenset(attribute.keyword for attribute in i.attributes) for i in self.instruments}

    @functools.cached_property
    def _fixed(self) -> frozenset[str]:
        """The keywords that work is received and in flight by."""
        accounts = (self._keywords[i] for i in (self.received, self.in_flight) if i is not None)
        return frozenset().union(*accounts) - {"state"}
