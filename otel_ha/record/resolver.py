"""Resolver: turns the keywords of a measurement into OpenTelemetry attributes, within the declared limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_ha.declare.instruments import OTHER, Attribute, Instrument
from otel_ha.declare.plain import sendable
from otel_ha.declare.ports import Attributes, AttributeValue, shown
from otel_ha.record.gate import CollectionGate
from otel_ha.record.problems import Problems
from otel_ha.record.queues import WatchedQueues

OVERFLOW: dict[str, AttributeValue] = {"otel.metric.overflow": True}
"""The attribute of the series that takes everything beyond an instrument's limit (metrics SDK specification)."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The objects that all recorders of one pipeline share."""

    problems: Problems
    gate: CollectionGate = field(default_factory=CollectionGate)
    queues: WatchedQueues = field(default_factory=WatchedQueues)
    within_budget: dict[Attribute, set[AttributeValue]] = field(default_factory=dict)
    """The values within each attribute's budget: the same on every instrument, or their accounts would differ."""
    longest: int = 255
    """The number of characters beyond which the value of an attribute is cut."""


Identity = tuple[Any, ...]
"""Names and values of an attribute set in turn, sorted by name; a value other than text is paired with its type."""


def identity(attributes: Mapping[str, AttributeValue]) -> Identity:
    """Return the identity of an attribute set, which distinguishes 1, 1.0 and True as the SDK does."""
    parts: list[Any] = []
    for name in sorted(attributes):
        value = attributes[name]
        parts += (name, value if type(value) is str else (type(value), value))
    return tuple(parts)


def attributes_of(same: Identity) -> dict[str, AttributeValue]:
    """Return the attributes of an identity."""
    pairs = zip(same[::2], same[1::2], strict=True)
    return {name: value[1] if isinstance(value, tuple) else value for name, value in pairs}


def _itself(same: Identity) -> Identity:
    return same


_OVERFLOWN = identity(OVERFLOW)
_REMEDIES: Mapping[tuple[str, object], str] = {
    ("outcome", "discarded"): "; discard() needs an Operation with a `discarded` counter"
}
"""Ends of messages about values outside a closed set, by the keyword and the value."""


