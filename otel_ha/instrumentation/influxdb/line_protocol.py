"""Line protocol: how many points a text has."""

from __future__ import annotations

import re

__all__ = ["count_points"]

_LINE = re.compile(
    rb"""
    [ \t\r\0]*+                              # a store skips these
    (?: \#[^\n]*+                            # a comment
      | (?: [^\\\n\x20]++ | \\.? )++         # measurement and tags, where a quote is an ordinary character
        (?: \x20                             # fields and time
            (?: [^\n=\\]++ | ="(?: [^"\\]++ | \\. )*+" | = | \\.? )*+
        )?+
    )?+
    (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNUSUAL = (b'"', b"#", b"\n\n", b"\n ", b"\r")
"""Signs that a line of a text may hold no point, or that a line break may stand within a point."""


def count_points(body: object) -> int:
    """Return the number of points in line protocol, as text or bytes; 0 for anything else.

    A line break between quotes belongs to the value of a field; empty lines and comments are not points.
    """
    if isinstance(body, str):
        body = body.encode(errors="replace")
    if not isinstance(body, bytes | bytearray) or not body:
        return 0
    breaks = body.count(b"\n")
    if breaks and body[0] not in b"\n " and body[-1] not in b"\n" and not any(each in body for each in _UNUSUAL):
        return breaks + 1
    return sum(_is_point(line.group()) for line in _LINE.finditer(body))


def _is_point(line: bytes) -> bool:
    text = line.strip(b" \t\r\n\0")
    return bool(text) and not text.startswith(b"#")
