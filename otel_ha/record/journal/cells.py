"""Cells: one series each, with the measurements since the last collection."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from opentelemetry.context import Context

from otel_ha.declare.plain import LIMIT
from otel_ha.record.api import Write
from otel_ha.record.resolver import Identity, attributes_of

CELL = "otel_ha.cell"
"""The key by which the context of an empty measurement names the cell that looks for its aggregations."""

_LEAST, _MOST = 1e-18, float(LIMIT)
_NONE = math.inf, -math.inf
"""The lowest and the highest of no amounts."""
_FINEST = 1.06
"""The ratio of two neighbouring inner bounds: a quantile given as their geometric mean is within 3 % of it."""


class Cell:
    """One attribute set of one instrument, with the measurements since it was last settled.

    Any thread appends to `amounts`. Everything else is done by one thread at a time, the one that settles.
    """

    __slots__ = (
        "_readers",
        "aggregations",
        "amounts",
        "created",
        "dirty",
        "given",
        "identity",
        "instrument",
        "limit",
        "total",
        "write",
    )

    def __init__(self, write: Write, identity: Identity, instrument: str = "") -> None:
        self.write = write
        self.identity = identity
        self.instrument = instrument
        self.total: float = 0
        self.amounts: list[float] = []
        self.limit = 0
        self.dirty = False
        self.given = 0
        """How many takers have the amounts already: more than none if a handler has raised in between."""
        self.created: int | None = time.time_ns()
        """When the series began; None once an aggregation has it."""
        self.aggregations: tuple[Any, ...] = ()
        self._readers: object = None

    def take(self, amounts: list[float]) -> None:
        """Add up amounts, at least one, and sort them as it likes.

        All of them or, if a handler raises meanwhile, none: the last lines store what was added up, without a call.
        """
        raise NotImplementedError

    def take_alike(self, amount: float, times: int) -> None:
        """Add up an amount that was recorded `times` times."""
        self.take([amount] * times)

    def bucket_of(self, _: float) -> int:
        """Return the exported bucket of an amount: measurements in one compete for an exemplar."""
        return 0

    def replay(self, amount: float, context: Context) -> None:
        """Record an amount through the public API, in this context."""
        self.write(amount, attributes_of(self.identity), context)

    def settle(self, readers: object, join: Join, increases: Absorbing | None = None) -> None:
        """Hand the amounts to the aggregation of each reader and to `increases`, and start again from zero.

        `join` finds the aggregations, when the cell does not know them or they may have been replaced.
        """
        if readers is not self._readers or any(aggregation.spent for aggregation in self.aggregations):
            self.aggregations = ()
            join(self, readers)
            self.created = None
            self._readers = readers  # last: if a handler has raised before, the next turn looks again
        takers = self.aggregations if increases is None else (*self.aggregations, increases)
        for taker in takers[self.given :]:
            taker.absorb(self)
        self._reset()

    def drop(self) -> None:
        """Forget the amounts."""
        self.dirty = False
        self._reset()

    def look(self) -> None:
        """Look for the aggregations by an empty measurement through the public API, whose context names this cell."""
        self.replay(0, Context({CELL: self}))

    def join(self, aggregation: Any) -> None:
        """Settle to this aggregation as well; it calls this when the empty measurement reaches it."""
        aggregation.spent = False
        if self.created is not None:
            aggregation.start_at(self.created)
        if self.aggregations:
            aggregation.share(self.aggregations[0])
        self.aggregations += (aggregation,)

    def _reset(self) -> None:
        self.total = self.given = 0


class Absorbing(Protocol):
    """Takes the amounts of cells."""

    def absorb(self, cell: Any) -> None:
        """Take the amounts of a cell, and count itself in `cell.given` in the same step: a handler may raise."""


Join = Callable[[Cell, Any], None]
"""Makes a cell join the aggregation of each reader, of those that the journal's `readers` returned."""


class SumCell(Cell):
    """The sum of a counter's or an up-down counter's measurements."""

    __slots__ = ("settled",)

    def __init__(self, write: Write, identity: Identity, instrument: str = "") -> None:
        super().__init__(write, identity, instrument)
        self.settled: float = 0
        """The sum of everything that has reached the aggregations."""

    def replay(self, amount: float, context: Context) -> None:
        """Record an amount through the public API, in this context."""
        self.settled += amount
        super().replay(amount, context)

    def drop(self) -> None:
        """Forget the amounts."""
        self.total = 0
        super().drop()

    def take(self, amounts: list[float]) -> None:
        """Add up amounts, at least one."""
        total = self.total + sum(amounts)
        self.total = total

    def take_alike(self, amount: float, times: int) -> None:
        """Add up an amount that was recorded `times` times."""
        self.total += amount * times

    def _reset(self) -> None:
        self.settled += self.total
        self.total = self.given = 0


class HistogramCell(Cell):
    """The distribution of a histogram's measurements, over finer bounds than the exported ones."""

    __slots__ = ("counts", "highest", "lowest", "scale")

    def __init__(self, write: Write, identity: Identity, scale: Scale, instrument: str = "") -> None:
        super().__init__(write, identity, instrument)
        self.scale = scale
        self.counts: dict[int, int] = {}
        self.lowest, self.highest = _NONE

    def bucket_of(self, amount: float) -> int:
        """Return the exported bucket of an amount."""
        return self.scale.bucket_of[bisect_left(self.scale.bounds, amount)]

    def take(self, amounts: list[float]) -> None:
        """Add up amounts, at least one, and sort them."""
        total = self.total + sum(amounts)
        # In sorted amounts, those of one bucket are adjacent: one search for all of them, after a sort that runs in C.
        amounts.sort()
        bounds, counts = self.scale.bounds, self.counts.copy()
        start = index = 0
        while start < len(amounts):
            index = bisect_left(bounds, amounts[start], index)
            end = bisect_right(amounts, bounds[index], start) if index < len(bounds) else len(amounts)
            counts[index] = counts.get(index, 0) + end - start
            start = end
        lowest, highest = min(self.lowest, amounts[0]), max(self.highest, amounts[-1])
        self.total, self.counts, self.lowest, self.highest = total, counts, lowest, highest

    def _reset(self) -> None:
        self.total = self.given = 0
        self.counts = {}
        self.lowest, self.highest = _NONE


class Scale:
    """The bounds of a histogram, with finer ones between, below and above them; a single one if it has none."""

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self.bounds = _finer(buckets) if buckets else (math.inf,)
        self.bucket_of = [bisect_left(buckets, bound) for bound in self.bounds] + [len(buckets)]
        """The exported bucket of each inner one."""


@lru_cache  # a process that sets telemetry up often, as tests do, has the same bounds each time
def _finer(buckets: tuple[float, ...]) -> tuple[float, ...]:
    positive = [bound for bound in buckets if bound > 0] or [1.0]
    low, high = max(positive[0] / 1e3, _LEAST), min(positive[-1] * 1e3, _MOST)
    steps = math.floor((math.log(high) - math.log(low)) / math.log(_FINEST)) + 1
    return tuple(sorted({*buckets, *(low * _FINEST**step for step in range(steps + 1))}))