class Resolver:
    """Turns the keywords of one instrument's measurements into OpenTelemetry attributes, within its limits."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self._instrument = instrument
        self._problems = shared.problems
        self._longest = shared.longest
        self._attributes = {attribute.keyword: attribute for attribute in instrument.attributes}
        self._within_budget = {a.keyword: shared.within_budget.setdefault(a, set()) for a in instrument.attributes}
        self.series: dict[Identity, Any] = {}
        """The attribute sets in use, each with an object of the recorder's."""
        self.new_series: Callable[[Identity], Any] = _itself
        """Makes the object of a new attribute set."""
        self.reports = 0
        self._widest_name: str | None = None

    def resolve(self, attributes: Attributes, *, take_place: bool = True) -> dict[str, AttributeValue]:
        """Return the attributes by their full names, or OVERFLOW beyond the instrument's series."""
        resolved = self._named(attributes)
        return self._placed(resolved)[1] if take_place else resolved

    def identify(self, attributes: Attributes) -> Identity:
        """Return the identity of the resolved attributes."""
        return self._placed(self._named(attributes))[0]

    def _named(self, attributes: Attributes) -> dict[str, AttributeValue]:
        """Return the attributes by their full names, each within its limits."""
        resolved: dict[str, AttributeValue] = {}
        for keyword, value in attributes.items():
            if value is None:
                continue
            attribute = self._attributes.get(keyword)
            if attribute is None:
                declared = ", ".join(self._attributes) or "none"
                message = f"has no attribute {shown(keyword)} (declared: {declared}); recorded without it"
                self._report("undeclared_attribute", keyword, message)
            else:
                resolved[attribute.name] = self._within_limits(attribute, value)
        return resolved

    def _placed(self, resolved: dict[str, AttributeValue]) -> tuple[Identity, dict[str, AttributeValue]]:
        """Return attributes that have a place among the series, with their identity: these, folded ones or OVERFLOW."""
        same = identity(resolved)
        if same in self.series or self._takes_place(same):
            return same, resolved
        folded = self._fold(resolved)
        same = identity(folded)
        if same in self.series or self._takes_place(same, reserve=True):
            return same, folded
        return _OVERFLOWN, OVERFLOW

    def _fold(self, resolved: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the attributes with the one that has the most values replaced by "_OTHER": the others survive."""
        return {**resolved, self._widest: OTHER} if self._widest in resolved else resolved

    @property
    def _widest(self) -> str:
        """The open attribute with the most values, determined once, when the series are used up."""
        # Not a cached_property: until Python 3.12 that takes a lock, which a forked child could find held.
        if self._widest_name is None:
            self._widest_name = self._find_widest()
        return self._widest_name

    def _find_widest(self) -> str:
        values: dict[str, set[AttributeValue]] = {a.name: set() for a in self._attributes.values() if not a.values}
        for series in list(self.series):
            for name, value in attributes_of(series).items():
                if name in values:
                    values[name].add(value)
        return max(values, key=lambda name: len(values[name]), default="")

    def _within_limits(self, attribute: Attribute, given: object) -> AttributeValue:
        value = sendable(given)
        if value is None:
            message = f"{attribute.name} is {shown(given)}; allowed: Unicode text, 64-bit numbers; recorded as {OTHER}"
            self._report("invalid_value", attribute.name, message)
            return OTHER
        if value == OTHER:  # also if it was resolved before
            return OTHER
        if attribute.values and value not in attribute.values:
            allowed = ", ".join(attribute.values)
            remedy = _REMEDIES.get((attribute.keyword, value), "")
            message = f"{attribute.name} is {shown(value)}; allowed: {allowed}; recorded as {OTHER}{remedy}"
            self._report("undeclared_value", attribute.name, message)
            return OTHER
        if not attribute.values and isinstance(value, str) and len(value) > self._longest:
            beyond = f"{attribute.name} has {len(value)} characters; the first {self._longest} are recorded"
            self._report("value_too_long", attribute.name, f"{beyond}; see OTEL_HA_ATTRIBUTE_VALUE_LENGTH_LIMIT")
            value = value[: self._longest]
        if attribute.budget and not self._is_within_budget(attribute, value):
            beyond = f"{attribute.name} has more than {attribute.budget} values"
            message = f"{beyond}; {shown(value)} is recorded as {OTHER}; raise its budget="
            self._report("budget_exceeded", attribute.name, message)
            return OTHER
        return value

    def _is_within_budget(self, attribute: Attribute, value: AttributeValue) -> bool:
        known = self._within_budget[attribute.keyword]
        if value not in known:
            if len(known) >= (attribute.budget or 0):
                return False
            known.add(value)
        return True

    def _takes_place(self, same: Identity, *, reserve: bool = False) -> bool:
        """Give a new series a place, and return whether there was one."""
        if len(self.series) >= self._instrument.series + (self._instrument.reserve if reserve else 0):
            if not reserve:
                most = self._instrument.series
                later = f"with {self._widest}={OTHER}" if self._widest else "as otel.metric.overflow"
                message = f"more than {most} attribute sets; later ones are recorded {later}; raise its series="
                self._report("series_exceeded", "", message)
            return False
        self.series.setdefault(same, self.new_series(same))  # of several threads, one wins
        return True

    def keywords_of(self, same: Identity) -> dict[str, AttributeValue]:
        """Return the attributes of an identity by keyword."""
        names = {attribute.name: keyword for keyword, attribute in self._attributes.items()}
        return {names[name]: value for name, value in attributes_of(same).items() if name in names}

    def forget(self, gone: Iterable[Identity]) -> None:
        """Free the places of attribute sets."""
        for same in gone:
            self.series.pop(same, None)

    def _report(self, reason: str, attribute: str, message: str) -> None:
        self.reports += 1
        self._problems.report(self._instrument, reason, message, attribute=attribute)
