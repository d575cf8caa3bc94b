"""The sampler of traces: the variables that OpenTelemetry specifies, checked before the SDK reads them.

The SDK itself only warns of a wrong one, and then samples everything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, NamedTuple

from otel_ha.config.shown import shown_value
from otel_ha.errors import ConfigError
from otel_ha.scrub import MASK

__all__ = ["BY_RATIO", "SamplerSetting", "sampler_setting"]

BY_RATIO: Final = ("traceidratio", "parentbased_traceidratio")
"""The samplers whose argument is a ratio."""

_NAME: Final = "OTEL_TRACES_SAMPLER"
_ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
_DEFAULT: Final = "parentbased_always_on"
_SPECIFIED: Final = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip


class SamplerSetting(NamedTuple):
    """A sampler's name and argument; `entry_point` makes it if another package has it."""

    name: str
    argument: str | None = None
    ratio: float = 1.0
    entry_point: EntryPoint | None = None


def sampler_setting(environ: Mapping[str, str] = os.environ) -> SamplerSetting:
    """Return the sampler that the variables set. Raises ConfigError."""
    name = environ.get(_NAME, "").strip() or _DEFAULT
    argument = environ.get(_ARGUMENT, "").strip() or None
    if (specified := name.lower()) in _SPECIFIED:
        ratio = _ratio(argument, specified) if argument is not None and specified in BY_RATIO else 1.0
        return SamplerSetting(specified, argument, ratio)
    others = {each.name: each for each in entry_points(group="opentelemetry_traces_sampler")}
    if name not in others:
        allowed = ", ".join(dict.fromkeys((*_SPECIFIED, *sorted(others))))
        raise _error(_NAME, name, f"{allowed} (another one needs the package that has it)")
    return SamplerSetting(name, argument, entry_point=others[name])


def _ratio(text: str, sampler: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:  # also true for NaN
        raise _error(_ARGUMENT, text, f"for {sampler}, a number from 0 to 1")
    return ratio


def _error(variable: str, text: str, allowed: str) -> ConfigError:
    # The names of samplers are words with underscores.
    value = repr(text) if shown_value(text.replace("_", "/")) != MASK else shown_value(text)
    return ConfigError(f"{variable} is {value}; allowed: {allowed}", value=value, allowed=allowed)
