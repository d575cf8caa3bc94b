"""Keys: how an attribute set is looked up, as it was given and before it is resolved."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

from otel_ha.declare.ports import Attributes

Key = tuple[Any, ...]

Value = TypeVar("Value")

LONGEST = 1000
"""Characters of a text in a key that is kept."""


def key_of(attributes: Attributes, *first: object) -> Key:
    """Return the key of an attribute set: `first`, then the keywords, then the values (cheaper than pairs).

    Equal values of different types have the same key: 1, 1.0 and True. See is_exact().
    """
    return (*first, *attributes, *attributes.values())


def typed_key_of(attributes: Attributes) -> Key:
    """Return a key that also distinguishes 1, 1.0 and True."""
    values = attributes.values()
    return (*attributes, *values, *map(type, values))


def is_exact(key: Key) -> bool:
    """Whether a key of key_of() stands for one attribute set only, and may be kept: its values are short text or None.

    A long text, such as a payload by mistake, would stay in memory as a whole although only its start is recorded.
    """
    for part in key:  # a loop, as all() would take a generator: every new attribute set comes here
        if part is not None and not (issubclass(type(part), str) and str.__len__(part) <= LONGEST):
            return False
    return True


def look_up(known: Mapping[Any, Value], key: Hashable) -> Value | None:
    """Return the value at a key; None if there is none, or if the key cannot be hashed.

    An attribute may be given any value, even one whose hash or equality raises. Code that runs for every measurement
    spells this out in place.
    """
    try:
        return known.get(key)
    except Exception:  # noqa: BLE001 - recording never raises
        return None
