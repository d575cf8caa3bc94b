"""Kinds of settings: how a value is read, and how the allowed values are described.

A kind reads arguments, and variables of the environment, which are always text. A reader that cannot use a value raises
one of REJECTED. The caller makes the ConfigError and chains nothing to it, because Python's own messages ("could not
convert string to float: 'hunter2'") quote the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from otel_ha.config.frozen import FrozenMapping
from otel_ha.config.hosts import host_name
from otel_ha.config.secrets import MASK, Secret
from otel_ha.config.shown import shown_address, shown_path, shown_value
from otel_ha.config.urls import BaseUrl, Url, WholeUrl, target

__all__ = [
    "ATTRIBUTES",
    "BOOLEAN",
    "ENDPOINT",
    "FILE",
    "FUNCTION",
    "HEADERS",
    "HOST",
    "HOSTS",
    "INVERTED_BOOLEAN",
    "REJECTED",
    "SECRET",
    "TEXT",
    "USER",
    "Kind",
    "one_of",
    "seconds",
    "some_of",
    "whole",
]

REJECTED: Final = (ArithmeticError, LookupError, OSError, TypeError, ValueError)

# Surrogates too: they stand for bytes that are not UTF-8, and encoding the text again would raise.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# RFC 9110, 5.6.2 (token) and 5.5 (field values, less the bytes above ASCII, which gRPC refuses).
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")

# Part of a URL, with perhaps a user: it would be quoted when the server cannot listen there.
_NOT_IN_HOST: Final = re.compile(r"[/@?#=&\\\s]")

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The values that a setting accepts.

    ``parse`` turns an argument into the value, and ``allowed`` describes the arguments that it accepts; if variables
    are written differently, ``in_variable`` has both for them. ``show`` returns the text of a wrong value for messages,
    or a mask; a ``secret`` value is never shown.
    """

    parse: Callable[[Any], Any]
    allowed: str
    show: Callable[[object], str] = shown_value
    secret: bool = False
    in_variable: tuple[Callable[[str], Any], str] | None = None

    def for_message(self, value: object) -> str:
        """Return a value's text for messages, even if the value raises when it is looked at."""
        try:
            return MASK if self.secret else self.show(value)
        except Exception:  # noqa: BLE001 - an argument may be any object, and the error is about the setting
            return "of an unusual type"

    @property
    def parse_variable(self) -> Callable[[str], Any]:
        """The function that turns a variable into the value."""
        return self.in_variable[0] if self.in_variable else self.parse

    @property
    def allowed_in_variable(self) -> str:
        """The description of the allowed variables."""
        return self.in_variable[1] if self.in_variable else self.allowed


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[_str(value).strip().lower()]


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _readable_text(value: object) -> str:
    text = _str(value).strip()
    if not text or _CONTROL.search(text):
        raise ValueError
    return text


def _within(number: Number, least: Number, most: Number) -> Number:
    if not least <= number <= most:  # also true for NaN
        raise ValueError
    return number


def _milliseconds(text: str) -> float:
    # int() would also accept 1_0 and digits of other alphabets, unlike other implementations.
    if not re.fullmatch(r"\s*[0-9]+\s*", text):
        raise ValueError
    return int(text) / 1000


BOOLEAN: Final = Kind(parse=_bool, allowed="true or false")
INVERTED_BOOLEAN: Final = Kind(
    parse=_bool,
    allowed="true or false",
    in_variable=(lambda text: not _bool(text), "true (switches off) or false"),
)
TEXT: Final = Kind(parse=_readable_text, allowed="text without control characters")


def seconds(least: float, most: float, *, milliseconds: bool = False, zero_is_no_limit: bool = False) -> Kind:
    """Return the kind of a time span in seconds, a float; with `milliseconds`, variables are in milliseconds.

    With `zero_is_no_limit`, 0 stands for `most`: the specification allows "a very long time" for its "no limit".
    """

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise TypeError
        number = float(value)
        return most if zero_is_no_limit and number == 0 else _within(number, least, most)

    also = ", or 0 for no limit" if zero_is_no_limit else ""
    allowed = f"seconds from {least:g} to {most:.0f}{also}"
    if not milliseconds:
        return Kind(parse=parse, allowed=allowed)
    return Kind(
        parse=parse,
        allowed=allowed,
        in_variable=(
            lambda text: parse(_milliseconds(text)),
            f"whole milliseconds from {least * 1000:.0f} to {most * 1000:.0f}{also}",
        ),
    )


def whole(least: int, most: int) -> Kind:
    """Return the kind of a whole number from `least` to `most`."""

    def parse(value: object) -> int:
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        return _within(value, least, most)

    return Kind(parse=parse, allowed=f"a whole number from {least} to {most}")


