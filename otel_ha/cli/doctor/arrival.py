"""The arrival of a service's metrics in a store: whether they arrive, and by how many ways at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from otel_ha.cli.client import FailedError
from otel_ha.cli.doctor.endpoint import Service
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.store import VICTORIA_METRICS, Store, text_of
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import scrub
from otel_ha.serve.summary import words

__all__ = ["arrival_steps"]

# Series that a store or its rules make themselves.
_NOT_OF_SERVICES: Final = '__name__!~"up|scrape_.*|target_info|ALERTS.*|.*:.*"'
_FRESH: Final = 90.0
"""Seconds within which a way that is in use brings samples; a longer push interval counts three times instead."""

_KINDS: Final = {"scrape": "scrape of the service", "collector": "scrape of the Collector"}


@dataclass
class _Way:
    """One way into the store, with the instances and the processes that use it."""

    kind: str
    job: str
    via: str
    instances: set[str] = field(default_factory=set)
    processes: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{self.kind} (job={self.job!r}, via={self.via!r})"


def arrival_steps(config: TelemetryConfig, service: Service, store: Store) -> Iterator[Step]:
    """Yield the steps about the series of the service."""
    name = service.name or config.service_name
    step = partial(Step, id="prometheus.arrival", title="The service's metrics arrive")
    if name is None:
        remedy = "set OTEL_SERVICE_NAME, or let the service run"
        yield step(result=Result.SKIPPED, tried="nothing", found="the service's name is unknown", remedy=remedy)
        return
    fresh = max(_FRESH, 3 * config.export_interval)
    step = partial(step, tried=f"queried the series of the last {words.duration(fresh)} by job and target_info")
    try:
        ways = _ways(name, store, fresh)
        if not ways:
            yield _missing(step, name, store)
            return
    except FailedError as error:
        yield step(result=Result.FINDING, found=str(error), cause="query_failed", remedy="look at the log of the store")
        return
    yield step(result=Result.OK, found=scrub("; ".join(map(str, ways))), facts={"ways": list(map(_facts, ways))})
    yield _ways_step(ways)


def _ways(name: str, store: Store, fresh: float) -> list[_Way]:
    """Return the ways by which series of a service come, also under another job if target_info knows it."""
    keys = "job, instance, via"
    scraped = {_key(labels) for labels, _ in store.query(f"count by ({keys}) (up)")}
    ways: dict[tuple[str, str, str], _Way] = {}

    def way_of(labels: Mapping[str, str]) -> _Way:
        job, _, via = key = _key(labels)
        kind = _KINDS.get(via) or (_KINDS["scrape"] if key in scraped else "push by OTLP")
        way = ways.setdefault((kind, job, via), _Way(kind, job, via))
        way.instances.add(labels.get("instance", ""))
        return way

    def recent(series: str) -> str:
        # A series that has ended is not in the second part; one that was pushed stays there for five minutes.
        return f"last_over_time({series}[{fresh:.0f}s]) and {series}"

    for labels, _ in store.query(f"count by ({keys}) ({recent(_series_of(name))})"):
        way_of(labels)
    described = f"target_info{{service_name={text_of(name)}}}"
    for labels, _ in store.query(f"count by ({keys}, service_instance_id) ({recent(described)})"):
        if labels.get("job"):
            way_of(labels).processes.add(labels.get("service_instance_id", ""))
    return list(ways.values())


def _series_of(name: str) -> str:
    """Return the selector of the series of a service, whose job may begin with a namespace."""
    return f"{{job=~{text_of(f'(.+/)?{re.escape(name)}')}, {_NOT_OF_SERVICES}}}"


def _key(labels: Mapping[str, str]) -> tuple[str, str, str]:
    return labels.get("job", ""), labels.get("instance", ""), labels.get("via", "")


def _missing(step: partial[Step], name: str, store: Store) -> Step:
    """Return the finding that nothing arrives, with the reason if the series are there under other labels."""
    if store.query(f"count(last_over_time({_series_of(name)}[1h]))"):
        found = f"series with job={name!r} are there, but the newest samples are old"
        remedy = "the service has ended, or its way in is broken: see the steps above"
        return step(result=Result.FINDING, found=found, cause="stopped_arriving", remedy=remedy)
    text = text_of(name)
    elsewhere = {
        f"exported_job={text}": (
            "honor_labels_missing",
            "add honor_labels: true to the scrape of the Collector, so that job and instance stay the service's",
        ),
        f'service_name={text}, job="", {_NOT_OF_SERVICES}': (
            "labels_missing",
            "start VictoriaMetrics with -relabelConfig=collector-config/victoriametrics/relabel.yml",
        ),
    }
    if store.flavour == VICTORIA_METRICS:
        elsewhere[f'"service.name"={text}'] = (
            "labels_missing",
            "start VictoriaMetrics with the flags -opentelemetry… and -relabelConfig of docs/stacks/home.md",
        )
    for matchers, (cause, remedy) in elsewhere.items():
        with suppress(FailedError):
            if store.query(f"count({{{matchers}}})"):
                found = f"no series has job={name!r}, but some have {matchers.partition(',')[0]}"
                return step(result=Result.FINDING, found=found, cause=cause, remedy=remedy)
    return step(
        result=Result.FINDING,
        found=f"no series has job={name!r}, and no target_info has service_name={name!r}",
        cause="not_arriving",
        remedy="see the steps above: let Prometheus scrape the service, or let the service push",
    )


def _ways_step(ways: list[_Way]) -> Step:
    """Return the step about the ways that carry the same processes: rules count a service once if `via` differs."""
    step = partial(
        Step,
        id="prometheus.ways",
        title="The service counts once",
        tried="compared job, instance and via of its series",
        facts={"ways": [_facts(way) for way in ways]},
    )
    same = max((_with_same_processes(way, ways) for way in ways), key=len)
    if len(same) == 1:
        return step(result=Result.OK, found=f"it arrives by one way: {scrub(str(ways[0]))}")
    found = f"{len(same)} ways at once: {scrub('; '.join(map(str, same)))}"
    times = f"{len(same)} times"
    if len({way.job for way in same}) == 1 and len({way.via for way in same}) == len(same):
        found += f"; rules and dashboards tell them apart by `via`, but a plain sum() in a query counts it {times}"
        return step(result=Result.OK, found=found)
    return step(
        result=Result.FINDING,
        found=f"{found}; neither `via` nor `job` tells rules that it is one service, so it counts {times}",
        cause="two_ways",
        remedy="keep one: OTEL_METRICS_EXPORTER=prometheus (scrape only) or otlp (push only), or delete the scrape's "
        "job; to keep both, name the scrape's job like the service, and give it the label via: scrape",
    )


def _with_same_processes(way: _Way, ways: list[_Way]) -> list[_Way]:
    """Return the ways that carry processes of this one; those whose processes are known and differ are left out."""
    return [each for each in ways if not (each.processes and way.processes) or each.processes & way.processes]


def _facts(way: _Way) -> dict[str, object]:
    return {
        "kind": way.kind,
        "job": way.job,
        "via": way.via,
        "instances": sorted(way.instances),
        "processes": sorted(way.processes),
    }
