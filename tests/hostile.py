"""Values that no code expects: objects that raise when they are used, and numbers of other libraries."""

from __future__ import annotations

import datetime as dt
import numbers
import weakref
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import partial
from typing import Any

try:
    import numpy as np
except ImportError:  # optional, as it is large; the objects below behave like its own
    np = None

_METHODS = ("eq", "ne", "lt", "le", "gt", "ge", "hash", "str", "repr", "bool", "float", "int", "index", "len", "iter")


def _raise(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("a hostile value")


_RAISING = {f"__{name}__": _raise for name in _METHODS}
Raising = type("Raising", (), _RAISING)
RaisingText = type("RaisingText", (str,), {**_RAISING, "encode": _raise, "__getitem__": _raise, "__format__": _raise})
RaisingInt = type("RaisingInt", (int,), _RAISING)
RaisingFloat = type("RaisingFloat", (float,), _RAISING)
# It can be a key, but not be compared with another key.
Incomparable = type("Incomparable", (str,), {"__eq__": _raise, "__hash__": str.__hash__})
Unhashable = type("Unhashable", (str,), {"__hash__": _raise})


class _RaisingType(type):
    __hash__ = __eq__ = __instancecheck__ = __subclasscheck__ = _raise

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__", "__module__"}:
            _raise()
        return super().__getattribute__(name)


class OfRaisingType(metaclass=_RaisingType):
    """Its class cannot even be named."""


class ClassRaises:
    """isinstance() raises for it, as for the weak proxy of a dead object."""

    @property
    def __class__(self) -> type:
        raise ZeroDivisionError("a hostile value")


class SaysStr:
    """It says that it is text, as a mock may."""

    __class__ = str


class SaysFloat:
    """It says that it is a number."""

    __class__ = float


class Comparison:
    """The result of comparing Array: neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")


class Array:
    """Compares like numpy's arrays."""

    __hash__ = None

    def __eq__(self, other: object) -> Any:
        return Comparison()

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")


class Scalar:
    """A whole number that is no int, like numpy's."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        return self._number


numbers.Integral.register(Scalar)
RaisingScalar = type("RaisingScalar", (Scalar,), _RAISING)


class Colour(StrEnum):
    """Members are text."""

    RED = "red"


def dead_proxy() -> Any:
    """Return a weak proxy of an object that is gone: it raises whatever one does with it."""
    return weakref.proxy(Array())


def live_proxy() -> Any:
    """Return a weak proxy of an object that is alive."""
    proxy = weakref.proxy(found := Array())
    _alive.append(found)
    return proxy


_alive: list[Array] = []


def _of(kind: Callable[..., Any], *given: Any) -> list[Callable[[], Any]]:
    """Return a function for each of the arguments that makes a value of it."""
    return [partial(kind, each) for each in given]


# Functions that make the values: no other test should find one of them alive.
VALUES: list[Callable[[], Any]] = [
    *(Raising, OfRaisingType, ClassRaises, SaysStr, SaysFloat, Array, dead_proxy, live_proxy, object),
    *(each for kind in (RaisingText, Incomparable, Unhashable) for each in _of(kind, "mqtt", "ok", "x" * 1000)),
    *(partial(RaisingInt, 1), partial(RaisingFloat, 1.5), partial(RaisingScalar, 1), *_of(Scalar, 2, 2**70)),
    *_of(Colour, "red"),
    *_of(Decimal, 1, "0.5", "NaN", "sNaN", "Infinity", "1e400", -1),
    *_of(Fraction, 0.25, 10**400),
    *_of(float, "nan", "inf", "-inf"),
    *_of(lambda each: each, 1j, dt.timedelta(seconds=1), 2**63, 10**400, 10**5000, True, 0, 0.0, -0.0),  # noqa: FBT003
    *_of(str, "", "\ud800", "a\udfffb", "x" * 1_000_000, "\ud800" * 1000, '\x00\n"\\'),
    *_of(lambda each: each, None, b"mqtt", [], {}, ZeroDivisionError("x")),
    lambda: [Raising()],
]
if np is not None:
    VALUES += [
        *_of(np.array, [1, 2], 1, []),
        *(partial(np.str_, "mqtt"), partial(np.bytes_, b"x"), partial(np.int64, 2)),
        *(partial(np.uint64, 2**64 - 1), *_of(np.float32, 0.5, "nan"), partial(np.longdouble, 1)),
        *(partial(np.bool_, 1), partial(np.complex64, 1)),
        *(partial(np.timedelta64, 5, "s"), partial(np.datetime64, "2020-01-01")),
    ]
