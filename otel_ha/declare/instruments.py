"""Declarations: Attribute and the kinds of instrument, as frozen data with OpenTelemetry's verbs.

A declaration does nothing by itself: until telemetry is set up, and again after its shutdown, a verb returns at once
and records nothing. Only its `recorder` ever changes, by `connect` and `disconnect`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import ClassVar

from otel_ha.declare import naming
from otel_ha.declare.handles import BoundCounter, BoundGauge, BoundHistogram
from otel_ha.declare.ports import (
    GENERATION,
    AttributeValue,
    Forgetting,
    Observer,
    Observing,
    Point,
    Recorder,
    Source,
    shown,
)
from otel_ha.errors import CatalogError

GROUPS = ("system", "performance", "business", "operations", "entity")
OTHER = "_OTHER"
"""Replaces every value outside a closed set or beyond a budget, like the fallback of error.type."""

SUB_SECOND = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5, 10.5)
"""Bounds in seconds for work that takes half a millisecond to ten seconds. No bound is an integer, because `le` is then
spelled the same by a scrape, through a Collector and by OTLP."""


_TYPES_OF_ATTRIBUTES = (
    ("name", str, "a text"),
    ("keyword", str, "a text"),
    ("budget", (int, type(None)), "a whole number, or None"),
)
_TYPES_OF_INSTRUMENTS = (
    *(("name", str, "a text"), ("unit", str, "a text in UCUM, such as 's'"), ("group", str, ", ".join(GROUPS))),
    ("series", int, "a whole number of at least 1"),
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a measurement.

    `keyword` is its name in Python code (default: the last part of the name). `values` is the closed set of allowed
    values, if there is one. `budget` is the number of distinct values that are recorded, over all instruments with the
    attribute together; later ones are recorded as "_OTHER". Series that expire do not free budget: for values that come
    and go, use the instrument's series limit. Raises CatalogError for an invalid or
    reserved name, and for an invalid keyword or budget.
    """

    name: str
    description: str
    keyword: str = ""
    values: tuple[str, ...] = ()
    budget: int | None = None

    def __post_init__(self) -> None:
        """Check the declaration and fill in the keyword."""
        for problem in naming.wrong_types(self, *_TYPES_OF_ATTRIBUTES):
            raise CatalogError(f"attribute {shown(self.name)}: {problem}; correct its type")
        if not naming.is_attribute_key(self.name):
            raise CatalogError(
                f"attribute {shown(self.name)}: invalid name; use lower-case words joined by dots or underscores, "
                "beginning with a letter"
            )
        if naming.is_reserved_label(self.prometheus_label):
            raise CatalogError(
                f"attribute {shown(self.name)}: Prometheus or a Collector sets the label {self.prometheus_label!r} "
                "itself, as le, quantile, job, instance, via and otel_scope_…; put a namespace before the name"
            )
        if problem := naming.problem_of_description(self.description):
            raise CatalogError(f"attribute {shown(self.name)}: {problem}")
        if self.budget is not None and self.budget < 1:
            raise CatalogError(f"attribute {shown(self.name)}: budget is {self.budget}; allowed: at least 1")
        if not _are_distinct_texts(self.values):
            raise CatalogError(
                f"attribute {shown(self.name)}: values is {shown(self.values)}; allowed: a tuple of distinct texts"
            )
        # Members of an Enum become plain texts, which every format can write.
        object.__setattr__(self, "values", tuple(map(str.__str__, self.values)))
        if not self.keyword:
            object.__setattr__(self, "keyword", self.name.rpartition(".")[2])
        if not self.keyword.isidentifier() or iskeyword(self.keyword):
            raise CatalogError(
                f"attribute {shown(self.name)}: {shown(self.keyword)} cannot be a keyword argument; choose "
                "another keyword="
            )

    @property
    def prometheus_label(self) -> str:
        """Its label in Prometheus."""
        return naming.prometheus_label(self.name)


def _are_distinct_texts(values: object) -> bool:
    if isinstance(values, str) or not isinstance(values, Collection):
        return False
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


