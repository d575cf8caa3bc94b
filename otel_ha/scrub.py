"""The scrubber: masks secrets in every text that comes from outside, such as an exporter's error or a response.

It knows the secrets that a living configuration holds (``protect``), in the forms in which libraries write them, and
it recognizes the shapes of secrets: the user and the query of a URL, PEM blocks, authorization headers, and values
with a telling name. The loggers of this package scrub every record of every level.
"""

from __future__ import annotations

import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import quote, quote_plus
from weakref import WeakValueDictionary

__all__ = ["KNOWN_ONLY", "MASK", "mask_shapes", "mask_url", "protect", "scrub"]

MASK: Final = "***"

LOGGERS: Final = ("otel_ha", "otel_ha.compat", "otel_ha.endpoint")
"""The loggers of this package."""

# Shorter secrets are masked only by their shape: masking "true" or "1" everywhere would garble messages.
_SHORTEST: Final = 6
# Punctuation that ends a word, not a query.
_CLOSING: Final = ").,;:]"
# A hostile response may be long; nobody reads more of a message.
_LONGEST: Final = 65_536

_PEM: Final = re.compile(r"-----BEGIN .*?(?:-----END [^-\n]*-----|\Z)", re.DOTALL)
_WORD: Final = re.compile(r"[^\s\"'<>]+")
_HEADER: Final = re.compile(r"(authorization[\"']?\s{0,9}[:=]\s{0,9}[\"']?)[^\r\n\"',;]+", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"\b(basic|bearer) +[\w+/.~=-]{16,}", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"((?:token|passw(?:or)?d|secret|api[_-]?key|signature)[\w-]{0,40}(?:[\"']?\s{0,9}=\s{0,9}[\"']?|[\"']\s{0,9}:\s{0,9}[\"']))"
    r"[^\s\"'&,;]+",
    re.IGNORECASE,
)


class Protected(Protocol):
    """An object that holds secrets."""

    def secrets(self) -> Iterable[str]:
        """Return the secrets in plain text."""


# By identity: equal objects live and end independently.
_protected: WeakValueDictionary[int, Protected] = WeakValueDictionary()


def protect(holder: Protected) -> None:
    """Mask the secrets of `holder` in every scrubbed text as long as it lives."""
    _protected[id(holder)] = holder


def scrub(text: str) -> str:
    """Return `text` with known secrets, and everything that has the shape of a secret, replaced by a mask."""
    return mask_shapes(_without_known(text))


def mask_shapes(text: str) -> str:
    """Return `text` with a mask in place of everything that has the shape of a secret."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST].rpartition(' ')[0]} …"  # at a space, as half a URL may not be recognized
    text = _PEM.sub(MASK, text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _CREDENTIALS.sub(rf"\1 {MASK}", text)
    text = _WORD.sub(lambda word: mask_url(word[0]), text)
    return _NAMED.sub(rf"\1{MASK}", text)


def mask_url(text: str) -> str:
    """Return a URL, or another text without spaces, with a mask instead of its user and password and its query."""
    before, _, after = text.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    if slashes:
        text = f"{scheme}://{MASK}@{after}"
    elif ":" in before:  # a proxy may be written without a scheme
        text = f"{MASK}@{after}"
    address, mark, query = text.partition("?")
    if not query.strip(_CLOSING):
        address, mark, query = text.partition("#")
        if "=" not in query:
            return text
    closing = query[len(query.rstrip(_CLOSING)) :]
    return f"{address}{mark}{MASK}{closing}"


def _without_known(text: str) -> str:
    # A list of references: while values() is read, another thread cannot protect a secret.
    holders = [holder for each in _protected.valuerefs() if (holder := each()) is not None]
    secrets = {secret for holder in holders for secret in holder.secrets()}
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> Iterator[str]:
    """Yield the texts in which a secret may appear: its parts, quoted, escaped, and encoded."""
    scheme, _, credentials = secret.partition(" ")
    parts = {secret, credentials}
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, password = (decoded := b64decode(credentials).decode()).partition(":")
            parts |= {decoded, password or user}
    for part in parts:
        if len(part) < _SHORTEST:
            continue
        escaped = _escaped(part)
        yield from (part, *escaped, *(twice for once in escaped for twice in _escaped(once)))
        yield from (quote(part, errors="replace"), quote(part, safe="", errors="replace"))
        yield from (quote_plus(part, errors="replace"), b64encode(part.encode(errors="replace")).decode())


def _escaped(text: str) -> tuple[str, ...]:
    """Return a text as repr() and JSON write it; repr() escapes a quote only if the text has both kinds."""
    from json import dumps  # noqa: PLC0415 - its import would take a tenth of the time of importing this package

    return repr(text)[1:-1], dumps(text)[1:-1], text.replace("\\", r"\\").replace("'", r"\'")


class _Scrubbing(logging.Filter):
    """Masks secrets in log records; a record without one stays as it is."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the message and the traceback; let every record through."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - an argument may do anything; logging forgives it later, not here
            message = ""
            record.msg, record.args = f"a message that cannot be written ({type(error).__name__})", None
        if (masked := self._mask(message)) != message:
            record.msg, record.args = masked, None
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
            if (masked := self._mask(traceback)) != traceback:
                record.exc_text, record.exc_info = masked, None
        return True


KNOWN_ONLY: Final = _Scrubbing(_without_known)
"""A filter for loggers of libraries: it masks the known secrets only, as their other records are not ours."""

_scrubbing: Final = _Scrubbing(scrub)
for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_scrubbing)
