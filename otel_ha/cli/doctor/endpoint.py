"""The topic endpoint: who answers at the service's address, the state it reports, and whether its scrape is right."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from otel_ha.cli.client import Access, Answer, Client, FailedError
from otel_ha.cli.doctor.agreement import agreement_step, pushes_of
from otel_ha.cli.doctor.clocks import clock_step
from otel_ha.cli.doctor.look import Heading, after
from otel_ha.cli.doctor.reach import cause_of, client_for, quoted, remedy_for
from otel_ha.cli.doctor.scrape import scrape_steps
from otel_ha.cli.doctor.state import connection_steps, health_step, is_of_push
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.strangers import stranger
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import mask_url, scrub
from otel_ha.serve.summary import words

__all__ = ["Service", "endpoint_steps"]

_ADDRESS: Final = Heading("endpoint.address", "The service's endpoint answers")
_LISTS: Final = {"reasons", "readers"}
"""Lists in the state of every service with otel-ha."""

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - replaced
_USUAL_PORT: Final = TelemetryConfig(environ={}).prometheus_port
_ANOTHER_PORT: Final = (
    "give one of them another port (OTEL_EXPORTER_PROMETHEUS_PORT), or name the service's URL by --service-url"
)


@dataclass(frozen=True)
class Service:
    """The service as far as the doctor knows it: its name, its endpoint's URL and user, the summary if it answers.

    `is_pushing` is False if it says that it does not push. `push_problem` is the finding about a push that it reports:
    the steps of the Collector follow the same way, and make it superfluous if they find the cause.
    """

    name: str | None
    url: str | None = None
    username: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    is_pushing: bool = True
    push_problem: Step | None = None


def endpoint_steps(
    config: TelemetryConfig, url: str | None, access: Access, failed: Step | None = None, *, compares: bool = True
) -> Generator[Step, None, Service]:
    """Yield the steps, and return the service; `url` is that of the user, instead of the one in the settings.

    After the finding `failed` about the settings, only a URL of the user is tried. `compares` is whether the settings
    of the push can be used, so that they can be compared with the service.
    """
    if failed is not None and not url:
        yield from after(Heading(failed.id, failed.title), [_ADDRESS])
        return Service(config.service_name)
    where = url or own_url(config)
    if where is None:
        yield _no_address(config)
        return Service(config.service_name)
    client = client_for(where, access, shares_password=True)
    expected = None if url else config.service_name
    health, answers = _who_answers(client, expected)
    if answers.cause == "no_service" and (other := _at_usual_port(client, expected)) is not None:
        client, health = other
        answers = _elsewhere(answers, client, health)
    yield answers
    if health is None:
        return Service(config.service_name, client.url)
    summary, before = _summary(client), time.time()
    name = summary.get("service") or health.get("service") or config.service_name
    if compares and (compared := agreement_step(config, health, f"{client.shown}/healthz")):
        yield compared
    state = health_step(client, health)
    is_later = compares and is_of_push(config, health)
    if not is_later:
        yield state
    yield from connection_steps(client, health, summary)
    if isinstance(taken := summary.get("timestamp"), int | float):
        step = partial(Step, id="endpoint.clock", title="The clocks agree", tried=f"GET {client.shown}/summary")
        yield clock_step(step, "the service", taken, before)
    yield from scrape_steps(client, summary)
    return Service(
        name, client.url, client.access.username, summary, pushes_of(health) != [], state if is_later else None
    )


def own_url(config: TelemetryConfig) -> str | None:
    """Return the URL of the endpoint that the settings describe; None if they open none, or at any free port."""
    is_open = config.enabled and config.endpoint_server and "prometheus" in config.metrics_exporters
    if not is_open or not config.prometheus_port:
        return None
    host = _ANYWHERE.get(config.prometheus_host, config.prometheus_host)
    scheme = "http" if config.endpoint_certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.prometheus_port}"


def _no_address(config: TelemetryConfig) -> Step:
    any_port = config.enabled and config.endpoint_server and "prometheus" in config.metrics_exporters
    return Step(
        id=_ADDRESS.id,
        title=_ADDRESS.title,
        result=Result.SKIPPED,
        tried="looked for its address in the settings",
        found="port 0 takes any free port" if any_port else "the settings open no endpoint",
        remedy="name its URL by --service-url: the service logs it, and telemetry.metrics_url has it",
    )


def _who_answers(client: Client, expected: str | None) -> tuple[Mapping[str, Any] | None, Step]:
    """Ask for the state, and return it with the step; None if no service of otel-ha answers."""
    step = partial(Step, id=_ADDRESS.id, title=_ADDRESS.title, tried=f"GET {client.shown}/healthz")
    try:
        answer = client.fetch("healthz")
    except FailedError as error:
        return None, _silent(step, client, error)
    health = _health_in(answer)
    if health is None:
        return None, _refused(step, client, answer) or stranger(step, client, answer)
    name = health.get("service")
    if expected is not None and name != expected:
        found = f"the service {name!r} answers, but the settings name {expected!r}"
        remedy = f"if these are two services, {_ANOTHER_PORT}; if not, its code overrides OTEL_SERVICE_NAME"
        facts = {"service": name, "expected": expected}
        found_step = step(
            result=Result.FINDING, found=scrub(found), cause="taken_by_service", remedy=remedy, facts=facts
        )
        return health, found_step
    return health, step(result=Result.OK, found=scrub(_introduced(client, health)), facts={"service": name})


def _silent(step: partial[Step], client: Client, error: FailedError) -> Step:
    cause = cause_of(error, client)
    if cause == "connection_refused":
        return step(
            result=Result.FINDING,
            found=f"nothing listens at {client.shown}: the address is free",
            cause="no_service",
            remedy="start the service, or name its URL by --service-url; if it runs, its log says why it has "
            "no endpoint",
        )
    if cause == "not_http":
        return stranger(step, client, None)
    return step(result=Result.FINDING, found=str(error), cause=cause, remedy=remedy_for(cause))


def _at_usual_port(client: Client, expected: str | None) -> tuple[Client, Mapping[str, Any]] | None:
    """Return a service that answers at the same host's usual port instead, which is asked without the password."""
    parts = urlsplit(client.url)
    if parts.port == _USUAL_PORT:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    url = parts._replace(netloc=f"{host}:{_USUAL_PORT}").geturl()
    there = client_for(url, client.access, shares_password=False)
    with suppress(FailedError):
        health = _health_in(there.fetch("healthz"))
        if health is not None and expected in {None, health.get("service")}:
            return there, health
    return None


