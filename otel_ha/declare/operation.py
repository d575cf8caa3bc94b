"""Operation: a kind of work, with the instruments that account for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from otel_ha.declare.accounts import Accounts
from otel_ha.declare.amounts import cannot_record, plain_duration
from otel_ha.declare.bound import BoundOperation
from otel_ha.declare.given import SET_BY_MEASUREMENTS, SET_BY_STEPS, did_you_mean
from otel_ha.declare.instruments import Attribute, Counter, Histogram, Synchronous, UpDownCounter
from otel_ha.declare.keys import Key, is_exact, key_of
from otel_ha.declare.naming import wrong_types
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.plain import is_same
from otel_ha.declare.ports import GENERATION, Attributes, AttributeValue, Change, Recorder, Step, shown
from otel_ha.declare.resolved import MOST_RESOLVED, Resolved, ended_key
from otel_ha.errors import CatalogError

_MAYBE_COUNTER = ((Counter, type(None)), "a Counter, or None")
_TYPES = (
    ("duration", Histogram, "a Histogram"),
    ("in_flight", (UpDownCounter, type(None)), "an UpDownCounter, or None"),
    ("received", *_MAYBE_COUNTER),
    ("discarded", *_MAYBE_COUNTER),
    ("occurrences", *_MAYBE_COUNTER),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """A kind of work, with the instruments that account for it.

    At every collection received = processed + discarded + in flight, where processed is the count of `duration`. Each
    instrument gets those of the attributes that it declares; `in_flight` has the attribute state, queued or active.
    `queued` work is counted by `receive()` when it goes into a queue; other work is received when it starts.
    `occurrences` counts processed work.
    """

    duration: Histogram
    in_flight: UpDownCounter | None = None
    received: Counter | None = None
    discarded: Counter | None = None
    occurrences: Counter | None = None
    queued: bool = False

    # Made at once: until Python 3.12, a cached_property takes a lock, which a forked child could find held.
    accounts: Accounts = field(init=False, repr=False)
    """The changes to its instruments at each step."""
    instruments: tuple[Synchronous, ...] = field(init=False, repr=False)
    """The instruments that it records to."""
    attributes: Mapping[str, Attribute] = field(init=False, repr=False)
    """The attributes that its instruments declare, by keyword."""
    measured_work: dict[Key, Any] = field(init=False, repr=False)
    """The work that measured() has found, by key_of() its attributes (see otel_ha.measure.work); the keys are exact."""
    last_work: dict[Key, Any] = field(init=False, repr=False)
    """Of those, the last one with the same values, whatever their keywords: found by a key that is cheaper to make."""
    _resolved: Resolved = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check that the instruments can hold the measurements; raises CatalogError."""
        for problem in wrong_types(self, *_TYPES):
            raise CatalogError(f"operation on {shown(self.duration)}: {problem}; give a declaration of that kind")
        accounts = Accounts(
            self.duration, self.in_flight, self.received, self.discarded, self.occurrences, queued=self.queued
        )
        attributes = {each.keyword: each for instrument in accounts.instruments for each in instrument.attributes}
        self.__dict__.update(
            accounts=accounts,
            instruments=accounts.instruments,
            attributes=attributes,
            measured_work={},
            last_work={},
            _resolved=Resolved(accounts.instruments),
        )
        name, unit = self.duration.name, self.duration.unit
        if unit != "s":
            raise CatalogError(f"{name!r} has the unit {unit!r} and cannot measure durations; declare it with unit='s'")
        for instrument, keyword in ((self.in_flight, "state"), (self.discarded, "reason")):
            if instrument is not None and keyword not in self.accounts.keywords[instrument]:
                raise CatalogError(f"{instrument.name!r} lacks the attribute {keyword!r} of an operation; declare it")

    def __repr__(self) -> str:
        """Return the name of its duration, which stands for it."""
        return f"Operation({self.duration.name})"

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of its measurements; None while all of its instruments are inert."""
        return self.resolved().recorder

    def receive(self, /, **attributes: AttributeValue | None) -> None:
        """Count work that was received and now waits in a queue; never raises."""
        if not self._record_resolved((), attributes):
            self._record_first((), attributes, self.accounts.received(attributes), "received")

    def discard(self, /, reason: str, **attributes: AttributeValue | None) -> None:
        """Count work that `receive()` counted and that is given up while it still waits; never raises.

        Work that `receive()` did not count is counted as received too, and reported as a problem.
        """
        if not self._record_resolved((reason,), attributes):
            self.watch_queue()
            self._record_first((reason,), attributes, self.accounts.discarded(reason, attributes), "ended")

    def record(
        self, duration: float, /, outcome: Outcome | Discarded = OK, **attributes: AttributeValue | None
    ) -> None:
        """Count work that took `duration` seconds, measured elsewhere: received and ended in one step.

        An invalid duration (negative, not a number) is reported, and nothing is counted. Never raises.
        """
        seconds = plain_duration(duration)
        if seconds is None:
            self._report("invalid_amount", "", cannot_record(duration, self.duration))
            return
        key = ended_key(outcome)
        if self._record_resolved(key, attributes, seconds):
            return
        if self.queued:
            self.watch_queue()
        changes = self.accounts.passed(outcome, seconds, attributes)
        if (open_span := self.resolved().open_span) is None:
            self._record_first(key, attributes, changes, "ended", varies=changes[0][0] is self.duration)
        else:  # never resolved, so that each piece of work comes here and has a span
            span = open_span(self, seconds)
            try:
                self.check(attributes)
                self._record(changes, "ended")
            finally:
                if span is not None:
                    span.finish(outcome, attributes)

    def expect_unreceived(self, /, **attributes: AttributeValue | None) -> None:
        """Declare that other code receives the work with these attributes: ending without `receive()` is no problem.

        The work is counted as received all the same. Holds until telemetry ends; never raises.
        """
        queue, recorder = self.accounts.queue, self._queue_recorder
        if queue is not None and recorder is not None:
            recorder.queues.expect(queue, attributes)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundOperation:
        """Return this operation with its attributes resolved, for code that receives work often.

        Raises CatalogError for an attribute that no instrument declares, a value outside a closed set, a function, and
        for outcome, reason, state and error_type, which the work sets itself.
        """
        return BoundOperation(self, attributes)

    def late(self, at_start: Attributes, attributes: Attributes) -> tuple[Attributes, bool]:
        """Return those of `attributes`, which became known after the start, that can still be recorded; and whether
        there was no problem.

        Attributes by which received work and work in flight are counted stay as they were, or the accounts would not
        add up.
        """
        own = attributes.keys() & SET_BY_MEASUREMENTS
        for keyword in own:
            message = f"{keyword!r} is set by the measurement itself; use fail(), discard() or cancel(); ignored"
            self._report("late_attribute", keyword, message)
        if own:
            attributes = {keyword: value for keyword, value in attributes.items() if keyword not in own}
        is_right = self.check(attributes, SET_BY_MEASUREMENTS) and not own
        # Even if it is equal: 1 and True are two values.
        fixed = attributes.keys() & self.accounts.fixed
        for keyword in fixed:
            if not is_same(attributes[keyword], at_start.get(keyword)):
                message = f"{keyword!r} cannot change once work has started; give it to bind() or measured(); ignored"
                self._report("late_attribute", keyword, message)
                is_right = False
        return {keyword: value for keyword, value in attributes.items() if keyword not in fixed}, is_right

    def check(self, attributes: Attributes, own: Collection[str] = SET_BY_STEPS) -> bool:
        """Report attributes that none of the instruments declares; return whether all are declared.

        The work sets its `own` attributes itself, so they are not suggested.
        """
        undeclared = attributes.keys() - self.attributes.keys()
        for keyword in undeclared:
            allowed = tuple(sorted(self.attributes.keys() - own))
            declared = f"(declared: {', '.join(allowed) or 'none'})"
            suggestion = did_you_mean(keyword, allowed)
            message = f"its operation has no attribute {shown(keyword)} {declared}; ignored{suggestion}"
            self._report("undeclared_attribute", keyword, message)
        return not undeclared

    def resolved(self) -> Resolved:
        """Return the steps that are resolved for the current recorders."""
        resolved = self._resolved
        if resolved.generation is not GENERATION.current:
            resolved = self.__dict__["_resolved"] = Resolved(self.instruments)
        return resolved

    def watch_queue(self) -> None:
        """Let telemetry watch the queue, before work leaves it."""
        queue, recorder = self.accounts.queue, self._queue_recorder
        if queue is not None and recorder is not None:
            recorder.queues.watch(queue)

    @property
    def _queue_recorder(self) -> Recorder | None:
        return None if self.in_flight is None else self.in_flight.recorder

    def _report(self, reason: str, keyword: str, message: str) -> None:
        if (recorder := self.recorder) is not None:
            recorder.report(reason, message, attribute=keyword)

    def _record(self, changes: Sequence[Change], step: Step) -> None:
        recorder = self.recorder
        if recorder is not None:
            recorder.record_together(changes, step, later=False)

    def _record_resolved(self, key: Key, attributes: Attributes, amount: float = 1) -> bool:
        """Record a step that is resolved for these attributes; return whether it was recorded, or is inert.

        `key` distinguishes steps with the same attributes: by the reason or the outcome.
        """
        resolved = self._resolved
        if resolved.generation is not GENERATION.current:
            resolved = self.resolved()
        if resolved.recorder is None and resolved.open_span is None:
            return True
        try:  # look_up() and key_of(), in place
            batch = resolved.batches.get((*key, *attributes, *attributes.values()))
        except Exception:  # noqa: BLE001 - see look_up()
            return False
        return batch is not None and batch.record(amount)

    def _record_first(
        self,
        key: Key,
        attributes: Attributes,
        changes: Sequence[Change],
        step: Step,
        *,
        varies: bool = False,
    ) -> None:
        """Record a step that is not resolved for these attributes, and resolve it for the next time."""
        resolved = self.resolved()
        declared = self.check(attributes)
        self._record(changes, step)
        key = key_of(attributes, *key)
        if not declared or not is_exact(key) or resolved.recorder is None or resolved.recorder.fast is None:
            return
        with suppress(Exception):  # a subclass of str may do anything when it is hashed
            if key not in resolved.batches and len(resolved.batches) < MOST_RESOLVED:
                batch = resolved.recorder.fast.batch(changes, step, varies=varies)
                if batch is not None:
                    batch.generation = resolved.generation
                    resolved.batches[key] = batch
