"""The text of a wrong value in an error: the value if it cannot be a secret that was pasted in the wrong place.

A number, a plain word, an address and a path help to find a mistake. Everything else is masked: the error names the
variable, where the value can be looked up.
"""

from __future__ import annotations

import os
import re
from typing import Final

from otel_ha.scrub import MASK

__all__ = ["shown_address", "shown_path", "shown_value"]

_LONGEST: Final = 200
# Largest number that is shown: a longer one may be a key.
_LARGEST: Final = 10**15
_MOST_ITEMS: Final = 8

# "30s", "1,5", "-1"; "zipkin", "http/json", "otlp,zipkin".
_NUMBER: Final = re.compile(r"[-+]?\d[\d.,_]{0,14} ?[A-Za-z%]{0,7}")
_WORDS: Final = re.compile(r"([A-Za-z]{1,12}(, ?|/|$)){0,4}")
# A token is a long run of letters and digits; nobody calls a host or a folder so.
_TOKEN: Final = re.compile(r"[\w+=-]{32}")
# Colons before slashes or a port only: no user:password, no user@host.
_ADDRESS: Final = re.compile(r"[\w.\[\]/-]*(:(//|\d{1,5}(?!\d))[\w.\[\]/-]*)*")
_PATH: Final = re.compile(r"(~?/|\.\.?/|[A-Za-z]:\\)[\w./\\ -]*|[\w./\\ -]+\.[A-Za-z]{1,8}")


def shown_value(value: object) -> str:
    """Return the repr of a number or plain words, the type of any other object, and a mask for other text."""
    if isinstance(value, (list, tuple)) and len(value) <= _MOST_ITEMS and all(map(_is_plain, value)):
        return repr(value)
    if isinstance(value, (str, bytes, int, float)):
        return repr(value) if _is_plain(value) else MASK
    return repr(value) if value is None else f"of type {type(value).__name__}"


def shown_address(value: object) -> str:
    """Return the repr of a host, a host and a port, or a URL without user and query; otherwise as shown_value()."""
    if not isinstance(value, str) or value in {"", "localhost"}:
        return shown_value(value)
    is_address = _ADDRESS.fullmatch(value) and set(".:") & set(value) and not _TOKEN.search(value)
    return repr(value) if is_address and len(value) <= _LONGEST else MASK


def shown_path(value: object) -> str:
    """Return the repr of text that is written like a path, a mask for other text; otherwise as shown_value()."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value:
        return shown_value(value)
    is_path = len(value) <= _LONGEST and _PATH.fullmatch(value) and not _TOKEN.search(value)
    return repr(value) if is_path else MASK


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value) or _WORDS.fullmatch(value))
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST)
