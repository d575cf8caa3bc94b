"""Parts that the sections of the status page share: sections, notes, figures, times and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from otel_ha.serve.page.html import Child, Element, data, element, name
from otel_ha.serve.summary import words

__all__ = ["cell", "clock", "elapsed", "figure", "group_off", "heading", "help_", "note", "prose", "section", "table"]

Shown = Callable[[float | None], str]
"""Returns a number as people read it."""


def section(key: str, title: str, *children: Child) -> Element:
    """Return a section of the page, which its heading names; `key` is its id."""
    top = element("h2", title, id=f"{key}-heading")
    return element("section", top, *children, id=key, aria_labelledby=f"{key}-heading")


def note(text: str) -> Element:
    """Return a sentence that stands where figures are absent, and says why."""
    return element("p", text, class_="note")


def help_(text: str) -> Element:
    """Return a sentence below a heading that explains the section's words."""
    return element("p", text, class_="help")


def prose(text: str) -> Element:
    """Return a text in which words between backticks, such as commands, are code."""
    parts = re.split(r"`([^`]+)`", text)
    return element("bdi", *(element("code", part) if index % 2 else part for index, part in enumerate(parts)))


def group_off(*groups: str) -> str:
    """Return the sentence about figures that need one of these metric groups."""
    variables = " or ".join(f"OTEL_HA_{group.upper()}_METRICS" for group in groups)
    return f"The metric group {' or '.join(groups)} is off; {variables}=true turns it on."


def figure(key: str, value: float | None, shown: Shown, tag: str = "span") -> Element:
    """Return a number of the summary; `key` is its path there."""
    return element(tag, data(value, shown(value)), data_key=key)


def cell(key: str, value: float | None, shown: Shown) -> Element:
    """Return a number of the summary as the cell of a table."""
    return element("td", data(value, shown(value)), class_="number", data_key=key)


def heading(text: str) -> Element:
    """Return the cell that names a row, by a text from outside."""
    return element("th", name(text), scope="row")


def clock(timestamp: float, **attributes: str) -> Element:
    """Return a time, given in seconds since the epoch, as date and clock time of this process's time zone."""
    when = datetime.fromtimestamp(timestamp).astimezone()
    shown = f"{when:%Y-%m-%d %H:%M:%S %Z}"
    return element("time", shown, datetime=when.isoformat(), data_timestamp=repr(timestamp), **attributes)


def elapsed(seconds: float) -> Element:
    """Return how long something takes or is ago."""
    return element("time", words.duration(max(0.0, seconds)), datetime=f"PT{max(0.0, seconds):.3f}S")


def table(
    key: str, caption: str, headings: Sequence[str], rows: Iterable[Element], *, numbers: int = 0, alone: bool = False
) -> Element:
    """Return a table in a region of its own, which scrolls sideways; the last `numbers` columns are numbers.

    The caption of a table that stands `alone` below a heading is only for those who hear the page.
    """
    first = len(headings) - numbers
    head = [
        element("th", text, scope="col", class_="number" if index >= first else None)
        for index, text in enumerate(headings)
    ]
    made = element(
        "table",
        element("caption", caption, id=f"{key}-caption", class_="heard" if alone else None),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
    )
    return element(
        "div", made, class_="region", role="region", tabindex="0", id=f"{key}-region", aria_labelledby=f"{key}-caption"
    )
