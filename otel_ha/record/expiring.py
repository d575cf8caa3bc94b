"""Sums that expire: the series of a counter whose subjects come and go."""

from __future__ import annotations

import time
from collections import deque
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
_Entry = tuple[Identity, float | None, float] | _Pairs
"""An amount for a series, with the time of its use; None to give it up. Or the attributes of the series to give up."""


class ExpiringSums:
    """The sums of a counter whose series end: observed while in use, given up after `expiry` seconds without use.

    The SDK never removes a synchronous series, so the sums are kept here and observed. Amounts, and requests to give
    series up, wait in one list until they are added up in their order: appending takes no lock and never waits.
    """

    def __init__(self, expiry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry = expiry
        self._clock = clock
        self._waiting: deque[_Entry] = deque()
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

    def forget(self, attributes: Mapping[str, AttributeValue], *, one: bool = False) -> None:
        """Give up the sums that have these attributes, among others; or only the `one` that has no others."""
        if one:
            self._append((identity(attributes), None, self._clock()))
        else:
            self._append(_pairs(identity(attributes)))
            self._add_up_in_turn()  # each of these looks at every series: they must not pile up

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the sums in use; give up the others."""
        return [Observation(total, attributes_of(key)) for key, total in self._in_use()]

    def _append(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        if len(self._waiting) > LONG:
            self._add_up_in_turn()

    def _add_up_in_turn(self) -> None:
        """Add up what waits, unless another thread does so, or this one before it was interrupted."""
        self._adding_up.run(self._add_up, 0, None)

    def _add_up(self) -> None:
        # An entry leaves the list in the lines that count it, without a call between them: a handler may raise there.
        waiting, sums = self._waiting, self._sums
        for _ in range(len(waiting)):
            entry = waiting[0]
            if isinstance(entry, set):
                self._give_up([key for key in sums if entry <= _pairs(key)])
                del waiting[0]
                continue
            key, amount, used = entry
            if amount is None:
                self._give_up([key] if key in sums else [])
                del waiting[0]
            else:
                total = sums.get(key, (0, 0.0))[0] + amount
                sums[key] = total, used
                del waiting[0]

    def _give_up(self, keys: list[Identity]) -> None:
        for key in keys:
            del self._sums[key]
            self._gone.append(key)

    def _in_use(self) -> list[tuple[Identity, float]]:
        # Refused if the thread that adds up is interrupted by a handler that waits for this: then the sums so far.
        self._adding_up.run(self._prepare, PATIENCE, None)
        # A copy makes no objects whose number triggers the garbage collector, and so finalizers that change the sums.
        return [(key, total) for key, (total, _) in self._sums.copy().items()]

    def _prepare(self) -> None:
        oldest = self._clock() - self._expiry
        self._add_up()
        self._give_up([key for key, (_, used) in self._sums.items() if used < oldest])
        gone = list(self._gone)
        if gone:
            self._let_go(gone)
            del self._gone[: len(gone)]

    def _let_go(self, gone: list[Identity]) -> None:
        self.release(gone, [key for key in gone if key not in self._sums])


def _pairs(same: Identity) -> _Pairs:
    return set(zip(same[::2], same[1::2], strict=True))


class ExpiringRecorder(ApiRecorder):
    """Records a counter whose series end."""

    def __init__(self, instrument: Synchronous, sums: ExpiringSums, shared: Shared) -> None:
        super().__init__(instrument, sums.add, shared)
        self._sums = sums
        self._most = len(instrument.attributes)

    def forget(self, attributes: Attributes) -> None:
        """Give up the series that have these attributes; their places are free from the next collection on."""
        try:
            resolved = self.intake.resolver.resolve(attributes, take_place=False)
            self._sums.forget(resolved, one=len(resolved) == self._most > 0)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("forgetting", error)

    def _hand_over(self, amount: float, resolved: dict[str, AttributeValue], context: Context | None) -> None:
        """Add at once: it is an append, which waits for nothing."""
        self._sums.add(amount, resolved, context)
