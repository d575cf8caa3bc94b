"""Selection: the series of a metric that a question is about, and the others."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from otel_ha.declare.instruments import Instrument
from otel_ha.declare.plain import plain_number
from otel_ha.record.resolver import Identity
from otel_ha.testing.obstacles import NOTHING, OFF, obstacle
from otel_ha.testing.points import CapturedSeries, Snapshot
from otel_ha.testing.question import QuestionError
from otel_ha.testing.subject import Asked, Subject, called

__tracebackhide__ = True

_MOST = 8
"""Names that a message lists."""


class Selection:
    """The series of a subject that have the attributes asked for, and its other series.

    `obstacle` is why the subject has no series and cannot have any; "" if it has, or only nothing was recorded yet.
    """

    def __init__(self, snapshot: Snapshot, asked: Asked, attributes: Mapping[str, object]) -> None:
        self.snapshot = snapshot
        self.subject = Subject(asked, snapshot.catalog)
        metric = snapshot.metric(self.subject)
        every = {} if metric is None else metric.series
        recorded = set() if self.subject.is_declared else {name for each in every.values() for name in each.attributes}
        self.where = self.subject.where(attributes, recorded)
        self.chosen = {same: series for same, series in every.items() if series.has(self.where)}
        self.others = [series for same, series in every.items() if same not in self.chosen]
        self.obstacle = "" if metric is not None else self._obstacle()
        instrument = self.subject.instrument
        self.kind = metric.kind if metric is not None else "" if instrument is None else instrument.kind

    def _obstacle(self) -> str:
        if self.instrument is not None:
            return obstacle(self.instrument, self.snapshot)
        if self.snapshot.state == "off":
            return f"no metric of this name is recorded: {OFF}"
        declared = list(self.snapshot.catalog or ())
        prometheus = {each.prometheus_name: each.name for each in declared}
        stem = re.sub("_(bucket|sum|count)$", "", self.subject.name)
        if name := prometheus.get(self.subject.name) or prometheus.get(stem):
            return f"this is the Prometheus name of {name}"
        known = {*self.snapshot.names(), *(each.name for each in declared)}
        alike = get_close_matches(self.subject.name, sorted(known), 1, cutoff=0.8)
        suggestion = f"did you mean {alike[0]!r}?" if alike else self.recorded_names()
        return f"no metric of this name is recorded; {suggestion}"

    def recorded_names(self) -> str:
        """Return the names of the metrics that are recorded in the way of the subject, as a text."""
        names = self.snapshot.names(declared=self.subject.is_declared)
        if not names and not self.snapshot.names():
            return NOTHING
        more = f" and {len(names) - _MOST} others" if len(names) > _MOST else ""
        return f"recorded metrics: {', '.join(names[:_MOST]) or 'none'}{more}"

    @property
    def instrument(self) -> Instrument | None:
        """The declaration; None for a metric of the plain API."""
        return self.subject.instrument

    @property
    def text(self) -> str:
        """The attributes asked for, such as " with source='mqtt'"."""
        return self.subject.text(self.where)

    @property
    def amount(self) -> int | float:
        """The sum of the values; of a histogram, the number of its values."""
        return self._added_up(lambda series: series.amount)

    @property
    def total(self) -> int | float:
        """The sum of the values, of a histogram too."""
        return self._added_up(lambda series: series.total)

    def _added_up(self, number: Callable[[CapturedSeries], int | float]) -> int | float:
        if self.kind == "gauge" and len(self.chosen) > 1:
            raise AssertionError(
                f"{self.subject.name} is a gauge, whose values cannot be added up, and has {len(self.chosen)} "
                f"series{self.text}; name more attributes:\n{self.lines(self.chosen.values())}"
            )
        return sum(number(series) for series in self.chosen.values())

    @property
    def can_shrink(self) -> bool:
        """Whether its value may become smaller."""
        return self.kind in {"gauge", "updowncounter"}

    @property
    def has_values(self) -> bool:
        """Whether anything was recorded; a counter to which only 0 was added has nothing."""
        return bool(self.chosen) and (self.can_shrink or self.amount != 0)

    def is_amount(self, expected: float) -> bool:
        """Whether the amount is as expected; that of a gauge is the value of one series."""
        return (self.kind != "gauge" or len(self.chosen) == 1) and is_same_number(self.amount, expected)

    def has_reached(self, expected: float) -> bool:
        """Whether the amount is as expected, or more if it cannot shrink."""
        return self.is_amount(expected) or (not self.can_shrink and self.amount > expected)

    def growth(self, before: Mapping[Identity, CapturedSeries]) -> int | float:
        """Return the growth of the amount since `before`; a series that expired and came back began again from 0."""
        return sum(_growth(series, before.get(same)) for same, series in self.chosen.items())

    def lines(self, series: Iterable[CapturedSeries]) -> str:
        """Return a line for each series, the largest first."""
        ordered = sorted(series, key=lambda each: (-each.amount, str(each.attributes)))
        texts = [f"  {number(each.amount)}{self.subject.text(each.attributes)}" for each in ordered[:_MOST]]
        return "\n".join([*texts, *([f"  … and {len(ordered) - _MOST} others"] if len(ordered) > _MOST else [])])


def _growth(series: CapturedSeries, before: CapturedSeries | None) -> int | float:
    now, then = series.amount, 0 if before is None else before.amount
    return now if series.kind != "updowncounter" and now < then else now - then


def is_same_number(one: float, other: float) -> bool:
    """Whether two numbers are equal: whole numbers exactly, others to 9 digits."""
    if all(isinstance(each, int) or each.is_integer() for each in (one, other)):
        return one == other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def checked_number(value: object) -> int | float:
    """Return a number that a test expects, as Python's own; QuestionError for anything else."""
    plain = plain_number(value)
    if plain is None or isinstance(value, bool):
        raise QuestionError(f"the expected value is {called(value)}; allowed: a number")
    return plain


def number(value: float) -> str:
    """Return a number as a text."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
