"""The rules for names, units and attribute keys, and how Prometheus spells them.

Sources: the OpenTelemetry metrics API specification (instrument names), UCUM's case-sensitive symbols (units), and the
OpenTelemetry specification "Prometheus and OpenMetrics Compatibility" (exposed names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from otel_ha.declare.ports import shown

_NAME = re.compile(r"[a-z][a-z0-9_./-]{0,254}")
_ATTRIBUTE_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_ANNOTATION = re.compile(r"\{[\x21-\x7a|\x7e]*\}")
_NOT_EXPOSABLE = re.compile(r"[^A-Za-z0-9:]+")

# Labels that the ways to Prometheus set themselves: of histograms and summaries, of the scraped target, of our rules.
_RESERVED_LABELS = frozenset({"le", "quantile", "job", "instance", "via"})
_RESERVED_PREFIX = "otel_scope_"

_PREFIXES = ("da", *"YZEPTGMkhdcmunpfazy")
_BINARY_PREFIXES = ("Ki", "Mi", "Gi", "Ti")
# The metric symbols of UCUM that are useful for software and homes; each one may have a prefix.
_METRIC_ATOMS = frozenset(
    "m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv l L t eV bar bit By Bd".split()  # noqa: SIM905
)
# The bel has no prefix but deci: "kB" and "MB" are misspelled bytes, whose symbol is By.
_OTHER_ATOMS = frozenset(
    {"B", "dB", "1", "%", "min", "h", "d", "wk", "mo", "a", "deg", "[degF]", "[pH]", "[ppm]", "[ppb]"}
)

# Unit symbols that Prometheus spells out; others become part of the name as they are.
_PROMETHEUS_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
_PROMETHEUS_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "mo": "month"}
# Words for a kind or a unit: the exposed name gets them from the declared kind and unit.
_WORDS_OF_KIND_AND_UNIT = frozenset(
    {*_PROMETHEUS_UNITS.values(), *(word.removesuffix("s") for word in _PROMETHEUS_UNITS.values())}
    - {"second"}  # has another meaning in names such as "second_level"
    | {"total", "ratio", "s", "sec", "secs", "msec", "millis", "ms", "us", "ns", "kb", "mb", "gb", "hertz", "celsius"}
)


def is_name(name: str) -> bool:
    """Whether `name` is valid for an OpenTelemetry instrument, in lower case, as the SDK exports it."""
    return _NAME.fullmatch(name) is not None


def is_attribute_key(name: str) -> bool:
    """Whether `name` is a lower-case dotted attribute key that begins with a letter."""
    return _ATTRIBUTE_KEY.fullmatch(name) is not None


def word_of_kind_or_unit(name: str) -> str | None:
    """Return the first word of `name` that is "total" or a unit, or None."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((word for word in words if word in _WORDS_OF_KIND_AND_UNIT), None)


def ends_like_a_histogram(name: str) -> bool:
    """Whether `name` ends like a part of a histogram in Prometheus, which promtool rejects."""
    return re.split(r"[^a-z0-9]+", name.lower())[-1] in {"bucket", "count", "sum"}


def is_unit(unit: str) -> bool:
    """Whether `unit` is a UCUM term: symbols with prefixes and exponents, joined by "." or "/", or an annotation."""
    # Annotations are emptied, as their text has no symbols, and not removed, as they separate symbols.
    emptied = _ANNOTATION.sub("{}", unit)
    return all(_is_component(part) for part in re.split(r"[./]", emptied.removeprefix("/")))


def _is_component(part: str) -> bool:
    """Whether one factor of a unit is a known symbol, an annotation, or both in this order."""
    if part == "{}":
        return True
    symbol = re.sub(r"(?<=[A-Za-z\]])[+-]?[1-9]$", "", part.removesuffix("{}"))
    if symbol in _METRIC_ATOMS or symbol in _OTHER_ATOMS:
        return True
    if symbol[:2] in _BINARY_PREFIXES and symbol[2:] in {"By", "bit"}:
        return True
    return any(symbol.startswith(prefix) and symbol[len(prefix) :] in _METRIC_ATOMS for prefix in _PREFIXES)


def wrong_types(declared: object, *fields: tuple[str, type | tuple[type, ...], str]) -> Iterator[str]:
    """Yield a sentence for each field of another type, given its name, its type, and the text for what is allowed.

    Checks of its value could only raise.
    """
    for name, kind, allowed in fields:
        value = getattr(declared, name)
        if not isinstance(value, kind):
            yield f"{name} is {shown(value)}; allowed: {allowed}"


def problem_of_description(description: object) -> str:
    """Return what is wrong with a description, which is a text that says something; "" if nothing is."""
    if isinstance(description, str) and description.strip():
        return ""
    found = "empty" if isinstance(description, str) else shown(description)
    return f"the description is {found}; describe it in a sentence"


def prometheus_unit(unit: str) -> str:
    """Return the suffix that a UCUM unit becomes in a Prometheus name; annotations and "1" become nothing."""
    unit = _ANNOTATION.sub("", unit)
    if unit in {"", "1"}:
        return ""
    if unit in _PROMETHEUS_UNITS:
        return _PROMETHEUS_UNITS[unit]
    top, slash, bottom = unit.partition("/")
    if slash and bottom:
        top = _PROMETHEUS_UNITS.get(top, _exposed(top))
        return f"{top}_per_{_PROMETHEUS_PER.get(bottom, _exposed(bottom))}".removeprefix("_")
    return _exposed(unit)


@lru_cache(1024)  # each set-up asks for the names of the same catalogs
def prometheus_name(name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """Return the Prometheus name of a metric, without the suffixes _bucket, _sum and _count of a histogram."""
    parts = [_NOT_EXPOSABLE.sub("_", name), prometheus_unit(unit)]
    if gauge and unit == "1":
        parts.append("ratio")
    if counter:
        parts.append("total")
    return "_".join(filter(None, parts))


def prometheus_label(key: str) -> str:
    """Return the Prometheus label for an attribute key."""
    return _NOT_EXPOSABLE.sub("_", key)


def is_reserved_label(label: str) -> bool:
    """Whether a way to Prometheus sets this label itself, so that an attribute with this label would break it."""
    return label in _RESERVED_LABELS or label.startswith(_RESERVED_PREFIX)


def _exposed(text: str) -> str:
    return _NOT_EXPOSABLE.sub("_", text).strip("_")
