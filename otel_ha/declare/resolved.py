"""Resolved steps of an operation: once a step has been recorded, recording it again is a single append."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.keys import Key
from otel_ha.declare.outcome import Discarded, Outcome
from otel_ha.declare.ports import GENERATION, Batch, Recorder
from otel_ha.declare.spans import SPANS

MOST_RESOLVED = 1_000
"""Steps of one operation, each with its attributes, that are kept resolved; and as many fast paths."""


class Resolved:
    """The steps of an operation that are resolved for its current recorders."""

    __slots__ = ("batches", "fast_paths", "generation", "late_ends", "open_span", "recorded", "recorder")

    def __init__(self, instruments: Sequence[Synchronous]) -> None:
        self.generation = GENERATION.current  # before the recorders: if they change meanwhile, this is out of date
        # Read once, as they may change between two looks.
        recorders = [(each, recorder) for each in instruments if (recorder := each.recorder) is not None]
        if self.generation is GENERATION.CHANGING or self.generation is not GENERATION.current:
            recorders = []  # perhaps some of them only: a step would not be counted by all
        self.recorder = _recorder_of(recorders)
        self.open_span = SPANS.open
        """Opens a span for a piece of work; None while traces are off."""
        shown = instruments if self.open_span is not None else [instrument for instrument, _ in recorders]
        self.recorded = frozenset(attribute.keyword for instrument in shown for attribute in instrument.attributes)
        """The attributes that are recorded now, by keyword: those of instruments that are on, and all in spans."""
        self.batches: dict[Key, Batch] = {}
        """Steps that were recorded before, by key_of() their attributes and step; the keys are exact."""
        self.fast_paths: dict[Key, Any] = {}
        """The fast paths of every measured() on this operation (see otel_ha.declare.fastpath)."""
        self.late_ends: dict[Key, Any] = {}
        """The ends of work whose attributes changed after its start, by the ends without the change, and the change."""


def _recorder_of(recorders: Sequence[tuple[Synchronous, Recorder]]) -> Recorder | None:
    """Return the recorder of all steps: one that goes through the API, if there is one.

    There a measurement may have to wait for a collection, and no step must overtake the one before it. Series that
    expire are not among the accounts that have to add up.
    """
    lasting = [recorder for instrument, recorder in recorders if not getattr(instrument, "expires", False)]
    through_api = [recorder for recorder in lasting if recorder.fast is None]
    every = [recorder for _, recorder in recorders]
    return next(iter(through_api or lasting or every), None)


def ended_key(outcome: Outcome | Discarded) -> Key:
    """Return the key of an end of work; a receipt has the key (), a discard from the queue (reason,)."""
    try:
        return (None, None, outcome.reason) if isinstance(outcome, Discarded) else (None, outcome)
    except Exception:  # noqa: BLE001 - an outcome of another type may do anything
        return (None, outcome)
