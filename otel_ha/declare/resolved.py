"""Prepared: what of an operation was recorded before, resolved, so that recording it again is one append."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from otel_ha.declare.amounts import plain_duration
from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import GENERATION, Attributes, AttributeValue, Batch
from otel_ha.errors import CatalogError

MOST_RESOLVED = 1_000
"""Steps of one operation, each with its attributes, that are kept resolved; and as many tracks."""

SET_BY_STEPS = frozenset({"outcome", "reason", "state"})
"""Attributes that a step has of itself, by keyword."""


class Resolved:
    """What of an operation was resolved for its recorders of now."""

    __slots__ = ("generation", "groups", "recorded", "recorder", "tracks")

    def __init__(self, instruments: Sequence[Synchronous]) -> None:
        self.generation = GENERATION.current  # before the recorders: if they change meanwhile, this is out of date
        on = [instrument for instrument in instruments if instrument.recorder is not None]
        self.recorder = on[0].recorder if on else None
        self.recorded = frozenset(attribute.keyword for instrument in on for attribute in instrument.attributes)
        """The attributes that tell anything apart now, by keyword: those of instruments that are on."""
        self.groups: dict[tuple[Any, ...], Batch] = {}
        """Steps that were recorded before: by what tells them apart, the keywords, and the values, which are text or
        None, as of other values some are equal without being the same."""
        self.tracks: dict[tuple[AttributeValue | None, ...], Any] = {}
        """Those of measured() on this operation, wherever it stands (see otel_ha.measure.fastpath)."""


class Steps(Protocol):
    """An operation: what its handle needs of it."""

    def prepared(self) -> Resolved:
        """Return what is resolved for the recorders of now."""

    def receive(self, /, **attributes: AttributeValue | None) -> None:
        """Count work that was received."""

    def discard(self, /, reason: str, **attributes: AttributeValue | None) -> None:
        """Count work that is given up while it waits."""

    def record(
        self, duration: float, /, outcome: Outcome | Discarded = OK, **attributes: AttributeValue | None
    ) -> None:
        """Count work that is over."""


class BoundOperation:
    """An operation with its attributes: a step that was recorded before is one look-up and one append.

    Whatever cannot be resolved (see docs/architecture.md) is recorded as by the operation itself. It is inert as the
    operation is, and its steps never raise. Made with an attribute that a step has of itself it raises CatalogError.
    """

    __slots__ = ("_attributes", "_known", "_operation", "_received")

    def __init__(self, operation: Steps, attributes: Attributes) -> None:
        if wrong := sorted(attributes.keys() & SET_BY_STEPS):
            raise CatalogError(f"bind(): {', '.join(map(repr, wrong))} is set by each step itself")
        self._operation = operation
        self._attributes = attributes
        # One object, so that whichever thread asks, the steps are those of these recorders.
        self._known: tuple[Resolved, dict[tuple[Any, ...], Batch]] = operation.prepared(), {}
        self._received: Batch | None = None

    # All of it in one call, as for handles (see otel_ha.declare.handles): every piece of work is received.
    def receive(self) -> None:
        """Count work that was received and now waits in a queue; see Operation.receive."""
        group = self._received
        if (
            group is None
            or group.generation is not GENERATION.current
            or ((context := current_context()) and group.samples(context))
        ):
            if not self._recorded_again((), 1):
                self._operation.receive(**self._attributes)
            return
        if len(group.amounts) > group.limit:
            group.shorten()
        group.amounts.append(1)

    def discard(self, /, reason: str) -> None:
        """Count work that `receive()` counted and that is given up while it still waits; see Operation.discard."""
        if not self._recorded_again((reason,), 1):
            self._operation.discard(reason, **self._attributes)

    def record(self, duration: float, /, outcome: Outcome | Discarded = OK) -> None:
        """Count work that is over and took `duration` seconds, measured elsewhere; see Operation.record."""
        taken = plain_duration(duration)
        if taken is None or not self._recorded_again(ended_as(outcome), taken):
            self._operation.record(duration, outcome, **self._attributes)

    def _recorded_again(self, what: tuple[Any, ...], amount: float) -> bool:
        """Record a step that was recorded before, if it was; or nothing, while inert."""
        prepared, steps = self._known
        if prepared.generation is not GENERATION.current:
            prepared, steps = self._known = self._operation.prepared(), {}
        if prepared.recorder is None:
            return True
        try:
            group = steps.get(what) or self._find(what)
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            return False
        return group is not None and group.record(amount)

    def _find(self, what: tuple[Any, ...]) -> Batch | None:
        """Return a step, if it was recorded before."""
        prepared, steps = self._known
        if prepared is not self._operation.prepared():  # of two threads that were first, the other one's is kept
            prepared, steps = self._known = self._operation.prepared(), {}
        group = prepared.groups.get((*what, *self._attributes, *self._attributes.values()))
        if group is not None:
            steps[what] = group
            if what == ():
                self._received = group
        return group


def ended_as(outcome: Outcome | Discarded) -> tuple[Any, ...]:
    """Return what tells this end of work from other steps: received is (), discarded while it waits (reason,)."""
    return (None, None, outcome.reason) if isinstance(outcome, Discarded) else (None, outcome)
