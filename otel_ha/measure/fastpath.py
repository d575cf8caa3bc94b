"""Tracks: the way of work with the same attributes, resolved, so that a start and an end are one append each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry.context import Context

from otel_ha.declare.context import current_context
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import AttributeValue, Batch, Change, Recorder
from otel_ha.declare.resolved import MOST_RESOLVED


class FastPath:
    """What work with the same attributes records at its start, and at each of its ends.

    `started` is appended to where work starts, and must not get longer than `limit`; it is None until the attributes
    are resolved, or where they cannot be. `end_well` takes the duration of what ended with the outcome ok. Only what is
    kept, for the next work with these attributes, is worth resolving.
    """

    __slots__ = ("_ends", "_groups", "attributes", "end_well", "kept", "limit", "operation", "recorder", "started")

    def __init__(
        self, operation: Operation, recorder: Recorder | None, attributes: dict[str, AttributeValue | None]
    ) -> None:
        self.operation = operation
        self.recorder = recorder
        self.attributes = attributes
        self.kept = False
        self.started: list[Any] | None = None
        self.limit = 0
        self.end_well: Callable[[float], object] = partial(self.end_at_first, OK)
        self._ends: dict[Outcome | Discarded, Callable[[float], object]] = {}
        self._groups: list[Batch] = []

    def start(self) -> bool:
        """Record a start, and return whether that was one append: then the end may be as well."""
        context = current_context()
        if self.started is None or (context and self.samples(context)):
            if self.recorder is not None:
                self.operation.start(self.attributes)
            return False
        if len(self.started) > self.limit:
            self.shorten()
        self.started.append(None)
        return True

    def end(self, outcome: Outcome | Discarded, elapsed: float) -> None:
        """Record the end of what was started by an append."""
        end = self._end_by(outcome)
        if end is not None:
            end(elapsed)
        else:
            self.end_at_first(outcome, elapsed)

    def end_at_first(self, outcome: Outcome | Discarded, elapsed: float) -> None:
        """Record an end that was not recorded before, and prepare for the next."""
        if self.is_current():
            self.operation.end(outcome, elapsed, at_start=self.attributes, at_end=self.attributes)
            if self.kept and self.recorder is not None and self._end_by(outcome) is None:
                self._prepare(self.recorder, outcome)

    def _end_by(self, outcome: Outcome | Discarded) -> Callable[[float], object] | None:
        try:
            return self._ends.get(outcome)
        except Exception:  # noqa: BLE001 - whatever was given as a reason, recording never raises
            return None

    def is_current(self) -> bool:
        """Whether what starts is still recorded where this was; what telemetry did not see start, it does not end."""
        return self.recorder is not None and self.recorder is self.operation.recorder

    def samples(self, context: Context) -> bool:
        """Whether what is recorded in this context may become an exemplar: it takes no track."""
        return self.recorder is not None and self.recorder.samples(context)

    def shorten(self) -> None:
        """Add up what waits."""
        for group in self._groups:
            group.shorten()

    def _prepare(self, recorder: Recorder, outcome: Outcome | Discarded) -> None:
        """Resolve this end, and the start, which were both recorded before."""
        operation, attributes = self.operation, self.attributes
        if self.started is None:
            started = recorder.prepare(operation.starting(attributes), "started", varies=False)
            if started is None:
                self.kept = False  # nor will it be possible later
                return
            self._groups.append(started)
            self.limit, self.started = started.limit, started.amounts
        changes = operation.ending(outcome, 0.0, attributes, attributes)
        varies = changes[0][0] is operation.duration
        # Series that expire cannot be prepared; what merely occurs is not one of the accounts that have to add up.
        apart = [change for change in changes if getattr(change[0], "expires", False)]
        ended = recorder.prepare([change for change in changes if change not in apart], "ended", varies=varies)
        if ended is not None:
            self._groups.append(ended)
            self._ends[outcome] = end = _end(ended, apart)
            if outcome == OK:
                self.end_well = end


def _end(ended: Batch, apart: Sequence[Change]) -> Callable[[float], object]:
    """Return what records an end that took so long."""
    append = ended.amounts.append
    counted = [(instrument.recorder, attributes) for instrument, _, attributes in apart if instrument.recorder]
    if not counted:
        return append

    def end(elapsed: float) -> None:
        append(elapsed)
        for recorder, attributes in counted:
            recorder.record(1, attributes)

    return end


class FastPaths:
    """The tracks of one measured(), one for each set of attributes, while all recorders stay as they are.

    `only` is the track of every call, where no attribute has to be computed. `idle` is the generation as well where
    nothing is recorded in it, so that an inert call makes one comparison.
    """

    __slots__ = ("_computed", "_failed", "_fixed", "_kept", "_operation", "_prepared", "generation", "idle", "only")

    def __init__(
        self,
        operation: Operation,
        fixed: Mapping[str, AttributeValue | None],
        computed: Mapping[str, Callable[..., AttributeValue | None]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._prepared = operation.prepared()
        # What no instrument that is on has as an attribute need not be computed, nor is it a reason for another track.
        recorded = self._prepared.recorded
        self._fixed = {keyword: value for keyword, value in fixed.items() if keyword in recorded}
        self._computed = tuple((keyword, compute) for keyword, compute in computed.items() if keyword in recorded)
        self._operation = operation
        self._failed = failed
        self._kept: dict[tuple[AttributeValue | None, ...], FastPath] = {}
        self.generation = self._prepared.generation
        self.idle = self.generation if self._prepared.recorder is None else None
        self.only: FastPath | None = None
        if not self._computed:
            self.only = self.of((), {})

    def of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FastPath:
        """Return the track of a call with these arguments."""
        if self.only is not None:
            return self.only
        values: list[AttributeValue | None] = []
        for keyword, compute in self._computed:
            try:
                values.append(compute(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
                values.append(None)
                self._failed(keyword, error)
        computed = tuple(values)
        try:
            return self._kept.get(computed) or self._find(computed)
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            return FastPath(self._operation, self._prepared.recorder, self._attributes(computed))

    def _find(self, computed: tuple[AttributeValue | None, ...]) -> FastPath:
        """Return the track with these attributes, the same one for every measured() on the operation."""
        attributes, shared = self._attributes(computed), self._prepared.tracks
        key = (*attributes, *attributes.values())
        track: FastPath | None = shared.get(key)
        if track is None:
            track = FastPath(self._operation, self._prepared.recorder, attributes)
            # Of values that equal others (1, 1.0 and True) the key would not say which.
            if not all(isinstance(part, str | None) for part in key) or len(shared) >= MOST_RESOLVED:
                return track
            track = shared.setdefault(key, track)
            track.kept = True
        self._kept[computed] = track
        return track

    def _attributes(self, computed: tuple[AttributeValue | None, ...]) -> dict[str, AttributeValue | None]:
        if not computed:
            return self._fixed
        keywords = (keyword for keyword, _ in self._computed)
        return {**self._fixed, **dict(zip(keywords, computed, strict=True))}