def _elsewhere(answers: Step, client: Client, health: Mapping[str, Any]) -> Step:
    """Return the finding that the service listens at the usual port; the steps below look at it there."""
    return replace(
        answers,
        found=scrub(f"{answers.found}, but the service {health.get('service')!r} answers at {client.shown}"),
        cause="wrong_port",
        remedy=f"set OTEL_EXPORTER_PROMETHEUS_PORT={_USUAL_PORT} here, or name the URL: --service-url {client.shown}",
        facts={"service": health.get("service"), "url": client.shown},
    )


def _health_in(answer: Answer) -> Mapping[str, Any] | None:
    with suppress(ValueError, RecursionError):
        found = json.loads(answer.text)
        if isinstance(found, dict) and isinstance(found.get("status"), str) and _lists_in(found) >= _LISTS:
            return found
    return None


def _lists_in(answer: Mapping[str, Any]) -> set[str]:
    return {name for name, value in answer.items() if isinstance(value, list)}


def _refused(step: partial[Step], client: Client, answer: Answer) -> Step | None:
    """Return the finding if a service of otel-ha, or a proxy in front of it, refuses the request."""
    host = urlsplit(client.url).hostname
    match answer.status:
        case 401 if client.access.password is None:
            cause, found = "password_needed", "it asks for a user and a password"
            remedy = "give --username, and the password in the variable OTEL_HA_ENDPOINT_PASSWORD"
        case 401:
            cause, found = "password_wrong", f"it refuses the password of user {client.access.username!r}"
            remedy = "correct --username, or the password in the variable OTEL_HA_ENDPOINT_PASSWORD"
        case 421:
            cause, found = "host_not_allowed", f"it does not answer under the name {host!r}: {quoted(answer.text)}"
            remedy = f"add {host} to OTEL_HA_ENDPOINT_ALLOWED_HOSTS of the service"
        case 301 | 302 | 303 | 307 | 308:
            there = mask_url(quoted(answer.headers.get("Location", "nowhere")))
            cause, found = "redirected", f"it sends clients to {there}"
            remedy = "name the URL of the service itself by --service-url; Prometheus needs that, too"
        case 502 | 503 | 504:
            cause, found = "proxy_without_service", f"a proxy does not reach the service: {quoted(answer.text)}"
            remedy = "start the service, or correct its address in the proxy"
        case _:
            return None
    return step(result=Result.FINDING, found=scrub(f"{found} ({answer.status})"), cause=cause, remedy=remedy)


def _summary(client: Client) -> Mapping[str, Any]:
    try:
        return client.summary()
    except FailedError:
        return {}


def _introduced(client: Client, health: Mapping[str, Any]) -> str:
    """Return name, version and age of the service."""
    summary = _summary(client)
    info = summary.get("system_info") or {}
    said = [f"the service {health.get('service')!r}"]
    if version := info.get("otel_ha_version"):
        said.append(f"otel-ha {version}, opentelemetry-sdk {info.get('opentelemetry_sdk_version')}")
    if process := info.get("process_id"):
        said.append(f"process {process} on {info.get('hostname')}")
    if started := summary.get("started"):
        said.append(f"started {words.duration(max(0.0, summary['timestamp'] - started))} ago")
    return ", ".join(said)
