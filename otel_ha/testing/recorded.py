"""Recorded: the answers about one metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otel_ha.declare.ports import AttributeValue, shown
from otel_ha.testing.obstacles import end
from otel_ha.testing.points import Snapshot
from otel_ha.testing.quantile import quantile
from otel_ha.testing.question import QuestionError
from otel_ha.testing.selection import Selection
from otel_ha.testing.subject import Asked, Subject, Wanted

__tracebackhide__ = True

_KINDS = {"counter": "a counter", "updowncounter": "an up-down counter", "gauge": "a gauge"}


@dataclass(frozen=True)
class Series:
    """One attribute set of a metric, as captured.

    `attributes` are by keyword where they are declared, else by full name. `value` is the series' value, of a histogram
    the number of its values; `total` is the sum of its values.
    """

    attributes: Mapping[str, AttributeValue]
    value: int | float
    total: int | float


class Recorded:
    """The answers about one metric; each question collects.

    Attributes select series, by keyword or by full name; those that are not named are summed over, and None selects
    series without the attribute. Each question raises AssertionError if it has no answer: the instrument is not in the
    catalog, its metric group is off, it lacks an attribute, nothing has the name.
    """

    def __init__(self, asked: Asked, take: Callable[[], Snapshot], before: Callable[[], Snapshot | None]) -> None:
        Subject(asked)
        self._asked = asked
        self._take = take
        self._before = before

    def total(self, /, **attributes: Wanted) -> int | float:
        """Return the sum of the values, 0 before the first one; of a histogram too: seconds, bytes, points.

        The values of a gauge cannot be added up, so the attributes have to select one series.
        """
        return self._selection(attributes).total

    def count(self, /, **attributes: Wanted) -> int:
        """Return the number of values of a histogram."""
        found = self._histogram(attributes, "count()", "total()")
        return int(found.amount)

    def quantile(self, share: float, /, **attributes: Wanted) -> float:
        """Return the value that this share of a histogram's values does not exceed, in its unit.

        It is within 3 % of the exact value where the history has fine buckets (see History.quantile), else as precise
        as the exported buckets. AssertionError if there are no values.
        """
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise QuestionError(f"share is {shown(share)}; allowed: a number from 0 to 1, such as 0.95")
        found = self._histogram(attributes, "quantile()", "total()")
        if not found.amount:
            raise AssertionError(f"{found.subject.name} has no values{found.text}, so it has no quantile")
        return quantile(found, share)

    def series(self, /, **attributes: Wanted) -> list[Series]:
        """Return the series, the largest first."""
        found = self._selection(attributes)
        every = [
            Series(found.subject.by_keyword(each.attributes), each.amount, each.total) for each in found.chosen.values()
        ]
        return sorted(every, key=lambda each: -each.value)

    def increase(self, /, **attributes: Wanted) -> int | float:
        """Return the growth since metrics.mark(), or since capturing began; a histogram's is that of count()."""
        found = self._selection(attributes)
        if found.kind == "gauge":
            raise QuestionError(f"{found.subject.name} is a gauge and has no increase; ask for total()")
        before = self._before()
        if before is None:
            return found.growth({})
        return found.growth(Selection(before, self._asked, attributes).chosen)

    def _selection(self, attributes: Mapping[str, object]) -> Selection:
        found = Selection(self._take(), self._asked, attributes)
        if found.obstacle:
            verb = ":" if found.instrument is None else " cannot be recorded:"
            ended = end(found.snapshot)
            raise AssertionError(
                "\n".join([f"{found.subject.name}{verb} {found.obstacle}", *([ended] if ended else [])])
            )
        return found

    def _histogram(self, attributes: Mapping[str, object], question: str, other: str) -> Selection:
        found = self._selection(attributes)
        if found.kind != "histogram":
            raise QuestionError(f"{found.subject.name} is {_KINDS[found.kind]} and has no {question}; ask for {other}")
        return found

    def _is_no_number(self, *_: object) -> bool:
        name = Subject(self._asked).name
        raise QuestionError(f"metrics[…] of {name} is not a number; ask .total(), .count() or assert_recorded()")

    # Else a test could compare the answers themselves: `assert metrics[X] != 5` would always pass.
    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _is_no_number
    __hash__ = None  # type: ignore[assignment]  # as of everything that cannot be compared

    def __repr__(self) -> str:
        """Return the name of the metric."""
        return f"<Recorded {Subject(self._asked).name!r}>"
