"""Fast paths: once work with an attribute set has been measured, its start and its end are a single append each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from opentelemetry.context import Context

from otel_ha.declare.context import current_context
from otel_ha.declare.keys import Key, is_exact, key_of, look_up
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK, Discarded, Outcome
from otel_ha.declare.ports import AttributeValue, Batch, Change, FastRecording
from otel_ha.declare.resolved import MOST_RESOLVED, Resolved


class FastPath:
    """The start and the ends of work with one attribute set, resolved.

    `started` is appended to when work starts, and is shortened beyond `limit`; it is None until the attributes are
    resolved, or if they cannot be, or if each piece of work has a span, which `open_span` opens. `ended_ok` takes the
    duration of work that ended with the outcome ok. Only a path that `is_shared` with later work is worth resolving.
    """

    __slots__ = (
        "_batches",
        "_ends",
        "attributes",
        "ended_ok",
        "is_shared",
        "limit",
        "open_span",
        "operation",
        "recorder",
        "started",
    )

    def __init__(self, operation: Operation, resolved: Resolved, attributes: dict[str, AttributeValue | None]) -> None:
        self.operation = operation
        self.recorder = resolved.recorder
        self.open_span = resolved.open_span
        self.attributes = attributes
        self.is_shared = False
        self.started: list[Any] | None = None
        self.limit = 0
        self.ended_ok: Callable[[float], object] = partial(self.ended_first, OK)
        self._ends: dict[Outcome | Discarded, Callable[[float], object]] = {}
        self._batches: list[Batch] = []

    def start(self) -> bool:
        """Record a start; return whether that was an append, so that the end may be one as well."""
        context = current_context()
        if self.started is None or (context and self.samples(context)):
            if self.recorder is not None:
                self.operation.started(self.attributes)
            return False
        if len(self.started) > self.limit:
            self.shorten()
        self.started.append(None)
        return True

    def ended(self, outcome: Outcome | Discarded, elapsed: float) -> None:
        """Record the end of work whose start was an append."""
        end = look_up(self._ends, outcome)
        if end is not None:
            end(elapsed)
        else:
            self.ended_first(outcome, elapsed)

    def ended_first(self, outcome: Outcome | Discarded, elapsed: float) -> None:
        """Record an end that is not resolved, and resolve it for the next time."""
        if self.is_current():
            self.operation.ended(outcome, elapsed, at_start=self.attributes, at_end=self.attributes)
            fast = self.recorder.fast if self.is_shared and self.recorder is not None else None
            if fast is not None and look_up(self._ends, outcome) is None:
                with suppress(Exception):  # a subclass of str may do anything when it is compared
                    self._resolve(fast, outcome)

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

    def _resolve(self, fast: FastRecording, outcome: Outcome | Discarded) -> None:
        """Resolve this end, and the start, both of which were recorded before."""
        accounts, attributes = self.operation.accounts, self.attributes
        if self.started is None:
            start_batch = fast.batch(accounts.started(attributes), "started", varies=False)
            if start_batch is None:
                self.is_shared = False  # nor will it be possible later
                return
            self._batches.append(start_batch)
            self.limit, self.started = start_batch.limit, start_batch.amounts
        changes = accounts.ended(outcome, 0.0, attributes, attributes)
        varies = changes[0][0] is self.operation.duration
        # Series that expire cannot be resolved; occurrences are not among the accounts that have to add up.
        apart = [change for change in changes if getattr(change[0], "expires", False)]
        together = [change for change in changes if change not in apart]
        end_batch = fast.batch(together, "ended", varies=varies)
        if end_batch is not None:
            self._batches.append(end_batch)
            self._ends[outcome] = end = _end(end_batch, apart)
            if outcome == OK:
                self.ended_ok = end


def _end(end_batch: Batch, apart: Sequence[Change]) -> Callable[[float], object]:
    """Return the function that records an end, given its duration."""
    append = end_batch.amounts.append
    counted = [(instrument.recorder, attributes) for instrument, _, attributes in apart if instrument.recorder]
    if not counted:
        return append

    def end(elapsed: float) -> None:
        append(elapsed)
        for recorder, attributes in counted:
            recorder.record(1, attributes)

    return end


class FastPaths:
    """The fast paths of one measured(), by attribute set, for as long as no recorder changes.

    `only` is the path of every call, if no attribute has to be computed. `idle` equals the current generation while
    nothing is recorded, so that an inert call makes a single comparison. While traces are on, no path is kept.
    """

    __slots__ = ("_computed", "_failed", "_fixed", "_found", "_operation", "_resolved", "generation", "idle", "only")

    def __init__(
        self,
        operation: Operation,
        fixed: Mapping[str, AttributeValue | None],
        computed: Mapping[str, Callable[..., AttributeValue | None]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._resolved = operation.resolved()
        # An attribute that no instrument records now need not be computed, and does not need a path of its own.
        recorded = self._resolved.recorded
        self._fixed = {keyword: value for keyword, value in fixed.items() if keyword in recorded}
        self._computed = tuple((keyword, compute) for keyword, compute in computed.items() if keyword in recorded)
        self._operation = operation
        self._failed = failed
        self._found: dict[Key, FastPath] = {}
        self.generation = self._resolved.generation
        is_idle = self._resolved.recorder is None and self._resolved.open_span is None
        self.idle = self.generation if is_idle else None
        self.only: FastPath | None = None
        if not self._computed:
            self.only = self.of((), {})

    def of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FastPath:
        """Return the path of a call with these arguments."""
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
        try:  # look_up(), in place
            return self._found.get(computed) or self._find(computed)
        except Exception:  # noqa: BLE001 - see look_up()
            return FastPath(self._operation, self._resolved, self._attributes(computed))

    def _find(self, computed: Key) -> FastPath:
        """Return the path with these attributes, shared by every measured() on the operation."""
        attributes, shared = self._attributes(computed), self._resolved.fast_paths
        if self._resolved.open_span is not None:
            return FastPath(self._operation, self._resolved, attributes)
        key = key_of(attributes)
        path: FastPath | None = shared.get(key)
        if path is None:
            path = FastPath(self._operation, self._resolved, attributes)
            if not is_exact(key) or len(shared) >= MOST_RESOLVED:
                return path
            path = shared.setdefault(key, path)
            path.is_shared = True
        self._found[computed] = path
        return path

    def _attributes(self, computed: Key) -> dict[str, AttributeValue | None]:
        if not computed:
            return self._fixed
        keywords = (keyword for keyword, _ in self._computed)
        return {**self._fixed, **dict(zip(keywords, computed, strict=True))}
