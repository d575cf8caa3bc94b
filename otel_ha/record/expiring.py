"""Sums that expire: the series of a counter whose subjects come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.ports import Attributes, AttributeValue
from otel_ha.record.api import ApiRecorder
from otel_ha.record.resolver import Identity, Shared, attributes_of, identity
from otel_ha.turn import PATIENCE, Turn

LONG = 2_000
"""The number of waiting entries from which they are added up by the thread that records."""

_Pairs = set[tuple[str, Any]]
_Entry = tuple[Identity, float, float] | _Pairs
"""An amount for a series, with the time of its use; or the attributes of series to give up: none for all of them."""


class ExpiringSums:
    """The sums of a counter whose series end: observed while in use, given up after `expiry` seconds without use.

    The SDK never removes a synchronous series, so the sums are kept here and observed. Amounts, and requests to give
    series up, wait in one list until they are added up in their order: appending takes no lock and never waits.
    """

    def __init__(self, expiry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry = expiry
        self._clock = clock
        self._waiting: list[_Entry] = []
        self._adding_up = Turn()
        self._sums: dict[Identity, tuple[float, float]] = {}
        self._gone: list[Identity] = []
        self.release: Callable[[list[Identity], list[Identity]], None] = lambda *_: None
        """Called at a collection with the series that are given up, and those of them that are not in use again."""

    def add(self, amount: float, attributes: dict[str, AttributeValue], _: Context | None) -> None:
        """Add to the sum of these attributes."""
        self._append((identity(attributes), amount, self._clock()))

    def clear(self) -> None:
        """Give up every sum."""
        self._append(set())
        self._add_up_in_turn()

    def forget(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Give up the sums that have these attributes, among others."""
        self._append(_pairs(identity(attributes)))

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the sums in use; give up the others."""
        return [Observation(total, attributes_of(key)) for key, total in self._in_use()]

    def _append(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        if len(self._waiting) > LONG:
            self._add_up_in_turn()

    def _add_up_in_turn(self) -> None:
        """Add up what waits, unless another thread does so, or this one before it was interrupted."""
        if self._adding_up.take(0):
            try:
                self._add_up()
            finally:
                self._adding_up.give_back()

    def _add_up(self) -> None:
        count = len(self._waiting)
        entries = self._waiting[:count]
        del self._waiting[:count]
        for entry in entries:
            if isinstance(entry, set):
                self._give_up([key for key in self._sums if entry <= _pairs(key)])
            else:
                key, amount, used = entry
                self._sums[key] = self._sums.get(key, (0, 0.0))[0] + amount, used

    def _give_up(self, keys: list[Identity]) -> None:
        for key in keys:
            del self._sums[key]
            self._gone.append(key)

    def _in_use(self) -> list[tuple[Identity, float]]:
        oldest = self._clock() - self._expiry
        with self._adding_up.taken(PATIENCE) as is_mine:
            if not is_mine:  # its thread is interrupted by a handler that waits for this collection
                return []
            self._add_up()
            self._give_up([key for key, (_, used) in self._sums.items() if used < oldest])
            gone, self._gone = self._gone, []
            if gone:
                self._let_go(gone)
            return [(key, total) for key, (total, _) in self._sums.items()]

    def _let_go(self, gone: list[Identity]) -> None:
        self.release(gone, [key for key in gone if key not in self._sums])


def _pairs(same: Identity) -> _Pairs:
    return set(zip(same[::2], same[1::2], strict=True))


class ExpiringRecorder(ApiRecorder):
    """Records a counter whose series end."""

    def __init__(self, instrument: Synchronous, sums: ExpiringSums, shared: Shared) -> None:
        super().__init__(instrument, sums.add, shared)
        self._sums = sums

    def forget(self, attributes: Attributes) -> None:
        """Give up the series that have these attributes; their places are free from the next collection on."""
        try:
            self._sums.forget(self.intake.resolver.resolve(attributes, take_place=False))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("forgetting", error)

    def _hand_over(self, amount: float, resolved: dict[str, AttributeValue], context: Context | None) -> None:
        """Add at once: it is an append, which waits for nothing."""
        self._sums.add(amount, resolved, context)
