"""Agreement: whether the service that runs pushes as the doctor's own settings say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from otel_ha.cli.doctor.collector import why_not_pushed
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.config.settings import DEFAULT
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import mask_url, scrub

__all__ = ["agreement_step", "pushes_of", "target_of"]

_WITH_ITS_SETTINGS = "run the doctor with the service's settings: --env-file, or the service's environment"


def pushes_of(health: Mapping[str, Any]) -> list[str] | None:
    """Return the targets to which a service pushes by OTLP; None if its state does not tell."""
    readers = [each for each in health.get("readers") or () if isinstance(each, Mapping)]
    if not readers:  # telemetry is off or has failed, or a proxy answers
        return None
    return [str(each.get("target")) for each in readers if each.get("reader") == "otlp"]


def target_of(config: TelemetryConfig) -> str | None:
    """Return the target as a service with these settings shows it; None if it does not push."""
    return None if why_not_pushed(config) else mask_url(config.otlp("metrics").target)


def agreement_step(config: TelemetryConfig, health: Mapping[str, Any], tried: str) -> Step | None:
    """Return the step that compares the pushes of a service with the settings; None if they cannot be compared.

    A service that does not push may leave the default here without a finding: its code decides.
    """
    pushes, ours = pushes_of(health), target_of(config)
    if pushes is None:
        return None
    step = partial(
        Step,
        id="endpoint.settings",
        title="Service and settings agree on pushes",
        tried=f"compared the readers of {tried} with the settings",
        facts={"service": pushes, "settings": ours},
    )
    its = f"pushes to {scrub(', '.join(map(mask_url, pushes)))}" if pushes else "does not push"
    if ours is None:
        if not pushes:
            return step(result=Result.OK, found="neither pushes")
        found = f"the service {its}; with the settings here, it would not push"
    elif ours in map(mask_url, pushes):
        return step(result=Result.OK, found=f"both push to {ours}")
    elif not pushes and _is_default(config):
        return step(result=Result.OK, found="the service does not push, and nothing set here says that it should")
    else:
        found = f"the service {its}; the settings here push to {ours}"
    return step(result=Result.FINDING, found=found, cause="settings_differ", remedy=_WITH_ITS_SETTINGS)


def _is_default(config: TelemetryConfig) -> bool:
    return config.sources["metrics_exporters"] == DEFAULT == config.otlp("metrics").sources["endpoint"]
