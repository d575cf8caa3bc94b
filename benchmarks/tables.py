"""Tables of samples: each cell is a median with its spread, and JSON can hold a table."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Self

UNITS = frozenset({"µs", "ms", "s", "B", "bytes", "kB", "MB", "%", "events/s"})
"""Units of absolute figures, which depend on the machine."""
SCALED = "where the wrapper takes"
"""A column with these words is scaled to a machine of that speed, so it compares across machines."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of samples, their first and last decile, and their number."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Iterable[float]) -> Self:
        """Return the spread of samples; there must be at least one."""
        known = sorted(samples)
        deciles = statistics.quantiles(known, n=10, method="inclusive") if len(known) > 1 else known
        return cls(statistics.median(known), deciles[0], deciles[-1], len(known))

    def __str__(self) -> str:
        """Return the median, with the deciles in brackets if there is more than one sample."""
        if self.count == 1:
            return spelled(self.median)
        return f"{spelled(self.median)} ({spelled(self.low)} to {spelled(self.high)})"


@dataclass
class Table:
    """One table: rows of cells, some of which may be missing.

    The name of a column includes its unit; without one, it counts wrappers. A row or a column of ratios has " / " in
    its name.
    """

    key: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Spread]] = field(default_factory=dict)

    def put(self, row: str, column: str, samples: Iterable[float]) -> None:
        """Fill a cell."""
        self.rows.setdefault(row, {})[column] = Spread.of(samples)

    def part(self, *, absolute: bool) -> Self:
        """Return the table with its absolute figures only, or with all others, whose columns then have no unit."""
        found = type(self)(self.key, self.title, self.about, ())
        for name, row in self.rows.items():
            kept = {column: cell for column, cell in row.items() if is_absolute(name, column) is absolute}
            if kept:
                found.rows[name] = kept if absolute else {unitless(column): cell for column, cell in kept.items()}
        named = self.columns if absolute else map(unitless, self.columns)
        found.columns = tuple(column for column in named if any(column in row for row in found.rows.values()))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-compatible data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the table from the data that `to_json` returned."""
        rows = {name: {column: Spread(**cell) for column, cell in row.items()} for name, row in data["rows"].items()}
        return cls(data["key"], data["title"], data["about"], tuple(data["columns"]), rows)

    def cells(self) -> list[list[str]]:
        """Return the cells as text: the head, then the rows."""
        lines = [["", *self.columns]]
        for name, row in self.rows.items():
            lines.append([name, *(str(row[column]) if column in row else "" for column in self.columns)])
        return lines


def is_absolute(row: str, column: str) -> bool:
    """Return whether the figures of a row in a column depend on the machine; ratios and wrappers hardly do."""
    if " / " in row or " / " in column or SCALED in column:
        return False
    return not UNITS.isdisjoint(re.split("[ ,]+", column))


def unitless(column: str) -> str:
    """Return the name of a column whose ratios are shown, without the unit of its other figures."""
    name, _, unit = column.rpartition(", ")
    return name if unit in UNITS and name else column


def spelled(value: float) -> str:
    """Return a number with three significant digits and no exponent."""
    if value == inf:
        return "∞"
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004 - three digits before the point
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.5f}"


def ratios(of: Iterable[float], to: Iterable[float]) -> list[float]:
    """Return the ratios of samples, round by round."""
    return [one / other for one, other in zip(of, to, strict=True)]


def quantile(samples: Iterable[float], share: float) -> float:
    """Return the smallest sample that at least this share of the samples does not exceed."""
    known = sorted(samples)
    return known[min(int(len(known) * share), len(known) - 1)]
