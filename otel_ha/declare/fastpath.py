"""Fast paths: once work with an attribute set has been measured, its start and its end are a single append each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from opentelemetry.context import Context

from otel_ha.declare.accounts import Accounts
from otel_ha.declare.instruments import Histogram
from otel_ha.declare.keys import Key, is_exact, look_up
from otel_ha.declare.outcome import OK, Way, outcome_of
from otel_ha.declare.ports import Attributes, Batch, Change, FastRecording, Recorder
from otel_ha.declare.resolved import MOST_RESOLVED, Resolved

MOST_ENDS = 100
"""Ends of work with one attribute set that are kept resolved: types of errors may be made for each one."""


class Measurable(Protocol):
    """The part of an operation that its fast paths need."""

    @property
    def accounts(self) -> Accounts:
        """The changes to its instruments at each step."""

    @property
    def duration(self) -> Histogram:
        """The histogram of its durations."""

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of its measurements; None while all of its instruments are inert."""

    def resolved(self) -> Resolved:
        """Return the steps that are resolved for the current recorders."""

    @property
    def queued(self) -> bool:
        """Whether work waits in a queue before it starts."""

    def watch_queue(self) -> None:
        """Let telemetry watch the queue, before work leaves it."""

    def late(self, at_start: Attributes, attributes: Attributes) -> tuple[Attributes, bool]:
        """Return those attributes that can still be recorded after the start, and whether these are all."""


class Ends:
    """The ends of work with one attribute set at its end: `known` has those that are resolved, by the way it ended.

    A known end takes the duration of work whose start was an append. Only ends that are `shared` with later work are
    worth resolving.
    """

    __slots__ = ("attributes", "known", "path", "shared")

    def __init__(self, path: FastPath, attributes: Attributes) -> None:
        self.path = path
        self.attributes = attributes
        self.shared = False
        self.known: dict[Hashable, Callable[[float], object]] = {}

    def ended(self, way: Way, elapsed: float) -> None:
        """Record the end of work whose start was an append."""
        try:  # look_up(), in place
            end = self.known.get(way)
        except Exception:  # noqa: BLE001 - see look_up()
            end = None
        if end is not None:
            end(elapsed)
        else:
            self.ended_first(way, elapsed)

    def ended_first(self, way: Way, elapsed: float) -> None:
        """Record an end that is not resolved, and resolve it for the next time."""
        path = self.path
        if path.is_current():
            self.ended_in_full(way, elapsed)
            fast = path.recorder.fast if self.shared and path.recorder is not None else None
            if not path.is_used:  # work with a set that is used only once, such as an id, is not worth resolving
                path.is_used = True
            elif fast is not None and len(self.known) < MOST_ENDS and look_up(self.known, way) is None:
                with suppress(Exception):  # a subclass of str may do anything when it is compared
                    self._resolve(fast, way)

    def ended_in_full(self, way: Way, elapsed: float, *, later: bool = False) -> None:
        """Record an end that is not resolved; with `later`, as a finalizer may."""
        path = self.path
        if path.is_current() and path.recorder is not None:
            # By this recorder: the operation may have another one by now, which has not seen the start.
            changes = path.operation.accounts.ended(outcome_of(way), elapsed, path.attributes, self.attributes)
            path.recorder.record_together(changes, "ended", later=later)

    def late(self, attributes: Attributes) -> Ends:
        """Return the ends of this work with attributes that became known after its start."""
        path, key = self.path, (self, *attributes, *attributes.values())
        try:  # look_up() and key_of(), in place
            found = path.late_ends.get(key)
        except Exception:  # noqa: BLE001 - see look_up()
            found = None
        if found is None:
            later, is_right = path.operation.late(path.attributes, attributes)
            found = self._with(later)
            if is_right:  # a problem has to be counted each time
                found = self._kept(key, found)
        return found

    def failed(self, error_type: str) -> Ends:
        """Return the ends of this work with the type of an error, which an operation need not declare."""
        key = self, error_type
        try:  # look_up(), in place
            found = self.path.late_ends.get(key)
        except Exception:  # noqa: BLE001 - see look_up()
            found = None
        if found is not None:
            return found
        ends = self._with({"error_type": error_type})
        return ends if ends is self else self._kept(key, ends)

    def _with(self, later: Attributes) -> Ends:
        path = self.path
        if path.open_span is None and path.recorded.isdisjoint(later):
            return self
        return Ends(path, {**self.attributes, **later})

    def _kept(self, key: Key, ends: Ends) -> Ends:
        """Return ends that later work finds at this key, if there is a place for them."""
        known = self.path.late_ends
        if self.shared and is_exact(key[1:]) and len(known) < MOST_RESOLVED:
            with suppress(Exception):  # a subclass of str may do anything when it is hashed
                ends = known.setdefault(key, ends)
                ends.shared = True
        return ends

    def _resolve(self, fast: FastRecording, way: Way) -> None:
        """Resolve this end, and the start, both of which were recorded before."""
        path = self.path
        if not path.resolve_start(fast):
            return
        changes = path.operation.accounts.ended(outcome_of(way), 0.0, path.attributes, self.attributes)
        varies = changes[0][0] is path.operation.duration
        # Series that expire cannot be resolved; occurrences are not among the accounts that have to add up.
        apart = [change for change in changes if getattr(change[0], "expires", False)]
        together = [change for change in changes if change not in apart]
        end_batch = fast.batch(together, "ended", varies=varies)
        if end_batch is not None:
            self.known[way] = end = _end(end_batch, apart, shortens=self is not path)
            if self is path:
                path.add(end_batch)
                if way == OK:
                    path.ended_ok = end


