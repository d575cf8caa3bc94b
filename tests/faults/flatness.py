"""Flatness: whether a program in which things come and go without end keeps its size.

The program measures itself once a cycle, always at the same point of the cycle and after a garbage collection. Only the
second half of a run counts, as caches and histories fill in the first. The growth is the median of the slopes between
all pairs of its readings (Theil and Sen), times the number of things that came: a few readings far off do not move it,
and a step up or a slow climb does. It must stay within an allowance for noise, or within a share of the things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

MIB = 2**20


@dataclass(frozen=True)
class Size:
    """The size of a program after `came` things have come and gone."""

    came: int
    blocks: int
    """Blocks of memory that Python's allocator has handed out: about one for each object."""
    resident: int
    """Bytes of the resident set."""
    descriptors: int
    threads: int

    def __str__(self) -> str:
        held = f"{self.descriptors} descriptors, {self.threads} threads"
        return f"{self.came:,} came, {self.resident / MIB:.1f} MiB, {self.blocks:,} blocks of memory, {held}"


@dataclass(frozen=True)
class Allowance:
    """The growth that still counts as flat: `noise`, or `each` times the things that came if that is more."""

    noise: float
    each: float = 0.0

    def for_things(self, came: int) -> float:
        """Return the growth that is allowed while so many things come."""
        return max(self.noise, self.each * came)


HEAD = ["Came", "Memory", "Blocks", "Descriptors", "Threads"]
LEAST = 8
"""Readings that a run needs."""
ALLOWED = {
    # An object kept of each of 50 things is a leak. Caches breathe by some dozens.
    "blocks": Allowance(noise=400, each=0.02),
    # The C library keeps freed memory, in pieces that depend on the moments at which threads run.
    "resident": Allowance(noise=4 * MIB, each=32),
    "descriptors": Allowance(noise=0.99),
    "threads": Allowance(noise=0.99),
}


def growth(sizes: Sequence[Size]) -> dict[str, float]:
    """Return by how much each measure grows in the second half of a run, by name."""
    half = sizes[len(sizes) // 2 :]
    came = half[-1].came - half[0].came
    return {measure: _slope([(each.came, getattr(each, measure)) for each in half]) * came for measure in ALLOWED}


def limits(sizes: Sequence[Size], *, busy: int = 0) -> dict[str, float]:
    """Return the growth that is allowed in the second half of a run, by name."""
    allowed = {measure: allowance.for_things(_came(sizes)) for measure, allowance in ALLOWED.items()}
    return allowed | {"blocks": allowed["blocks"] + busy}


def summary(sizes: Sequence[Size], *, busy: int = 0) -> list[str]:
    """Return the things that came in the second half of a run, and each growth with its limit, in the order of HEAD."""
    grown, allowed = growth(sizes), limits(sizes, busy=busy)
    cells = [f"{grown['resident'] / MIB:+.1f} of {allowed['resident'] / MIB:.1f} MiB"]
    cells += [f"{grown[each]:+,.0f} of {int(allowed[each]):,}" for each in ("blocks", "descriptors", "threads")]
    return [f"{_came(sizes):,}", *cells]


def assert_flat(sizes: Sequence[Size], *, least: int = LEAST, busy: int = 0) -> dict[str, float]:
    """Fail if a measure grows in the second half of a run; return the growth.

    A busy program may have so many more blocks of memory at some of its readings.
    """
    assert len(sizes) >= least, f"only {len(sizes)} readings, {least} are needed"
    came, found, allowed = _came(sizes), growth(sizes), limits(sizes, busy=busy)
    grown = {measure: by for measure, by in found.items() if by > allowed[measure]}
    assert not grown, f"while {came} things came and went, these grew: {grown}; the readings: {list(sizes)}"
    return found


def _came(sizes: Sequence[Size]) -> int:
    return sizes[-1].came - sizes[len(sizes) // 2].came


def _slope(points: Sequence[tuple[float, float]]) -> float:
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))
