"""Hostile values for calls, each with a text by which a failure can name it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from hypothesis import strategies as st

from tests.hostile import VALUES


class Value:
    """A value that is made when it is used: nothing else hashes, compares or shows it."""

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self.make = make

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _recurse(self: object, *_: object) -> Any:
    return repr(self) + str(self)


def _wait(self: object, *_: object) -> str:
    time.sleep(0.001)
    return "slow"


class Deep:
    """Text of it never ends, until Python gives up."""

    __repr__ = __str__ = __format__ = _recurse


class Slow:
    """Text of it takes its time."""

    __repr__ = __str__ = _wait


class Liar(str):
    """Equal to everything, with one hash, and another length than it has."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        return True

    def __ne__(self, _: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 1

    def __len__(self) -> int:
        return 2**31


class Exits:
    """Ends the program, if it is asked for its text; nothing that records may ask."""

    def __index__(self) -> int:
        raise OverflowError("a hostile value")

    __float__ = __int__ = __bool__ = __iter__ = __index__


def _nested() -> list[Any]:
    inner: list[Any] = []
    for _ in range(sys.getrecursionlimit() * 2):
        inner = [inner]
    return inner


def _own() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@cache
def _megabytes(text: str) -> str:
    """Return ten megabytes of a character, always the same object: an example may use it many times."""
    return text * 10_000_000


_FURTHER: dict[str, Callable[[], Any]] = {
    "Deep": Deep,
    "Slow": Slow,
    "Liar": lambda: Liar("mqtt"),
    "Exits": Exits,
    "10 MB": partial(_megabytes, "x"),
    "10 MB of surrogates": partial(_megabytes, "\udc80"),
    "nested": _nested,
    "a list in itself": _own,
    "memoryview": lambda: memoryview(b"x"),
    "range": lambda: range(10**18),
    "class": lambda: Deep,
    "generator": lambda: (each for each in "ab"),
    "function": lambda: lambda: 1,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
}


def exactly(value: Any) -> Value:
    """Return this very value."""
    return Value(ascii(value)[:100], lambda: value)


named = st.sampled_from(
    [Value(f"VALUES[{index}]", make) for index, make in enumerate(VALUES)]
    + [Value(name, make) for name, make in _FURTHER.items()]
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Zs", "Mn"])),
    st.binary(),
    st.sampled_from(["mqtt", "websocket", "ok", "error", "cancelled", "_OTHER", "duplicate", "queued", ""]),
).map(exactly)
HOSTILE = named | plain
