"""Names and labels that callers choose at run time, spelled so that Prometheus and OpenTelemetry accept them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from otel_ha.declare.instruments import OTHER
from otel_ha.declare.naming import is_reserved_label
from otel_ha.declare.plain import plain_number, plain_text
from otel_ha.declare.ports import shown

Labels = tuple[tuple[str, str], ...]
"""Names and values of the labels of one series, sorted by name."""

Report = Callable[[str, str], None]
"""A function that takes the reason and the message of a problem."""

OVERFLOW: Final[Labels] = (("otel_metric_overflow", "true"),)
"""The labels of the series that takes everything beyond a limit, as Prometheus spells OpenTelemetry's."""

EXPORTED: Final = "exported_"
"""The prefix of a reserved name, as Prometheus itself renames such labels of a target."""

LONGEST_NAME: Final = 200
LONGEST_VALUE: Final = 255
LONGEST_DESCRIPTION: Final = 1_000
MOST_LABELS: Final = 16

_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABEL: Final = re.compile(r"[^a-zA-Z0-9]+")


def metric_name(given: object) -> str | None:
    """Return the name of a metric with "_" for each character that is not allowed; None if it is not usable text."""
    name = plain_text(given)
    if not name or len(name) > LONGEST_NAME:
        return None
    name = _NOT_IN_NAME.sub("_", name)
    return f"_{name}" if name[0].isdigit() else name


def description(given: object) -> str:
    """Return a help text, cut and without characters that cannot be encoded, which would break every scrape."""
    return (plain_text(given) or "")[:LONGEST_DESCRIPTION].encode(errors="replace").decode()


def instrument_name(name: str) -> str:
    """Return the name of OpenTelemetry's instrument, which is lower-case and begins with a letter."""
    name = name.replace(":", "_").lower()
    return name if name[0].isalpha() else f"{EXPORTED}{name.lstrip('_')}"


def labels_of(given: object, report: Report) -> Labels:
    """Return labels as text; a reserved name gets the prefix "exported_", and None leaves a label out."""
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        report("invalid_labels", f"labels is {shown(given)}; allowed: a dict of names and values; recorded without")
        return ()
    found: dict[str, str] = {}
    try:
        for name, value in given.items():
            if value is not None and (spelled := _label_name(name, report)):
                found[spelled] = _label_value(spelled, value, report)
    except Exception:  # noqa: BLE001 - a mapping of the caller's own may do anything, and recording never raises
        report("invalid_labels", "labels cannot be read; recorded without")
        return ()
    if len(found) > MOST_LABELS:
        report("invalid_labels", f"{len(found)} labels; allowed: {MOST_LABELS}; recorded without")
        return ()
    return tuple(sorted(found.items()))


def _label_name(given: object, report: Report) -> str:
    name = _NOT_IN_LABEL.sub("_", plain_text(given) or "")
    if not name.strip("_") or len(name) > LONGEST_NAME:
        report("invalid_labels", f"a label is named {shown(given)}; allowed: letters, digits and '_'; left out")
        return ""
    if is_reserved_label(name) or name.startswith("_") or name[0].isdigit():
        return f"{EXPORTED}{name.lstrip('_')}"
    return name


def _label_value(name: str, given: object, report: Report) -> str:
    text = plain_text(given)
    if text is None and (number := plain_number(given)) is not None:
        text = str(number)
    if text is None or not _is_unicode(text):
        report("invalid_value", f"label {name} is {shown(given)}; allowed: text or a number; recorded as {OTHER}")
        return OTHER
    if len(text) > LONGEST_VALUE:
        report("value_too_long", f"label {name} has {len(text)} characters; the first {LONGEST_VALUE} are recorded")
    return text[:LONGEST_VALUE]


def _is_unicode(text: str) -> bool:
    """Whether text can be encoded: a lone surrogate would break every scrape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
