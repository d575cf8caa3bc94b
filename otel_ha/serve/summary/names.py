"""Names in a summary: the values of attributes, and a word for those that are missing."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["UNKNOWN", "named", "named_rows"]

UNKNOWN = "unknown"
"""Stands for the value of an attribute that was not given."""


def named(found: Mapping[str, float]) -> dict[str, float]:
    """Return numbers by the values of an attribute, the empty one as unknown."""
    return {name: number for (name,), number in named_rows({(key,): found[key] for key in found}).items()}


def named_rows(found: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """Return numbers by the values of several attributes, the empty ones as unknown."""
    result: dict[tuple[str, ...], float] = {}
    for key, number in found.items():
        names = tuple(part or UNKNOWN for part in key)
        result[names] = result.get(names, 0) + number
    return result
