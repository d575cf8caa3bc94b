"""Resolved steps of an operation: once a step has been recorded, recording it again is a single append."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from otel_ha.declare.amounts import plain_duration
from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.keys import Key, key_of
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import GENERATION, Attributes, AttributeValue, Batch, Recorder
from otel_ha.declare.spans import SPANS
from otel_ha.errors import CatalogError

MOST_RESOLVED = 1_000
"""Steps of one operation, each with its attributes, that are kept resolved; and as many fast paths."""

SET_BY_STEPS = frozenset({"outcome", "reason", "state"})
"""Attributes that a step sets itself, by keyword."""


class Resolved:
    """The steps of an operation that are resolved for its current recorders."""

    __slots__ = ("batches", "fast_paths", "generation", "open_span", "recorded", "recorder")

    def __init__(self, instruments: Sequence[Synchronous]) -> None:
        self.generation = GENERATION.current  # before the recorders: if they change meanwhile, this is out of date
        on = [instrument for instrument in instruments if instrument.recorder is not None]
        self.recorder = _recorder_of(on)
        self.open_span = SPANS.open
        """Opens a span for a piece of work; None while traces are off."""
        shown = on if self.open_span is None else instruments
        self.recorded = frozenset(attribute.keyword for instrument in shown for attribute in instrument.attributes)
        """The attributes that are recorded now, by keyword: those of instruments that are on, and all in spans."""
        self.batches: dict[Key, Batch] = {}
        """Steps that were recorded before, by key_of() their attributes and step; the keys are exact."""
        self.fast_paths: dict[Key, Any] = {}
        """The fast paths of every measured() on this operation (see otel_ha.declare.fastpath)."""


def _recorder_of(on: Sequence[Synchronous]) -> Recorder | None:
    """Return the recorder of all steps: one that goes through the API, if there is one.

    There a measurement may have to wait for a collection, and no step must overtake the one before it. Series that
    expire are not among the accounts that have to add up.
    """
    recorders = [each.recorder for each in on if each.recorder is not None and not getattr(each, "expires", False)]
    through_api = [recorder for recorder in recorders if recorder.fast is None]
    return next(iter(through_api or recorders), on[0].recorder if on else None)


class Steps(Protocol):
    """The part of an operation that its handle needs."""

    def resolved(self) -> Resolved:
        """Return the steps that are resolved for the current recorders."""

    def receive(self, /, **attributes: AttributeValue | None) -> None:
        """Count work that was received."""

    def discard(self, /, reason: str, **attributes: AttributeValue | None) -> None:
        """Count work that is given up while it waits."""

    def record(
        self, duration: float, /, outcome: Outcome | Discarded = OK, **attributes: AttributeValue | None
    ) -> None:
        """Count work that was measured elsewhere."""


class BoundOperation:
    """An operation with its attributes: a step that was recorded before costs one look-up and one append.

    Steps that cannot be resolved (see docs/architecture/recording.md) are recorded as by the operation itself. It is
    inert while the operation is, and its steps never raise. Raises CatalogError for an attribute that a step sets
    itself.
    """

    __slots__ = ("_attributes", "_operation", "_received", "_resolved")

    def __init__(self, operation: Steps, attributes: Attributes) -> None:
        if wrong := sorted(attributes.keys() & SET_BY_STEPS):
            raise CatalogError(f"bind(): {', '.join(map(repr, wrong))} is set by each step itself; leave it out")
        self._operation = operation
        self._attributes = attributes
        # One object, so that in every thread the steps belong to these recorders.
        self._resolved: tuple[Resolved, dict[Key, Batch]] = operation.resolved(), {}
        self._received: Batch | None = None

    # All in one call, as for handles (see otel_ha.declare.handles): every piece of work is received.
    def receive(self) -> None:
        """Count work that was received and now waits in a queue; see Operation.receive."""
        batch = self._received
        if (
            batch is None
            or batch.generation is not GENERATION.current
            or ((context := current_context()) and batch.samples(context))
        ):
            if not self._record_resolved((), 1):
                self._operation.receive(**self._attributes)
            return
        if len(batch.amounts) > batch.limit:
            batch.shorten()
        batch.amounts.append(1)

    def discard(self, /, reason: str) -> None:
        """Count work that `receive()` counted and that is given up while it still waits; see Operation.discard."""
        if not self._record_resolved((reason,), 1):
            self._operation.discard(reason, **self._attributes)

    def record(self, duration: float, /, outcome: Outcome | Discarded = OK) -> None:
        """Count work that took `duration` seconds, measured elsewhere; see Operation.record."""
        seconds = plain_duration(duration)
        if seconds is None or not self._record_resolved(ended_key(outcome), seconds):
            self._operation.record(duration, outcome, **self._attributes)

    def _record_resolved(self, step: Key, amount: float) -> bool:
        """Record a step that is resolved; return whether it was recorded, or is inert."""
        resolved, steps = self._resolved
        if resolved.generation is not GENERATION.current:
            resolved, steps = self._resolved = self._operation.resolved(), {}
        if resolved.recorder is None and resolved.open_span is None:
            return True
        try:  # look_up(), in place
            batch = steps.get(step) or self._find(step)
        except Exception:  # noqa: BLE001 - see look_up()
            return False
        return batch is not None and batch.record(amount)

    def _find(self, step: Key) -> Batch | None:
        """Return the batch of a step that was recorded before."""
        resolved, steps = self._resolved
        if resolved is not self._operation.resolved():  # two threads were first at once; the other one's is kept
            resolved, steps = self._resolved = self._operation.resolved(), {}
        batch = resolved.batches.get(key_of(self._attributes, *step))
        if batch is not None:
            steps[step] = batch
            if step == ():
                self._received = batch
        return batch


def ended_key(outcome: Outcome | Discarded) -> Key:
    """Return the key of an end of work; a receipt has the key (), a discard from the queue (reason,)."""
    try:
        return (None, None, outcome.reason) if isinstance(outcome, Discarded) else (None, outcome)
    except Exception:  # noqa: BLE001 - an outcome of another type may do anything
        return (None, outcome)
