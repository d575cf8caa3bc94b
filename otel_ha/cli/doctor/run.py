"""Run: all topics of the doctor, in the order in which data flows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from otel_ha.cli.client import Access
from otel_ha.cli.doctor.canary import canary_steps
from otel_ha.cli.doctor.collector import collector_steps
from otel_ha.cli.doctor.endpoint import Service, endpoint_steps
from otel_ha.cli.doctor.prometheus import prometheus_steps
from otel_ha.cli.doctor.settings import Usable, settings_steps
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.versions import versions_steps
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import TelemetryError
from otel_ha.scrub import scrub

__all__ = ["Questions", "examine"]

T = TypeVar("T")

# Settings without which nobody can say where to look; None is one that no message names.
_OF_ENDPOINT: Final = frozenset({"env_file", None, "prometheus_host", "prometheus_port"})
_OF_PUSH: Final = frozenset(
    {"env_file", None}
    | {
        f"otlp_{signal}{name}"
        for signal in ("", "metrics_")
        for name in ("endpoint", "protocol", "headers", "insecure", "certificate", "client_certificate", "client_key")
    }
)


@dataclass(frozen=True, kw_only=True)
class Questions:
    """The places at which the doctor looks; None stands for those of the settings, or for none.

    The canary is waited for `patience` seconds; meanwhile, `progress` gets a line from time to time.
    """

    access: Access
    service_url: str | None = None
    prometheus: str | None = None
    collector_metrics: str | None = None
    env_file: Path | None = None
    canary: bool = True
    patience: float = 30.0
    progress: Callable[[str], None] = lambda _: None


def examine(questions: Questions) -> Iterator[Step]:
    """Yield the steps while they happen. No error leaves it: an unexpected one is a finding of its topic."""
    prometheus = questions.prometheus
    usable = yield from _guarded(
        "settings", settings_steps(questions.env_file, prometheus), Usable(TelemetryConfig(environ={}))
    )
    config = usable.config
    access = _with_own_password(questions.access, config)
    yield from _guarded("versions", _without_result(versions_steps(config)), None)
    wrong_push = usable.failed(_OF_PUSH)
    service = yield from _guarded(
        "endpoint",
        endpoint_steps(config, questions.service_url, access, usable.failed(_OF_ENDPOINT), compares=wrong_push is None),
        Service(config.service_name),
    )
    failed = yield from _guarded("collector", collector_steps(config, wrong_push, is_pushing=service.is_pushing), None)
    if service.push_problem is not None:
        yield _folded(service.push_problem, failed)
    if questions.canary:
        canary = canary_steps(
            config,
            collector_metrics=questions.collector_metrics,
            prometheus=prometheus,
            access=access,
            patience=questions.patience,
            progress=questions.progress,
            failed=failed,
            is_pushing=service.is_pushing,
        )
        yield from _guarded("canary", _without_result(canary), None)
    yield from _guarded("prometheus", _without_result(prometheus_steps(config, service, prometheus, access)), None)


def _guarded(topic: str, steps: Generator[Step, None, T], otherwise: T) -> Generator[Step, None, T]:
    """Yield the steps of a topic and return its result, or `otherwise` if it fails unexpectedly."""
    try:
        return (yield from steps)
    except Exception as error:  # noqa: BLE001 - the other topics still tell something
        expected = isinstance(error, TelemetryError)
        yield Step(
            id=f"{topic}.error",
            title=f"The topic {topic} ends",
            result=Result.FINDING,
            tried=f"looked at the topic {topic}",
            found=scrub(str(error) if expected else f"the doctor itself failed: {error!r}"),
            cause="wrong_address" if expected else "doctor_failed",
            remedy="correct it" if expected else "report this line, with the versions above",
        )
        return otherwise


def _folded(reported: Step, failed: Step | None) -> Step:
    """Return the finding about a push that the service reports; it needs none if the Collector's steps have failed."""
    if failed is None:
        return reported
    found = f"{reported.found}\nthis is the same as the finding of {failed.id}"
    return replace(reported, result=Result.SKIPPED, found=found, cause="", remedy="")


def _without_result(steps: Iterator[Step]) -> Generator[Step, None, None]:
    yield from steps


def _with_own_password(access: Access, config: TelemetryConfig) -> Access:
    """Return the access with the endpoint's password of the settings (the env file), unless another one is given."""
    if access.password is not None or config.endpoint_credentials is None:
        return access
    username, password = config.endpoint_credentials
    return replace(access, username=access.username or username, password=password)
