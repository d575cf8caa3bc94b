"""FrozenMapping: an immutable mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, final

from otel_ha.scrub import mask_shapes

__all__ = ["FrozenMapping"]

T = TypeVar("T")


@final
class FrozenMapping(Mapping[str, T]):
    """An immutable mapping that can be hashed and pickled, unlike ``types.MappingProxyType``."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        """Copy `items`."""
        self._items = dict(items)

    def __getitem__(self, key: str) -> T:
        """Return the value at `key`; raises KeyError."""
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in the order given."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._items)

    def __hash__(self) -> int:
        """Return the hash of keys and values in any order, as for equality."""
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        """Show the items as a dict does, with secrets masked: a value may be a URL with a password."""
        return mask_shapes(repr(self._items))