def one_of(*choices: str, besides: str = "") -> Kind:
    """Return the kind of one word out of `choices`, in any case; `besides` is appended to them in errors."""

    def parse(value: object) -> str:
        return choices[choices.index(_str(value).strip().lower())]

    return Kind(parse=parse, allowed=_either(choices) + besides)


def some_of(*choices: str) -> Kind:
    """Return the kind of several words out of `choices`, a tuple; as text, a comma-separated list or "none"."""

    def parse(value: object) -> tuple[str, ...]:
        given = value.split(",") if isinstance(value, str) else value
        if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
            raise TypeError
        words = [word for word in (_str(item).strip().lower() for item in given) if word]
        if words == ["none"] or not given:
            return ()
        if not words or not set(words) <= set(choices):
            raise ValueError
        return tuple(choice for choice in choices if choice in words)

    return Kind(parse=parse, allowed=f"one or more of {', '.join(choices)}, or none alone")


def _either(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _file(value: object) -> Path:
    path = Path(_readable_text(os.fspath(value)))  # type: ignore[call-overload]  # it raises TypeError for other types
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError
    return path


def _pairs(value: object) -> Iterator[tuple[str, Any]]:
    """Read a mapping, or key1=value1,key2=value2 with percent-encoding (W3C Baggage, without properties)."""
    if isinstance(value, Mapping):
        yield from value.items()
        return
    for pair in filter(str.strip, _str(value).split(",")):
        key, equals, text = pair.partition("=")
        if not equals or "?" in key or "://" in key:  # the latter are a URL, cut at the "=" before its token
            raise ValueError
        yield unquote(key.strip(), errors="strict"), unquote(text.strip(), errors="strict")


def _attributes(value: object) -> FrozenMapping[str | bool | int | float]:
    attributes: dict[str, str | bool | int | float] = {}
    for key, item in _pairs(value):
        if not isinstance(item, (str, bool, int, float)):
            raise TypeError
        if isinstance(item, int) and not -(2**63) <= item < 2**63:  # OTLP has 64 bits
            raise ValueError
        str(item).encode()
        attributes[_readable_text(key)] = item
    return FrozenMapping(attributes)


def _headers(value: object) -> FrozenMapping[Secret]:
    headers: dict[str, Secret] = {}
    for key, item in _pairs(value):
        text = item.reveal() if isinstance(item, Secret) else _str(item)
        # An exporter would reject these itself, with a message that quotes the value.
        if not _HEADER_NAME.fullmatch(_str(key)) or not _HEADER_VALUE.fullmatch(text):
            raise ValueError
        headers[key.lower()] = Secret(text)
    return FrozenMapping(headers)


def _secret(value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else _str(value)
    if not text or _CONTROL.search(text):
        raise ValueError
    return Secret(text)


def _endpoint(value: object) -> str:
    return value if isinstance(value, BaseUrl | WholeUrl) else Url(target(_readable_text(value)))


def _host(value: object) -> str:
    host = _readable_text(value)
    if ":" in host:
        # An IPv6 address, perhaps with a zone, but without a port. Imported only here, because that is slow.
        from ipaddress import IPv6Address  # noqa: PLC0415

        IPv6Address(host)
    elif _NOT_IN_HOST.search(host):
        raise ValueError
    return host


def _hosts(value: object) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        raise TypeError
    texts = [text for text in (_str(item).strip() for item in given) if text]
    # An IPv6 address needs no brackets here.
    names = [host_name(f"[{text}]" if text.count(":") > 1 and "[" not in text else text) for text in texts]
    if not all(names):
        raise ValueError
    return tuple(dict.fromkeys(names))


def _function(value: object) -> str:
    module, colon, name = (text := _readable_text(value)).partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError
    return text


def _user(value: object) -> str:
    if ":" in (name := _readable_text(value)):
        raise ValueError
    return name


ATTRIBUTES: Final = Kind(parse=_attributes, allowed="key1=value1,key2=value2, percent-encoded (an argument: a mapping)")
ENDPOINT: Final = Kind(
    parse=_endpoint,
    allowed="an http:// or https:// URL (for grpc also a target such as host:port)",
    show=shown_address,
)
FILE: Final = Kind(parse=_file, allowed="the path of a readable file", show=shown_path)
FUNCTION: Final = Kind(parse=_function, allowed="module:function, such as acme.topics:parse", show=shown_path)
HEADERS: Final = Kind(
    parse=_headers,
    allowed="name1=value1,name2=value2, percent-encoded (an argument: a mapping), in ASCII",
    secret=True,
)
HOST: Final = Kind(parse=_host, allowed="a host name or an IP address, without a port", show=shown_address)
HOSTS: Final = Kind(
    parse=_hosts,
    allowed="host names and IP addresses, comma-separated (an argument: also a sequence)",
    show=shown_address,
)
SECRET: Final = Kind(parse=_secret, allowed="text without control characters", secret=True)
USER: Final = Kind(parse=_user, allowed="text without colons and control characters")
