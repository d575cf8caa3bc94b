"""Panel, Row and Dashboard: the drawings as data, which say nothing about the program that draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.render.promql import Selection

__all__ = [
    "COLLECTOR_CHOICES",
    "GOOD",
    "SERVICE",
    "Annotation",
    "Colors",
    "Dashboard",
    "Drawing",
    "Panel",
    "Query",
    "Row",
    "above",
    "below",
]

GOOD, WARN, BAD = "green", "orange", "red"
Colors = tuple[tuple[float, str], ...]
"""The color of a value: that of the last step that it reaches."""

Choices = tuple[tuple[str, str], ...]
"""Labels by which a reader of a dashboard can choose, each with the name of its variable."""

SERVICE: Final[Choices] = (("job", "job"), ("instance", "instance"), ("via", "via"))
COLLECTOR_CHOICES: Final[Choices] = (("job", "collector"),)
"""A variable of its own: a link from another dashboard passes its `job` on, which is no Collector's."""


class Drawing(Enum):
    """How a panel shows its values."""

    LINES = "lines"
    STACK = "stack"
    NUMBER = "number"
    HEATMAP = "heatmap"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, the legend of its series, such as "{{job}}", and the instruments that it reads."""

    expr: Callable[[Selection], str]
    legend: str
    reads: tuple[Instrument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawing. A catalog that lacks an instrument that it reads leaves it out.

    `unit` is UCUM. `empty` says when a panel has no data. `limit` is a value to stay below, or above if `floor` is set;
    `objective` names the histogram whose objective sets it. The axis begins at zero if `from_zero` is set, and reaches
    `top` at least. `lines` replaces the queries where only lines can be drawn; `repeats` marks a number that another
    panel of the dashboard draws as a line. `large` values are gigabytes or hours rather than megabytes or seconds.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    drawing: Drawing = Drawing.LINES
    width: int = 8
    height: int = 8
    empty: str = ""
    colors: Colors = ()
    limit: float | None = None
    floor: bool = False
    top: float | None = None
    from_zero: bool = True
    objective: Histogram | None = None
    lines: tuple[Query, ...] = ()
    repeats: bool = False
    large: bool = False

    @property
    def reads(self) -> frozenset[Instrument]:
        """The instruments of its queries."""
        return frozenset(instrument for query in self.queries for instrument in query.reads)

    @property
    def explained(self) -> str:
        """The description, with the case in which the panel is empty."""
        return f"{self.description} {self.empty}".strip()


@dataclass(frozen=True, slots=True)
class Annotation:
    """A query that marks the times at which it has a value on every panel of a dashboard."""

    name: str
    query: Query
    color: str


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Rows of panels; `place` orders the dashboards.

    A dashboard is for catalogs that have the instruments in `needs`. `series` matches the names of series that have the
    labels of `choices`.
    """

    uid: str
    title: str
    description: str
    place: int
    rows: tuple[Row, ...]
    choices: Choices = SERVICE
    series: str = ""
    needs: tuple[Instrument, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)

    @property
    def reads(self) -> frozenset[Instrument]:
        """The instruments of all queries."""
        return frozenset().union(*(panel.reads for panel in self.panels))


def above(*steps: float) -> Colors:
    """Return colors of a value that is worse the larger it is: orange and red from these steps, or red from one."""
    return ((float("-inf"), GOOD), *zip(steps, (WARN, BAD)[-len(steps) :], strict=True))


def below(step: float) -> Colors:
    """Return colors of a value that is bad below a step."""
    return ((float("-inf"), BAD), (step, GOOD))
