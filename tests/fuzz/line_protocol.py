"""An independent reader of line protocol, a letter at a time, by InfluxDB's reference."""

from __future__ import annotations

from typing import NamedTuple


class Read(NamedTuple):
    """A line as a store reads it; numbers are floats."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, str | float]
    timestamp: int


def read_line(line: str) -> Read:
    """Return the content of a line; raise ValueError if a store would refuse it or read something else."""
    if any(ord(letter) < 32 for letter in line):
        raise ValueError("a line has no control characters")
    measurement, rest = _name(line, ", ")
    tags: dict[str, str] = {}
    while rest.startswith(","):
        key, rest = _name(rest[1:], "=")
        tags[key], rest = _name(rest[1:], ", ")
    fields: dict[str, str | float] = {}
    while rest[:1] in {" ", ","} and "=" in rest:
        key, rest = _name(rest[1:], "=")
        value, rest = _value(rest[1:])
        if key in fields:
            raise ValueError(f"{key} is written twice")
        fields[key] = value
    if not fields or not rest.startswith(" "):
        raise ValueError(f"no fields, or no time after them: {rest!r}")
    return Read(measurement, tags, fields, int(rest[1:]))


def _name(text: str, ends: str) -> tuple[str, str]:
    """Return a name up to one of the letters that end it, unescaped, and the rest."""
    found, index = "", 0
    while index < len(text) and text[index] not in ends:
        if text[index] == "\\" and text[index + 1 : index + 2] in {",", " ", "="}:
            index += 1
        elif text[index] in {",", " "}:  # an equals sign needs no escape in a measurement
            raise ValueError(f"{text[index]!r} in a name: {text!r}")
        found += text[index]
        index += 1
    if not found or index == len(text):
        raise ValueError(f"an empty or endless name: {text!r}")
    return found, text[index:]


def _value(text: str) -> tuple[str | float, str]:
    if not text.startswith('"'):
        number = text.partition(" ")[0].partition(",")[0]
        return float(number), text[len(number) :]
    found, index = "", 1
    while text[index] != '"':
        if text[index] == "\\" and text[index + 1] in {'"', "\\"}:
            index += 1
        found += text[index]
        index += 1
    return found, text[index + 1 :]
