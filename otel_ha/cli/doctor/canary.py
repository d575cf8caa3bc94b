"""The topic canary: a metric of its own is pushed, and looked up wherever services' metrics should arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

from otel_ha.cli.client import Access
from otel_ha.cli.doctor.collector import why_not_pushed
from otel_ha.cli.doctor.contradictions import pushes_straight_to
from otel_ha.cli.doctor.look import Heading, Look, after, fine, not_needed, skipped, step
from otel_ha.cli.doctor.lookup import InExporter, InStore, Place
from otel_ha.cli.doctor.push import pushed
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.way import Way, address_of
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError, TelemetryError
from otel_ha.export.otlp.senders import sender_of
from otel_ha.export.otlp.single import single_count
from otel_ha.scrub import mask_url

__all__ = ["METRIC", "SERVICE", "canary_steps"]

SERVICE: Final = "otel-ha-doctor"
METRIC: Final = "otel_ha.doctor.canary"
"""A counter, as most metrics of services are, so that it meets what befalls them, such as a refused temporality."""

_EXPORTER_PORT: Final = 8889
_STORES: Final = ("/api/v1/otlp/v1/metrics", "/opentelemetry/v1/metrics", "/opentelemetry/api/v1/push")
"""Paths at which Prometheus and VictoriaMetrics take OTLP themselves."""


@dataclass(frozen=True)
class Canary:
    """One canary: its id, which no other series has, and the time at which it was pushed."""

    id: str = field(default_factory=lambda: token_hex(8))
    began: float = field(default_factory=time.monotonic)


def canary_steps(
    config: TelemetryConfig,
    *,
    collector_metrics: str | None,
    prometheus: str | None,
    access: Access,
    patience: float,
    progress: Callable[[str], None] = lambda _: None,
    failed: Step | None = None,
    is_pushing: bool = True,
) -> Iterator[Step]:
    """Push a canary and look it up, for `patience` seconds in all; `progress` gets a line while this waits.

    `collector_metrics` is the URL of the Collector's Prometheus exporter, `prometheus` that of a Prometheus or a
    VictoriaMetrics. A default stands for each that is not given, if the address of pushes tells one. After the finding
    `failed` of the way to the Collector, nothing is pushed, nor if the service that runs does not push (`is_pushing`).
    """
    if reason := why_not_pushed(config, is_pushing=is_pushing):
        yield from skipped(_STEPS, reason)
        return
    if failed is not None:
        yield from after(Heading(failed.id, failed.title), _STEPS)
        return
    sender = sender_of(config.otlp("metrics"))
    if isinstance(sender, ConfigError):
        yield from skipped(_STEPS, f"nothing can be pushed with these settings: {sender}")
        return
    canary = Canary()
    with closing(Way(config, sender)) as way:
        began = time.monotonic()
        look = _push(way, canary, patience)
        yield step(_PUSH, look, time.monotonic() - began)
    if look.result is Result.FINDING:
        yield from skipped((_EXPORTER, _STORE), "not looked up, because the push failed")
        return
    search = Search(canary, patience, progress)
    exporter = _exporter(config, collector_metrics, prometheus, access)
    yield search.step(_EXPORTER, exporter, exporter.missing) if exporter else step(_EXPORTER, not_needed(_STRAIGHT))
    store = _store(config, prometheus, access)
    if store is None:
        yield step(_STORE, not_needed("name a Prometheus or VictoriaMetrics by --prometheus URL"))
        return
    yield search.step(_STORE, store, partial(store.missing, exporter=exporter, arrived=search.arrived))


def _push(way: Way, canary: Canary, patience: float) -> Look:
    """Push the canary by the sender and the settings of a service."""
    tried = f"push the counter {METRIC}{{canary={canary.id}}} as service {SERVICE} to {way.url}"
    accepted = (
        f"accepted; now it is looked up, for up to {patience:g} s. Nothing is deleted: it stays in the Collector's "
        "exporter for its metric_expiration (5 minutes by default), and in Prometheus for its retention"
    )
    return pushed(way, _encoded(way.config, canary), tried, accepted, canary=canary.id)


def _encoded(config: TelemetryConfig, canary: Canary) -> bytes:
    """Return a request with one series, which has the attributes of services, but another name and instance."""
    resource = {**config.resource_attributes, "service.name": SERVICE, "service.instance.id": canary.id}
    return single_count(config, resource, METRIC, {"canary": canary.id})


def _exporter(config: TelemetryConfig, url: str | None, store: str | None, access: Access) -> InExporter | None:
    """Return the Collector's exporter; None if pushes go straight to a store, or to an address without a host."""
    if url is not None:
        return InExporter(url, access)
    address = address_of(config)
    if pushes_straight_to(config, store) or address is None or not address.host:
        return None
    return InExporter(f"http://{address._replace(port=_EXPORTER_PORT)}/metrics", access, is_named=False)


def _store(config: TelemetryConfig, url: str | None, access: Access) -> InStore | None:
    """Return the store; by default it is the receiver of pushes, if its path tells that it is one."""
    if url is not None:
        return InStore(url, access)
    base = _base_of_store(config)
    return InStore(base, access) if base else None


def _base_of_store(config: TelemetryConfig) -> str:
    """Return the base URL of the store that takes pushes itself; empty for a Collector."""
    parts = urlsplit(config.otlp("metrics").url)
    path = next((path for path in _STORES if parts.path.endswith(path)), "")
    return parts._replace(path=parts.path.removesuffix(path), query="").geturl() if path else ""


class Search:
    """The search for one canary; `arrived` says whether the last place has it, None if that is not known."""

    def __init__(self, canary: Canary, patience: float, progress: Callable[[str], None]) -> None:
        self._canary = canary
        self._patience = patience
        self._progress = progress
        self.arrived: bool | None = None

    def step(self, heading: Heading, place: Place, missing: Callable[[str, float], Look]) -> Step:
        """Return the step of a place: its seconds are those since the push."""
        tried = f"look for canary={self._canary.id} in {mask_url(place.url)}"
        self.arrived = None
        try:
            series = self._series(heading, place)
            seconds = time.monotonic() - self._canary.began
            self.arrived = bool(series)
            if not series:
                return step(heading, missing(tried, seconds), seconds)
        except TelemetryError as error:
            return step(heading, place.unreachable(tried, error))
        ways = f", as {len(series)} series, so it came by several ways" if len(series) > 1 else ""
        found = f"arrived {seconds:.2g} s after the push{ways}: {'; '.join(series)}"
        return step(heading, fine(tried, found, canary=self._canary.id, series=series), seconds)

    def _series(self, heading: Heading, place: Place) -> list[str]:
        """Return the series of the canary, once there are any, or none after the time; each place is asked once."""
        while not (series := place.series(self._canary.id)):
            seconds = time.monotonic() - self._canary.began
            if seconds > self._patience:
                return []
            self._progress(f"{heading.title}: not there yet, {seconds:.0f} of {self._patience:.0f} s")
            time.sleep(_PAUSE)
        return series


_STRAIGHT: Final = "pushes go straight to a store; name a Collector's Prometheus exporter by --collector-metrics URL"
_PAUSE: Final = 0.5
_PUSH: Final = Heading("canary.push", "Push of a canary")
_EXPORTER: Final = Heading("canary.collector", "Arrival in the Collector's exporter")
_STORE: Final = Heading("canary.prometheus", "Arrival in Prometheus")
_STEPS: Final = (_PUSH, _EXPORTER, _STORE)
