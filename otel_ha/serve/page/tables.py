"""Tables of the status page: events by source, domain, reason and sink, and errors by type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_ha.serve.page.html import Element, element, name
from otel_ha.serve.page.parts import Shown, cell, group_off, heading, note, table
from otel_ha.serve.summary import words

__all__ = ["tables"]

Row = Mapping[str, Any]


def _milliseconds(value: float | None) -> str:
    return words.duration(None if value is None else value / 1000)


_RATE = ("rate", "Per second", words.rate)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the summary: texts are columns before those of numbers, with key, heading and words for each."""

    key: str
    caption: str
    texts: tuple[tuple[str, str], ...]
    numbers: tuple[tuple[str, str, Shown], ...]
    groups: tuple[str, ...]
    empty: str


_TABLES = (
    _Table(
        "sources",
        "Events by source",
        (("name", "Source"),),
        (
            ("received", "Received", words.count),
            ("processed", "Processed", words.count),
            ("errors", "Errors", words.count),
            ("discarded", "Discarded", words.count),
            ("in_flight", "In flight", words.count),
            _RATE,
        ),
        ("performance", "business"),
        "No event has been received yet.",
    ),
    _Table(
        "sinks",
        "Points by sink",
        (("name", "Sink"),),
        (
            ("ok", "Written", words.count),
            ("lost", "Lost", words.count),
            ("errors", "Failed writes", words.count),
            ("p95_write_ms", "P95 of a write", _milliseconds),
            _RATE,
        ),
        ("business",),
        "No point has been written yet.",
    ),
    _Table(
        "domains",
        "Events by domain",
        (("name", "Domain"),),
        (("processed", "Processed", words.count), ("errors", "Errors", words.count), _RATE),
        ("performance", "business"),
        "No event has been processed yet.",
    ),
    _Table(
        "reasons",
        "Discarded events by reason",
        (("name", "Reason"),),
        (("discarded", "Discarded", words.count), _RATE),
        ("business",),
        "No event has been discarded.",
    ),
    _Table(
        "errors",
        "Errors by type",
        (("name", "Type"), ("component", "Component")),
        (("count", "Errors", words.count), _RATE),
        ("operations",),
        "No error has been counted.",
    ),
)


def tables(found: Mapping[str, Sequence[Row]], groups: Sequence[str]) -> Element:
    """Return the part "tables" of a summary; a table without rows is a sentence that says why."""
    return element("div", *(_draw(each, found.get(each.key) or (), groups) for each in _TABLES), class_="tables")


def _draw(each: _Table, rows: Sequence[Row], groups: Sequence[str]) -> Element:
    if not rows:
        why = group_off(*each.groups) if set(each.groups).isdisjoint(groups) else each.empty
        return element("div", element("h3", each.caption), note(why), class_="empty")
    headings = [text for _, text in each.texts] + [text for _, text, _ in each.numbers]
    # A name is a row's key, unless other rows have it as well.
    names = [str(row["name"]) for row in rows]
    keys = [own if names.count(own) == 1 else str(index) for index, own in enumerate(names)]
    drawn = (element("tr", *_cells(each, row, f"tables.{each.key}.{key}")) for row, key in zip(rows, keys, strict=True))
    return table(each.key, each.caption, headings, drawn, numbers=len(each.numbers))


def _cells(each: _Table, row: Row, path: str) -> Iterator[Element]:
    (first, _), *others = each.texts
    yield heading(str(row[first]))
    for key, _ in others:
        yield element("td", name(str(row.get(key) or words.NOTHING)))
    for key, _, shown in each.numbers:
        yield cell(f"{path}.{key}", row.get(key), shown)
