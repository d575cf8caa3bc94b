"""Plain values: numbers and text of any type as Python's own, and comparisons that never raise.

A value may be any object, even one that raises when it is compared, hashed, converted or asked for its class, as the
weak proxy of a dead object does. So its type is asked, and conversions are caught.
"""

from __future__ import annotations

import math
import operator
from numbers import Complex, Integral, Number, Real

LIMIT = 2**63
"""Every number is below this: OTLP has 64 bits for an integer, and a larger one would make the whole push fail."""


def plain_text(value: object) -> str | None:
    """Return text as Python's own str, or None if it is something else; a member of a StrEnum is its text."""
    return str.__str__(value) if issubclass(type(value), str) else None


def plain_number(value: object) -> bool | int | float | None:
    """Return a real number as Python's own bool, int or float, or None if it is something else.

    numpy's scalars, Decimals and Fractions are numbers; a duration or a date is not, as its unit is unknown.
    """
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        return value  # type: ignore[return-value]  # it is a number
    try:
        return _converted(kind, value)
    except Exception:  # noqa: BLE001 - a subclass may do anything, and recording never raises
        return None


def sendable(value: object) -> str | bool | int | float | None:
    """Return the value of an attribute as Python's own if exporters can encode it, or None.

    A lone surrogate would break every scrape, a larger number every push; no NaN equals another one, so that each would
    be a series.
    """
    if type(value) is str and value.isascii():  # almost every value
        return value
    text = plain_text(value)
    if text is not None:
        try:
            text.encode()
        except UnicodeEncodeError:
            return None
        return text
    number = plain_number(value)
    if isinstance(number, float):
        return None if math.isnan(number) else number
    return number if number is not None and -LIMIT <= number < LIMIT else None


def _converted(kind: type, value: object) -> bool | int | float | None:
    if issubclass(kind, int):
        return int.__int__(value)  # type: ignore[arg-type]  # it is an int
    if issubclass(kind, float):
        return float.__float__(value)  # type: ignore[arg-type]  # it is a float
    if issubclass(kind, Integral):
        return operator.index(value)  # type: ignore[arg-type]  # raises TypeError for numpy's durations
    if issubclass(kind, Real) or (issubclass(kind, Number) and not issubclass(kind, Complex)):
        return float(value)  # type: ignore[arg-type]  # a Decimal is a Number, but not Real
    if kind.__module__ == "numpy" and kind.__name__ in {"bool", "bool_"}:  # not among Python's kinds of number
        return bool(value)
    return None


def is_same(one: object, other: object) -> bool:
    """Whether two values are equal; those that cannot be compared are not."""
    try:
        return one is other or bool(one == other)
    except Exception:  # noqa: BLE001 - recording never raises
        return False
