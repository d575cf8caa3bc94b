"""The topic versions: the packages that are installed here, and the way in which measurements are recorded."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement

from otel_ha.cli.doctor.step import Result, Step
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.version import DISTRO, __version__

__all__ = ["versions_steps"]

_PROVIDER: Final = "OTEL_PYTHON_METER_PROVIDER"
_SHOWN: Final = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "prometheus-client",
)


def versions_steps(config: TelemetryConfig) -> Iterator[Step]:
    """Yield the steps. The versions are those of this environment: run the doctor in the service's own."""
    yield from _packages()
    yield _recording(config)


def _packages() -> Iterator[Step]:
    step = partial(
        Step,
        id="versions.packages",
        title="The installed versions fit",
        tried="compared installed packages with what otel-ha requires",
    )
    required = [Requirement(text) for text in _requirements()]
    installed = {each.name: _version(each.name) for each in required}
    always = [each for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [each for each in always if not _fits(each, installed[each.name])]
    for each in wrong:
        yield step(
            result=Result.FINDING,
            found=f"{each.name} {installed[each.name] or 'is not installed'}; otel-ha needs {each.specifier}",
            cause="version_unsupported" if installed[each.name] else "package_missing",
            remedy=f"pip install '{each}'",
            facts={"package": each.name, "version": installed[each.name]},
        )
    if not wrong:
        shown = {"Python": platform.python_version(), "otel-ha": __version__} | {
            name: _version(name) or "absent" for name in _SHOWN
        }
        extras = _extras(required)
        found = ", ".join(f"{name} {version}" for name, version in shown.items())
        facts = {"versions": {**shown, **installed}, "extras": extras}
        yield step(result=Result.OK, found=f"{found}; extras: {', '.join(extras) or 'none'}", facts=facts)


def _requirements() -> list[str]:
    try:
        return metadata.requires(DISTRO) or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fits(required: Requirement, version: str | None) -> bool:
    return version is not None and required.specifier.contains(version, prereleases=True)


def _extras(required: list[Requirement]) -> list[str]:
    """Return the extras all of whose packages are installed; extras that only collect others are left out."""
    try:
        names = metadata.metadata(DISTRO).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for extra in names:
        of_extra = [each for each in required if each.marker and each.marker.evaluate({"extra": extra})]
        of_extra = [each for each in of_extra if not each.marker or not each.marker.evaluate({"extra": ""})]
        if of_extra and all(_fits(each, _version(each.name)) for each in of_extra):
            found.append(extra)
    return found


def _recording(config: TelemetryConfig) -> Step:
    """Return the step about the way of recording, which the same trial as at set-up decides."""
    from otel_ha.record.journal.trial import is_supported  # noqa: PLC0415 - it imports the SDK

    step = partial(Step, id="versions.recording", title="The way of recording")
    sdk = metadata.version("opentelemetry-sdk")
    tried = f"tried the journal on opentelemetry-sdk {sdk}, as setup_telemetry() does"
    if provider := os.environ.get(_PROVIDER, "").strip():
        return step(
            result=Result.FINDING,
            tried=f"looked at {_PROVIDER}",
            found=f"{_PROVIDER}={provider} sets a MeterProvider before the service: its readers and exporters apply, "
            "so that otel-ha opens no endpoint and pushes nothing",
            cause="foreign_meter_provider",
            remedy=f"remove {_PROVIDER}, or configure the exporters of that provider",
            facts={"path": "api"},
        )
    if not is_supported():
        return step(
            result=Result.FINDING,
            tried=tried,
            found="the journal does not work with this SDK: recording goes through its API, correct but slower",
            cause="sdk_unsupported",
            remedy="install a supported version: pip install --upgrade otel-ha opentelemetry-sdk",
            facts={"path": "api"},
        )
    if config.exemplar_filter == "always_on":
        found = "the API, as OTEL_METRICS_EXEMPLAR_FILTER=always_on needs it: correct, but slower"
        return step(result=Result.OK, tried=tried, found=found, facts={"path": "api"})
    found = "the journal (a program that sets a MeterProvider of its own uses the API instead)"
    return step(result=Result.OK, tried=tried, found=found, facts={"path": "journal"})
