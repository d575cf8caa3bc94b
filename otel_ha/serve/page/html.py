"""Elements of HTML and SVG, from the standard library's trees, which escape every text and every attribute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

from otel_ha.turn import giving_way

__all__ = ["Child", "Element", "data", "element", "filled", "hole", "name", "text_of"]

Child: TypeAlias = "Element | str | None"

# A document cannot contain these: control characters, halves of surrogate pairs, and code points without meaning.
_NOT_ALLOWED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_HOLE = "<slot></slot>"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def element(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """Return an element with these children, in turn; None stands for nothing.

    Attributes that are Python keywords end with an underscore (class_), and further underscores become hyphens
    (data_key is data-key). One whose value is None is left out.
    """
    made = Element(tag)
    for key, value in attributes.items():
        if value is not None:
            made.set(key.rstrip("_").replace("_", "-"), _allowed(str(value)))
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                made.text = (made.text or "") + _allowed(child)
            else:
                last.tail = (last.tail or "") + _allowed(child)
        elif child is not None:
            made.append(child)
            last = child
    return made


def name(text: str) -> Element:
    """Return a text that comes from outside, isolated, so that its direction cannot change that of its surroundings."""
    return element("bdi", text)


def data(value: float | None, shown: str) -> Element:
    """Return a number as it is shown, which carries its exact value; nothing is known if it is None."""
    return element("data", shown, value="" if value is None else repr(value))


def text_of(document: Element) -> str:
    """Return an element as HTML."""
    return tostring(document, encoding="unicode", method="html")


def hole() -> Element:
    """Return an element that keeps a place for parts; see filled()."""
    return element("slot")


def filled(document: Element, parts: Iterable[Element | str]) -> str:
    """Return an element as HTML, with parts in the place of its hole; texts are HTML already.

    Each part is made, written and forgotten before the next. Thousands of elements at once would make Python's garbage
    collector look through all objects of the service, which halts it for longer than the page takes.
    """
    before, _, after = text_of(document).partition(_HOLE)
    return "".join((before, *(part if isinstance(part, str) else text_of(part) for part in giving_way(parts)), after))


def _allowed(text: str) -> str:
    return _NOT_ALLOWED.sub(_REPLACEMENT, text)
