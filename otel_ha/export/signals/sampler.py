"""The sampler of our TracerProvider, as the variables of OpenTelemetry set it."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import sampling

from otel_ha.config.sampler import SamplerSetting, sampler_setting
from otel_ha.errors import ConfigError
from otel_ha.scrub import scrub

__all__ = ["sampler"]


def sampler() -> sampling.Sampler:
    """Return the sampler. Raises ConfigError."""
    setting = sampler_setting()
    if setting.entry_point is not None:
        return _other(setting)
    root = setting.name.removeprefix("parentbased_")
    known = {"always_on": sampling.ALWAYS_ON, "always_off": sampling.ALWAYS_OFF}
    found = known[root] if root in known else sampling.TraceIdRatioBased(setting.ratio)
    return found if root == setting.name else sampling.ParentBased(found)


def _other(setting: SamplerSetting) -> sampling.Sampler:
    """Return the sampler of another package, made as OpenTelemetry makes it: of its argument, which may be None."""
    found: Any = None
    try:
        found = setting.entry_point.load()(setting.argument)  # type: ignore[union-attr]  # the caller has checked it
        problem = f"it makes a {type(found).__name__}, which is not a sampler"
    except Exception as error:  # noqa: BLE001 - it is other code
        problem = f"{type(error).__name__}: {error}"
    if isinstance(found, sampling.Sampler):
        return found
    raise ConfigError(
        f"OTEL_TRACES_SAMPLER is {setting.name!r}, which cannot be made ({scrub(problem)}); correct "
        "OTEL_TRACES_SAMPLER_ARG, or choose another sampler, such as parentbased_traceidratio",
        value=setting.name,
    )
