"""Kinds of settings: how the text of an option or environment variable becomes a value, and which text is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from examples.ingestor.urls import Address, address

T = TypeVar("T")

MQTT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
HTTP_PORTS: Final = {"http": 80, "https": 443}
HOME_ASSISTANT_PORTS: Final = {**HTTP_PORTS, "ws": 80, "wss": 443}


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of setting: its placeholder in --help, a description of the allowed values, and its parser.

    The parser returns the value of a text, or raises ValueError if the text is not allowed.
    """

    metavar: str
    allowed: str
    parse: Callable[[str], T]


def _path(value: str) -> Path:
    if not value:
        raise ValueError
    return Path(value)


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _topic(value: str) -> str:
    if set(value) & set("+#") or not value.strip("/"):
        raise ValueError
    return value.rstrip("/")


def _topics(value: str) -> tuple[str, ...]:
    return tuple(_topic(part) for part in _parts(value))


def _attributes(value: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for part in filter(str.strip, value.split(";")):
        glob, _, names = part.partition("=")
        if not glob.strip() or not _parts(names):
            raise ValueError
        found.append((glob.strip(), _parts(names)))
    return tuple(found)


TEXT: Final = Kind("TEXT", "any text", str)
PATH: Final = Kind("FILE", "the path of a file", _path)
LIST: Final = Kind("LIST", "a list separated by commas", _parts)
TOPIC: Final = Kind("TOPIC", "a topic without + and #", _topic)
TOPICS: Final = Kind("TOPICS", "topics without + and #, separated by commas", _topics)
ATTRIBUTES: Final = Kind(
    "GLOBS", "globs with names of attributes, such as climate.*=temperature,hvac_action;light.*=brightness", _attributes
)


def whole(least: int, most: int) -> Kind[int]:
    """Return the kind of whole numbers within these limits."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdecimal() or not least <= int(value) <= most:
            raise ValueError
        return int(value)

    return Kind("N", f"a whole number from {least} to {most}", parse)


def number(least: float, most: float, unit: str) -> Kind[float]:
    """Return the kind of numbers of `unit` within these limits."""

    def parse(value: str) -> float:
        found = float(value)
        if math.isnan(found) or not least <= found <= most:
            raise ValueError
        return found

    return Kind("N", f"a number of {unit} from {least:g} to {most:g}", parse)


def seconds(least: float, most: float) -> Kind[float]:
    """Return the kind of times, in seconds, within these limits."""
    return number(least, most, "seconds")


def url(ports: dict[str, int]) -> Kind[Address]:
    """Return the kind of URLs with the schemes of `ports`, which maps a scheme to its default port."""
    schemes = " or ".join(f"{scheme}://" for scheme in ports)
    return Kind("URL", f"a URL that begins with {schemes} and names a host", lambda value: address(value, ports))


def choice(*names: str) -> Kind[str]:
    """Return the kind that allows one of these names, in upper or lower case."""

    def parse(value: str) -> str:
        if value.lower() not in names:
            raise ValueError
        return value.lower()

    return Kind("NAME", f"{', '.join(names[:-1])} or {names[-1]}", parse)


def several(*names: str) -> Kind[tuple[str, ...]]:
    """Return the kind of lists of some of these names."""

    def parse(value: str) -> tuple[str, ...]:
        if not set(_parts(value)) <= set(names):
            raise ValueError
        return _parts(value)

    return Kind("LIST", f"a list of {' and '.join(names)}, separated by a comma", parse)


def _switch(value: str) -> bool:
    try:
        return {"true": True, "false": False}[value.lower()]
    except KeyError:
        raise ValueError from None


SWITCH: Final = Kind("", "true or false", _switch)
"""On or off. The option takes no value and switches on; the environment variable is true or false."""