@dataclass(frozen=True, eq=False, kw_only=True)
class Instrument:
    """The common part of all kinds of instrument.

    `unit` is UCUM; `series` is the number of attribute sets that are recorded before further ones are folded; `group`
    is the metric group that switches the instrument (one of GROUPS). Raises CatalogError for an invalid declaration.
    """

    kind: ClassVar[str] = ""

    name: str = field(kw_only=False)
    unit: str
    description: str
    attributes: tuple[Attribute, ...] = ()
    group: str = "business"
    series: int = 1000

    def __post_init__(self) -> None:
        """Check the declaration, so that an invalid one fails at import."""
        for problem in self._problems():  # the first one: a check may rely on those before it
            raise CatalogError(f"{type(self).__name__} {shown(self.name)}: {problem}")

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus, whether scraped or pushed."""
        kind = type(self).kind
        return naming.prometheus_name(self.name, self.unit, counter=kind == "counter", gauge=kind == "gauge")

    @property
    def reserve(self) -> int:
        """Further attribute sets, for those that are folded: a quarter of `series`."""
        return self.series // 4

    def is_on(self, groups: Collection[str]) -> bool:
        """Whether it is recorded while these metric groups are on."""
        return self.group in groups

    def _problems(self) -> Iterable[str]:
        yield from naming.wrong_types(self, *_TYPES_OF_INSTRUMENTS)
        if not naming.is_name(self.name):
            yield "invalid name; use up to 255 of a-z, 0-9, '_', '.', '-' and '/', beginning with a letter"
        if word := naming.word_of_kind_or_unit(self.name):
            yield f"the name contains {word!r}; leave it out, as Prometheus appends the kind and the unit"
        if naming.ends_like_a_histogram(self.name):
            yield "the name ends in 'bucket', 'count' or 'sum', like parts of a Prometheus histogram; choose another"
        if not naming.is_unit(self.unit):
            yield f"unit {shown(self.unit)} is not UCUM; use for example 's', 'By', '1' or '{{event}}'"
        if problem := naming.problem_of_description(self.description):
            yield problem
        if self.group not in GROUPS:
            yield f"group is {shown(self.group)}; allowed: {', '.join(GROUPS)}"
        if self.series < 1:
            yield f"series is {self.series}; allowed: at least 1"
        declared = self.attributes
        if not isinstance(declared, tuple | list) or not all(isinstance(each, Attribute) for each in declared):
            yield f"attributes is {shown(self.attributes)}; allowed: a tuple of Attribute declarations"
            return
        yield from self._repeated("attribute", [a.prometheus_label for a in self.attributes])
        yield from self._repeated("keyword", [a.keyword for a in self.attributes])

    def _repeated(self, part: str, names: list[str]) -> Iterable[str]:
        yield from (f"{part} {name!r} is declared twice" for name in sorted({n for n in names if names.count(n) > 1}))


@dataclass(frozen=True, eq=False, kw_only=True)
class Synchronous(Instrument):
    """An instrument that the measured code records to."""

    recorder: Recorder | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the declaration."""
        super().__post_init__()
        # On the instance, as while telemetry runs: found on the class, an inert call would take a quarter longer.
        object.__setattr__(self, "recorder", None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Counter(Synchronous):
    """A sum that only grows.

    With `expires`, a series that is not used for that many seconds is given up; True stands for the setting
    entity_expiry.
    """

    kind: ClassVar[str] = "counter"

    expires: bool | float = False

    def add(self, amount: float, /, **attributes: AttributeValue | None) -> None:
        """Add `amount` (at least 0) to the series of these attributes; never raises."""
        recorder = self.recorder
        if recorder is not None:
            recorder.record(amount, attributes)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundCounter:
        """Return this counter with its attributes resolved, for code that adds often."""
        return BoundCounter(self, attributes)

    def forget(self, /, **attributes: AttributeValue | None) -> None:
        """Give up the series that have these attributes, if this counter's series expire; never raises."""
        recorder = self.recorder
        if isinstance(recorder, Forgetting):
            recorder.forget(attributes)

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        seconds = self.expires
        if not isinstance(seconds, int | float) or not (isinstance(seconds, bool) or 0 < seconds < math.inf):
            yield f"expires is {shown(seconds)}; allowed: True, False, or seconds above 0"


@dataclass(frozen=True, eq=False, kw_only=True)
class UpDownCounter(Synchronous):
    """A sum that grows and shrinks."""

    kind: ClassVar[str] = "updowncounter"

    def add(self, amount: float, /, **attributes: AttributeValue | None) -> None:
        """Add `amount`, which may be negative, to the series of these attributes; never raises."""
        recorder = self.recorder
        if recorder is not None:
            recorder.record(amount, attributes)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundCounter:
        """Return this counter with its attributes resolved, for code that adds often."""
        return BoundCounter(self, attributes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Gauge(Synchronous):
    """The last value that was set."""

    kind: ClassVar[str] = "gauge"

    def set(self, amount: float, /, **attributes: AttributeValue | None) -> None:
        """Make `amount` the value of the series of these attributes; never raises."""
        recorder = self.recorder
        if recorder is not None:
            recorder.record(amount, attributes)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundGauge:
        """Return this gauge with its attributes resolved, for code that sets it often."""
        return BoundGauge(self, attributes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Histogram(Synchronous):
    """A distribution over `buckets`: finite upper bounds, floats, ascending.

    `count_group` is a metric group that needs only the count and the sum: while it is on and `group` is off, the
    histogram has no bounds.
    """

    kind: ClassVar[str] = "histogram"

    buckets: tuple[float, ...] = SUB_SECOND
    count_group: str = ""

    def __post_init__(self) -> None:
        """Check the declaration, and make plain floats of bounds such as numpy's, which not every format can write."""
        super().__post_init__()
        object.__setattr__(self, "buckets", tuple(map(float, self.buckets)))

    def is_on(self, groups: Collection[str]) -> bool:
        """Whether it is recorded, with or without bounds, while these metric groups are on."""
        return super().is_on(groups) or self.count_group in groups

    def bounds(self, groups: Collection[str]) -> tuple[float, ...]:
        """Return the bounds that it has while these metric groups are on: its buckets, or none."""
        return self.buckets if super().is_on(groups) else ()

    def record(self, amount: float, /, **attributes: AttributeValue | None) -> None:
        """Record `amount` (at least 0) in the series of these attributes; never raises."""
        recorder = self.recorder
        if recorder is not None:
            recorder.record(amount, attributes)

    def bind(self, /, **attributes: AttributeValue | None) -> BoundHistogram:
        """Return this histogram with its attributes resolved, for code that records often."""
        return BoundHistogram(self, attributes)

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        yield from naming.wrong_types(self, ("buckets", Iterable, "a tuple of finite floats"))
        others = [group for group in GROUPS if group != self.group]
        if self.count_group not in ("", *others):
            yield f"count_group is {shown(self.count_group)}; allowed: {', '.join(others)}"
        if isinstance(self.buckets, str) or not all(
            isinstance(bound, float) and math.isfinite(bound) for bound in self.buckets
        ):
            yield f"buckets is {shown(self.buckets)}; allowed: finite floats"
        elif list(self.buckets) != sorted(set(self.buckets)) or not self.buckets:
            yield f"buckets is {self.buckets}; allowed: at least one bound, in ascending order"


@dataclass(frozen=True, eq=False, kw_only=True)
class Observable(Instrument):
    """An instrument that is read at every collection."""

    recorder: Observer | None = field(default=None, init=False, repr=False)

    def observe(self, source: Source, /, **attributes: AttributeValue | None) -> Observing:
        """Read `source` at every collection from now on, with these attributes, until `stop()` of the result is called.

        `source` returns a number, an iterable of (number, attributes) pairs, or None. It runs in the collecting thread;
        its exceptions are counted and logged once. Before telemetry is set up, this does nothing.
        """
        observer = self.recorder
        if observer is not None:
            return observer.observe(source, attributes)
        return Observing(lambda: None)


class ObservableCounter(Observable):
    """An observed sum that only grows."""

    kind: ClassVar[str] = "counter"


class ObservableUpDownCounter(Observable):
    """An observed sum that grows and shrinks: a size, a number of items."""

    kind: ClassVar[str] = "updowncounter"


class ObservableGauge(Observable):
    """An observed value that cannot be added up: an age, a temperature, a share."""

    kind: ClassVar[str] = "gauge"


def state_set(attribute: Attribute, current: str) -> list[Point]:
    """Return one point for each value of `attribute`: 1 for the current one, 0 for the others."""
    return [(float(value == current), {attribute.keyword: value}) for value in attribute.values]


def connect(recorders: Iterable[tuple[Synchronous | Observable, Recorder | Observer]]) -> None:
    """Let declarations record; the pipeline calls this once for all of them, so that they change together."""
    GENERATION.current = GENERATION.CHANGING
    try:
        for instrument, recorder in recorders:
            object.__setattr__(instrument, "recorder", recorder)
    finally:
        GENERATION.end()


def disconnect(instruments: Iterable[Synchronous | Observable]) -> None:
    """Make declarations inert; the pipeline calls this."""
    GENERATION.current = GENERATION.CHANGING
    try:
        for instrument in instruments:
            object.__setattr__(instrument, "recorder", None)
    finally:
        GENERATION.end()
