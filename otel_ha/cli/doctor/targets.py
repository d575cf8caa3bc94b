"""The targets of Prometheus: whether it scrapes the service, when it last did, and with which error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from otel_ha.cli.client import FailedError
from otel_ha.cli.doctor.endpoint import Service, own_url
from otel_ha.cli.doctor.reach import is_this_machine, quoted
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.store import Store
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import scrub
from otel_ha.serve.summary import words

__all__ = ["scrape_config", "target_step"]

_LONGEST_INTERVAL: Final = 120.0
"""Seconds between two scrapes above which rates over five minutes have gaps."""

_ONE_MINUTE: Final = 60.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": _ONE_MINUTE, "h": 3600.0, "d": 86_400.0}

# Words in the error of a scrape, with the cause and the remedy. The first one that is found counts.
_ERRORS: Final = (
    ("401|403", "target_password", "add basic_auth with username and password_file to its scrape_config"),
    ("404", "target_path", "correct metrics_path in its scrape_config, or add prometheus to OTEL_METRICS_EXPORTER"),
    ("421", "target_host", "add the host of the target to OTEL_HA_ENDPOINT_ALLOWED_HOSTS of the service"),
    (
        "connection refused",
        "target_refused",
        "the service does not run, or not there; in a container, 127.0.0.1 is the container itself: name another host",
    ),
    ("no such host|lookup|resolve", "target_unknown_host", "correct the host in targets of its scrape_config"),
    ("deadline exceeded|timeout|timed out", "target_timeout", "the service hangs or is out of reach: look at its log"),
    (
        "no route|unreachable",
        "target_unreachable",
        "check the network and firewalls between Prometheus and the service",
    ),
    (
        "x509|tls:|certificate|HTTP response to HTTPS|malformed HTTP response|EOF|reset by peer",
        "target_tls",
        "make scheme (http or https) and tls_config of its scrape_config fit the service's endpoint",
    ),
    ("Content-Type", "target_content_type", "the target is not the service's /metrics: check host, port and path"),
)


def target_step(config: TelemetryConfig, service: Service, store: Store) -> Step:
    """Return the step about the scrape of the service."""
    step = partial(
        Step,
        id="prometheus.target",
        title="Prometheus scrapes the service",
        tried=f"GET {store.client.shown}/api/v1/targets",
    )
    try:
        found = store.targets()
    except FailedError as error:
        return step(result=Result.SKIPPED, found=f"it does not list its targets: {error}")
    ours = [each for each in found.get("activeTargets") or () if _is_of(each, config, service)]
    if not ours:
        return _not_there(step, found.get("droppedTargets") or (), config, service)
    # The worst one first.
    step_of = [_judged(step, each, store) for each in ours]
    return next((each for each in step_of if each.result is Result.FINDING), step_of[0])


def scrape_config(config: TelemetryConfig, service: Service) -> str:
    """Return the lines of scrape_configs that scrape the service."""
    parts = urlsplit(service.url or own_url(config) or "http://127.0.0.1:9464")
    path = parts.path.rstrip("/") + "/metrics"
    lines = [f"  - job_name: {service.name or 'my-service'}"]
    lines += ["    scheme: https"] if parts.scheme == "https" else []
    lines += [f"    metrics_path: {path}"] if path != "/metrics" else []
    if (username := service.username or config.endpoint_username) is not None:
        lines += ["    basic_auth:", f"      username: {username}", "      password_file: FILE"]
    lines += ["    static_configs:", f'      - targets: ["{parts.netloc}"]', "        labels:", "          via: scrape"]
    return "\n".join(["scrape_configs:", *lines])


def _is_of(target: Mapping[str, Any], config: TelemetryConfig, service: Service) -> bool:
    """Whether a target is the service: by its job, or by its address."""
    name = service.name or config.service_name
    job = str(target.get("labels", {}).get("job", ""))
    if name and (job == name or job.endswith(f"/{name}")):
        return True
    return _is_at(str(target.get("scrapeUrl", "")), service.url or own_url(config))


def _is_at(one: str, other: str | None) -> bool:
    if other is None:
        return False
    try:
        here, there = urlsplit(one), urlsplit(other)
        if here.port != there.port or here.port is None:
            return False
    except ValueError:
        return False
    names = here.hostname or "", there.hostname or ""
    return names[0] == names[1] or all(map(is_this_machine, names))


def _not_there(
    step: Callable[..., Step], dropped: Sequence[Mapping[str, Any]], config: TelemetryConfig, service: Service
) -> Step:
    for each in dropped:
        labels = each.get("discoveredLabels", {})
        address = f"http://{labels.get('__address__', '')}"
        if _is_of({"labels": labels, "scrapeUrl": address}, config, service):
            return step(
                result=Result.FINDING,
                found=f"relabelling drops the target {scrub(address)} of job {labels.get('job')!r}",
                cause="target_dropped",
                remedy="correct relabel_configs of its scrape_config",
            )
    lines = scrape_config(config, service)
    pushes = "otlp" in config.metrics_exporters
    if pushes and "prometheus" not in config.metrics_exporters:
        return step(result=Result.SKIPPED, found="no target, and none is needed: the settings only push")
    return step(
        result=Result.FINDING if not pushes else Result.SKIPPED,
        found="no target has the name or the address of the service" + ("; the settings push, too" if pushes else ""),
        cause="" if pushes else "no_target",
        remedy=f"{'to scrape it, ' if pushes else ''}add this to prometheus.yml, and reload Prometheus:\n{lines}",
        facts={"scrape_config": lines},
    )


def _judged(step: Callable[..., Step], target: Mapping[str, Any], store: Store) -> Step:
    """Return the step about a target that is there."""
    url = scrub(str(target.get("scrapeUrl", "")))
    age = _age(str(target.get("lastScrape", "")), store.now())
    facts = {
        "url": url,
        "job": target.get("labels", {}).get("job"),
        "health": target.get("health"),
        "last_scrape_age": age,
        "last_error": scrub(str(target.get("lastError", ""))) or None,
        "interval": target.get("scrapeInterval") or target.get("discoveredLabels", {}).get("__scrape_interval__"),
        "timeout": target.get("scrapeTimeout") or target.get("discoveredLabels", {}).get("__scrape_timeout__"),
    }
    step = partial(step, facts=facts)
    when = "never yet" if age is None else f"{words.duration(age)} ago"
    if target.get("health") == "up":
        return _up(step, target, url, when, facts)
    if target.get("health") != "down":
        found = f"{url}: not scraped yet"
        return step(result=Result.SKIPPED, found=found, remedy="run the doctor again after the scrape interval")
    error = str(facts["last_error"])
    cause, remedy = next(
        ((cause, remedy) for pattern, cause, remedy in _ERRORS if re.search(pattern, error, re.IGNORECASE)),
        ("target_down", "look at Prometheus' page Targets, and at the service's log"),
    )
    found = f"{url} is down; last scrape {when}: {quoted(error)}"
    return step(result=Result.FINDING, found=found, cause=cause, remedy=remedy)


def _up(step: Callable[..., Step], target: Mapping[str, Any], url: str, when: str, facts: Mapping[str, Any]) -> Step:
    """Return the step about a target whose last scrape succeeded."""
    interval, timeout = (_seconds(str(facts[each] or "")) for each in ("interval", "timeout"))
    took, age = float(target.get("lastScrapeDuration") or 0), facts["last_scrape_age"]
    found = f"{url} is up; last scrape {when}, in {words.duration(took)}"
    if interval:
        found += f"; every {facts['interval']}, with a timeout of {facts['timeout']}"
    if interval and age is not None and age > 3 * interval + 1:
        remedy = "Prometheus is overloaded or stands still: look at its log"
        return step(result=Result.FINDING, found=found, cause="target_stale", remedy=remedy)
    if interval and interval > _LONGEST_INTERVAL:
        remedy = "scrape every two minutes or more often: rates over five minutes need two scrapes"
        return step(result=Result.FINDING, found=found, cause="scraped_rarely", remedy=remedy)
    if timeout and took > 0.8 * timeout:
        remedy = "raise scrape_timeout (up to scrape_interval), or reduce the series of the service"
        return step(result=Result.FINDING, found=found, cause="scraped_slowly", remedy=remedy)
    return step(result=Result.OK, found=found)


def _age(moment: str, now: float) -> float | None:
    """Return the seconds since a moment that the API states; None for the zero of Go, which means never."""
    try:
        # Nine digits after the point are too many for Python.
        then = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", moment))
    except ValueError:
        return None
    return None if then.year == 1 else now - then.timestamp()


def _seconds(duration: str) -> float | None:
    """Return the seconds of a duration as Prometheus writes it, such as 1m30s; None for any other text."""
    if not re.fullmatch(r"(\d+(ms|[smhd]))+", duration):
        return None
    return sum(int(amount) * _UNITS[unit] for amount, unit in re.findall(r"(\d+)(ms|[smhd])", duration))
