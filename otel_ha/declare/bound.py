"""Bound operations: an operation together with its attributes, and the blocks that are measured with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from otel_ha.declare.amounts import plain_duration
from otel_ha.declare.context import current_context
from otel_ha.declare.fastpath import Measurable
from otel_ha.declare.given import check_given
from otel_ha.declare.instruments import Attribute
from otel_ha.declare.keys import Key, key_of
from otel_ha.declare.measurement import NEW, UNMEASURED, Expected, Judge, Measurement, new_measurement
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.paths import FastPaths
from otel_ha.declare.ports import GENERATION, Attributes, AttributeValue, Batch, call_of
from otel_ha.declare.resolved import Resolved, ended_key
from otel_ha.errors import CatalogError


class Steps(Measurable, Protocol):
    """The part of an operation that its handle needs."""

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """The attributes that its instruments declare, by keyword."""

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
    inert while the operation is, and its steps never raise. Raises CatalogError as Operation.bind.
    """

    __slots__ = ("_attributes", "_judge", "_operation", "_paths", "_received", "_resolved")

    def __init__(self, operation: Steps, attributes: Attributes) -> None:
        check_given("bind()", attributes, operation.attributes)
        if wrong := [keyword for keyword, value in attributes.items() if callable(value)]:
            raise CatalogError(f"bind(): {wrong[0]} is a function; bind() takes values; use measured() for functions")
        self._operation = operation
        self._attributes = attributes
        # One object, so that in every thread the steps belong to these recorders.
        self._resolved: tuple[Resolved, dict[Key, Batch]] = operation.resolved(), {}
        self._received: Batch | None = None
        self._judge = Judge(operation, None, ())
        self._paths = FastPaths(operation, attributes, {}, self._judge.failed)

    def __repr__(self) -> str:
        """Return the call of bind() that made it."""
        return f"{self._operation!r}.{call_of('bind', self._attributes)}"

    # A keyword-only argument would cost a tenth of the block.
    def measured(self, expected: Expected | None = None) -> Measurement:
        """Return the measurement of one `with` block, which is a piece of work: `with bound.measured() as event:`.

        The block may set its outcome and further attributes, see Measurement; each one needs a measurement of its own.
        `expected` exceptions do not count as errors, as for measured(). Exceptions pass through.
        """
        paths = self._paths
        if paths.idle is GENERATION.current:
            return UNMEASURED
        if paths.generation is not GENERATION.current:
            paths = self._paths = FastPaths(self._operation, self._attributes, {}, self._judge.failed)
            if paths.idle is not None:
                return UNMEASURED
        judge = self._judge if expected is None else Judge(self._operation, None, expected)
        path = paths.only or paths.of((), {})
        if path.open_span is not None:
            return new_measurement(judge, path)
        measurement = Measurement()  # as there, in place
        measurement._judge = judge
        measurement._path = measurement._ends = path
        measurement._way = OK
        measurement._state = NEW
        return measurement

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
