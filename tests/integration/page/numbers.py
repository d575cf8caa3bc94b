"""The numbers of a page, each with its path in the summary."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.servers.browser import Sight

_NUMBERS = """() => [...document.querySelectorAll('data')].map(data => {
  const named = data.closest('[data-key], [id]');
  return [named.dataset.key || named.id, data.value, data.textContent];
})"""


class Number(NamedTuple):
    """A number as the page shows it."""

    path: str
    value: float | None
    shown: str


def numbers(sight: Sight) -> list[Number]:
    """Return all numbers, in the order of the page."""
    found = sight.page.evaluate(_NUMBERS)
    return [Number(path, json.loads(value) if value else None, shown) for path, value, shown in found]


def at(summary: Any, path: str) -> Any:
    """Return the value at a path. Its steps are keys; in a list, they are names of rows or positions (-1: the last).

    Raises LookupError if there is none.
    """
    if not path:
        return summary
    if isinstance(summary, list):
        summary = {
            str(index): row for number, row in enumerate(summary) for index in (number, number - len(summary))
        } | {_name(row): row for row in summary if _name(row) is not None}
    if isinstance(summary, dict):
        for key, value in summary.items():
            if path == key or path.startswith(f"{key}."):
                try:
                    return at(value, path[len(key) + 1 :])
                except LookupError:
                    continue
    raise LookupError(path)


def wrong(found: list[Number], summary: Any) -> list[str]:
    """Return a line for each number that differs from the summary, or is not in it."""
    lines = []
    for number in found:
        try:
            expected = at(summary, number.path)
        except LookupError:
            lines.append(f"{number.path} is not in the summary; the page shows {number.shown!r}")
        else:
            if number.value != expected:
                lines.append(
                    f"{number.path} is {expected!r}; the page has {number.value!r}, and shows {number.shown!r}"
                )
    return lines


def paths(summary: Any, path: str = "") -> list[str]:
    """Return the paths of all numbers below one place of the summary."""
    if isinstance(summary, dict):
        rows = [(key, value) for key, value in summary.items() if key != "name"]
    elif isinstance(summary, list):
        rows = [
            (row["name"] if isinstance(row, dict) and "name" in row else str(n), row) for n, row in enumerate(summary)
        ]
    else:
        return [path] if isinstance(summary, int | float) and not isinstance(summary, bool) else []
    return [found for key, value in rows for found in paths(value, f"{path}.{key}" if path else key)]


def _name(row: Any) -> str | None:
    """Return the name of a row, if rows of its kind have names."""
    return row.get("name", row.get("attribute")) if isinstance(row, dict) else None
