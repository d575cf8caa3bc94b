"""Misspelt variables: names that look like a setting, and are not one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Final

from otel_ha.cli.options import VARIABLES
from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig

__all__ = ["misspelt"]

# OTEL_SERVICE_NAME and SERVICE_NAME, which other programs read, are less alike than this.
_ALIKE: Final = 0.88
_SOMEWHAT_ALIKE: Final = 0.6
_PREFIXES: Final = (TelemetryConfig.prefix, "OTEL_EXPORTER_OTLP_", "OTEL_OTLP_", "OTEL_")
_OTHER_SIGNALS: Final = ("SPAN", "PROFILES")


def misspelt(variables: Collection[str] | Mapping[str, str]) -> dict[str, str]:
    """Return the variables that look like a setting and are not one, each with the name that was probably meant.

    The name is empty if no setting has a similar one. Variables that OpenTelemetry's SDK reads itself, such as
    those of samplers, are left out.
    """
    ours = _of_settings() | VARIABLES
    found = {}
    for variable in sorted(variables):
        plain = variable.upper().replace("-", "_").replace(".", "_").strip()
        if variable in ours or plain in _of_opentelemetry() - ours or _is_of_other_signal(plain):
            continue
        near = get_close_matches(plain, ours, n=1, cutoff=_ALIKE)
        if near or _claims_to_be_ours(plain):
            found[variable] = near[0] if near else _by_end(plain, ours)
    return found


def _by_end(name: str, known: Collection[str]) -> str:
    """Return the known name whose end is most alike; the beginning, which all of them share, does not count."""
    ends = {_end(each): each for each in sorted(known)}
    near = get_close_matches(_end(name), ends, n=1, cutoff=_SOMEWHAT_ALIKE)
    return ends[near[0]] if near else ""


def _end(name: str) -> str:
    return name.removeprefix(next(filter(name.startswith, _PREFIXES), ""))


@cache
def _of_settings() -> frozenset[str]:
    return frozenset(name for known in settings(TelemetryConfig).values() for name in known.variables)


@cache
def _of_opentelemetry() -> frozenset[str]:
    """Return the names of the variables that OpenTelemetry's API and SDK read."""
    from opentelemetry import environment_variables as of_api  # noqa: PLC0415 - importing the command costs nothing
    from opentelemetry.sdk import environment_variables as of_sdk  # noqa: PLC0415

    return frozenset(name for module in (of_api, of_sdk) for name in vars(module) if name.startswith("OTEL_"))


def _claims_to_be_ours(name: str) -> bool:
    if name.startswith(TelemetryConfig.prefix):
        return True
    return name.startswith("OTEL_") and "OTLP" in name and not name.startswith("OTEL_PYTHON_")


def _is_of_other_signal(name: str) -> bool:
    return "OTLP" in name and any(signal in name for signal in _OTHER_SIGNALS)
