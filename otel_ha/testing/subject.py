"""Subject: the instrument or the name that a test asks about, with the attributes by which it asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import OTHER, Attribute, Instrument
from otel_ha.declare.operation import Operation
from otel_ha.declare.plain import plain_number, plain_text, sendable
from otel_ha.declare.ports import AttributeValue, shown
from otel_ha.testing.question import QuestionError

__tracebackhide__ = True

Asked = Instrument | Operation | str
"""The subject of a question: an instrument, an operation (which stands for its duration), or the name of a metric."""

Wanted = AttributeValue | Sequence[AttributeValue] | None
"""The value that an attribute must have; None: the series lacks it."""

Where = Mapping[str, Any]
"""Attributes by full name, with the value that each must have; None: the series lacks it."""


class Subject:
    """A declared instrument, or else the name of a metric of the plain OpenTelemetry API.

    A name that `catalog` declares has the keywords of its declaration, whichever library records it.
    """

    def __init__(self, asked: Asked, catalog: Catalog | None = None) -> None:
        asked = asked.duration if isinstance(asked, Operation) else asked
        if not isinstance(asked, Instrument | str):
            allowed = "an instrument, an Operation, or the name of a metric"
            raise QuestionError(f"metrics cannot answer for {shown(asked)}; allowed: {allowed}")
        self.is_declared = isinstance(asked, Instrument)
        """Whether only what was recorded by declarations counts."""
        self.name = asked.name if isinstance(asked, Instrument) else str(asked)
        known = {} if catalog is None else {each.name: each for each in catalog}
        self.instrument = asked if isinstance(asked, Instrument) else known.get(self.name)
        declared = () if self.instrument is None else self.instrument.attributes
        self._by_keyword = {each.keyword: each for each in declared}
        self._by_name = {each.name: each for each in declared}

    def where(self, attributes: Mapping[str, object], recorded: Collection[str] = ()) -> Where:
        """Return attributes by full name; QuestionError for one that the instrument cannot have.

        `recorded` are the attributes that a name has, perhaps by another library than ours.
        """
        return dict(self._condition(name, value, recorded) for name, value in attributes.items())

    def _condition(self, given: str, value: object, recorded: Collection[str]) -> tuple[str, Any]:
        if self.instrument is None or given in recorded:
            return given, _plain_or_tuple(given, value)
        attribute = self._by_keyword.get(given) or self._by_name.get(given)
        if attribute is None:
            declared = list(self._by_keyword)
            alike = get_close_matches(given, declared, 1)
            suggestion = f"; did you mean {alike[0]!r}?" if alike else ""
            if given == "value":
                suggestion = "; a number to expect is the second argument, without a keyword"
            raise QuestionError(
                f"{self.name} has no attribute {given!r} (declared: {', '.join(declared) or 'none'}){suggestion}"
            )
        plain = _plain(given, value)
        if self.is_declared and attribute.values and plain not in {*attribute.values, OTHER, None}:
            allowed = ", ".join(attribute.values)
            raise QuestionError(
                f"{self.name}: {given} cannot be {shown(plain)}; allowed: {allowed}; others are recorded as {OTHER!r}"
            )
        return attribute.name, plain

    def by_keyword(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the attributes of a series by keyword where they are declared, else by full name."""
        return {self.keyword(name): value for name, value in attributes.items()}

    def keyword(self, name: str) -> str:
        """Return the keyword of an attribute, or its full name if it is not declared."""
        return self._by_name[name].keyword if name in self._by_name else name

    def attribute(self, name: str) -> Attribute | None:
        """Return the declaration of an attribute by its full name."""
        return self._by_name.get(name)

    def text(self, attributes: Mapping[str, Any]) -> str:
        """Return attributes, given by full name, as a text such as "with source='mqtt'"; "" if there are none."""
        pairs = [f"{self.keyword(name)}={_shown(value)}" for name, value in attributes.items()]
        return f" with {', '.join(pairs)}" if pairs else ""


def called(value: object) -> str:
    """Return a value as a text for a message; of a declaration, its kind and name."""
    if isinstance(value, Operation):
        return f"Operation {value.duration.name!r}"
    return f"{type(value).__name__} {value.name!r}" if isinstance(value, Instrument) else shown(value)


def is_equal(one: object, other: object) -> bool:
    """Whether two values of an attribute are the same; 1, 1.0 and True are three values."""
    return type(one) is type(other) and one == other


def _plain_or_tuple(given: str, value: object) -> Any:
    """Return the value of an attribute as the plain API records it, which accepts sequences."""
    if isinstance(value, list | tuple):
        return tuple(_plain(given, each) for each in value)
    return _plain(given, value)


def _plain(given: str, value: object) -> Any:
    """Return the value of an attribute as a declaration records it; QuestionError for one of a wrong type."""
    if value is None:
        return None
    if isinstance(value, type):
        raise QuestionError(f"{given} is a class; write its name: {value.__qualname__!r}")
    if plain_text(value) is None and plain_number(value) is None:
        raise QuestionError(f"{given} is {called(value)}; allowed: a text, a number, True, False or None")
    plain = sendable(value)
    return OTHER if plain is None else plain


def _shown(value: object) -> str:
    return "(not set)" if value is None else shown(value)
