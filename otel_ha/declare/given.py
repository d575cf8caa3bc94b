"""Given attributes: the check of those that measured() and bind() get once, before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from otel_ha.declare.plain import is_same
from otel_ha.declare.ports import shown
from otel_ha.errors import CatalogError

if TYPE_CHECKING:
    from otel_ha.declare.instruments import Attribute

SET_BY_STEPS = frozenset({"outcome", "reason", "state"})
"""Attributes that a step sets itself, by keyword."""

SET_BY_MEASUREMENTS = SET_BY_STEPS | {"error_type"}
"""Attributes that measured work sets itself, by keyword."""


def check_given(by: str, attributes: Mapping[str, object], declared: Mapping[str, Attribute]) -> None:
    """Raise CatalogError for a mistake in what the function `by` got, which recording could only warn of."""
    for keyword, value in attributes.items():
        if keyword in SET_BY_MEASUREMENTS:
            raise CatalogError(f"{by}: {keyword!r} is set by the measurement itself; leave it out")
        if keyword not in declared:
            allowed = tuple(sorted(declared.keys() - SET_BY_MEASUREMENTS))
            known = ", ".join(allowed) or "none"
            raise CatalogError(f"{by}: no attribute {keyword!r}; declared: {known}{did_you_mean(keyword, allowed)}")
        values = declared[keyword].values
        if values and value is not None and not callable(value) and not any(is_same(value, each) for each in values):
            raise CatalogError(f"{by}: {keyword} is {shown(value)}; allowed: {', '.join(values)}")


@lru_cache(100)  # recording asks each time that an attribute is wrong, and the search takes longer than the rest
def did_you_mean(keyword: str, allowed: tuple[str, ...]) -> str:
    """Return the end of a message that suggests the allowed keyword that is nearest to this one; maybe empty."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

    near = get_close_matches(keyword, allowed, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