class FastPath(Ends):
    """The start of work with one attribute set, resolved, and its ends with the same attributes.

    `started` is appended to when work starts, and is shortened beyond `limit`; it is None until the attributes are
    resolved, or if they cannot be, or if each piece of work has a span, which `open_span` opens. `ended_ok` takes the
    duration of work that ended with the outcome ok. `late_ends` has the ends with other attributes than at the start,
    of every path of the operation.
    """

    __slots__ = (
        "_batches",
        "ended_ok",
        "is_used",
        "late_ends",
        "limit",
        "open_span",
        "operation",
        "recorded",
        "recorder",
        "started",
    )

    def __init__(self, operation: Measurable, resolved: Resolved, attributes: Attributes) -> None:
        super().__init__(self, attributes)
        self.operation = operation
        self.recorder = resolved.recorder
        self.recorded = resolved.recorded
        self.open_span = resolved.open_span
        self.late_ends: dict[Key, Ends] = resolved.late_ends
        self.is_used = False
        """Whether work with these attributes has ended before."""
        self.started: list[Any] | None = None
        self.limit = 0
        self.ended_ok: Callable[[float], object] = partial(self.ended_first, OK)
        self._batches: list[Batch] = []

    def start_in_full(self) -> None:
        """Record a start that is not resolved, or in a sampled span."""
        if self.recorder is not None and self.is_current():
            if self.operation.queued:
                self.operation.watch_queue()
            # By this recorder, as the end.
            changes = self.operation.accounts.started(self.attributes)
            self.recorder.record_together(changes, "started", later=False)

    def is_current(self) -> bool:
        """Whether the recorder that saw the start is still in use; telemetry ends only work that it saw start."""
        return self.recorder is not None and self.recorder is self.operation.recorder

    def samples(self, context: Context) -> bool:
        """Whether measurements in this context may become exemplars, so that the fast path must not be used."""
        return self._batches[0].samples(context)  # there is one, as `started` is set

    def shorten(self) -> None:
        """Add up the waiting amounts."""
        for batch in self._batches:
            batch.shorten()

    def add(self, batch: Batch) -> None:
        """Let a batch be shortened together with the starts."""
        self._batches.append(batch)

    def resolve_start(self, fast: FastRecording) -> bool:
        """Resolve the start, which was recorded before; return whether it is resolved."""
        if self.started is None:
            batch = fast.batch(self.operation.accounts.started(self.attributes), "started", varies=False)
            if batch is None:
                self.shared = False  # nor will it be possible later
                return False
            self.add(batch)
            self.limit, self.started = batch.limit, batch.amounts
        return True


def _end(batch: Batch, apart: Sequence[Change], *, shortens: bool) -> Callable[[float], object]:
    """Return the function that records an end, given its duration; it shortens a batch that its path does not."""
    amounts, append, limit = batch.amounts, batch.amounts.append, batch.limit
    counted = [(instrument.recorder, attributes) for instrument, _, attributes in apart if instrument.recorder]
    if not (counted or shortens):
        return append

    def end(elapsed: float) -> None:
        if shortens and len(amounts) > limit:
            batch.shorten()
        append(elapsed)
        for recorder, attributes in counted:
            recorder.record(1, attributes)

    return end
