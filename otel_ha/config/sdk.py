"""The variables that OpenTelemetry's SDK defines for traces and logs, checked before the SDK reads them.

The SDK itself quotes a wrong value, which may be a secret, and then takes a default, or raises when it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Self

from otel_ha.config.shown import shown_value
from otel_ha.errors import ConfigError

__all__ = ["Limits", "check_variables"]

_PREFIXES: Final = {"traces": "OTEL_BSP", "logs": "OTEL_BLRP"}
"""The beginning of the variables for the queue of a signal."""

# Milliseconds, and the sizes of the SDK. Source: OpenTelemetry specification, SDK environment variables.
_DELAYS: Final = {"traces": 5000, "logs": 1000}
_WAITING: Final = 2048
_AT_ONCE: Final = 512
_DAY: Final = 86_400_000
_MOST: Final = 1_000_000

_COUNTS: Final = {
    "traces": (
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    ),
    "logs": ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
}
_COUNTS_OF_BOTH: Final = ("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")

_RATIOS: Final = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS: Final = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIOS)


@dataclass(frozen=True)
class Limits:
    """How many items of a signal wait and are pushed at once, and the seconds from one push to the next.

    `prefix` begins the variables that set them.
    """

    prefix: str
    delay: float
    most_waiting: int
    most_at_once: int

    @classmethod
    def of(cls, signal: str, environ: Mapping[str, str]) -> Self:
        """Return the limits of "traces" or "logs". Raises ConfigError for a wrong variable."""
        prefix = _PREFIXES[signal]
        waiting = _whole(environ, f"{prefix}_MAX_QUEUE_SIZE", _WAITING, _MOST)
        at_once = _whole(environ, f"{prefix}_MAX_EXPORT_BATCH_SIZE", _AT_ONCE, _MOST)
        delay = _whole(environ, f"{prefix}_SCHEDULE_DELAY", _DELAYS[signal], _DAY)
        return cls(prefix, delay / 1e3, waiting, min(at_once, waiting))


def check_variables(environ: Mapping[str, str], signals: Collection[str]) -> None:
    """Raise ConfigError if a variable that matters to these signals, of "traces" and "logs", is wrong."""
    for signal in signals:
        Limits.of(signal, environ)
        for variable in (*_COUNTS[signal], *_COUNTS_OF_BOTH):
            _check_count(environ, variable)
    if "traces" in signals:
        _check_sampler(environ)
    _check_propagators(environ)


def _check_count(environ: Mapping[str, str], variable: str) -> None:
    """Check a limit of the SDK's, to which an empty variable is a mistake as well."""
    text = environ.get(variable, "unset").strip().lower()
    if text != "unset" and not re.fullmatch(r"[0-9]{1,9}", text):
        _reject(variable, text, "a whole number from 0 to 999999999, or unset")


def _check_sampler(environ: Mapping[str, str]) -> None:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").lower()
    if sampler.strip() and sampler not in _SAMPLERS:
        _reject("OTEL_TRACES_SAMPLER", sampler, ", ".join(_SAMPLERS))
    share = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler in _RATIOS and share and not _is_share(share):
        _reject("OTEL_TRACES_SAMPLER_ARG", share, "a number from 0 to 1, such as 0.1")


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _check_propagators(environ: Mapping[str, str]) -> None:
    """Check the variable, a mistake in which keeps even the API from being imported."""
    given = environ.get("OTEL_PROPAGATORS")
    if given is None:
        return
    known = {each.name for each in metadata.entry_points(group="opentelemetry_propagator")}
    if not {each.strip() for each in given.split(",")} - {"none"} <= known:
        _reject("OTEL_PROPAGATORS", given, f"none, or one or more of {', '.join(sorted(known))}")


def _whole(environ: Mapping[str, str], variable: str, default: int, most: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= most:
        return int(text)
    return _reject(variable, text, f"a whole number from 1 to {most}")


def _reject(variable: str, value: str, allowed: str) -> int:
    shown = shown_value(value)
    raise ConfigError(f"{variable} is {shown}; allowed: {allowed}", value=shown, allowed=allowed)
