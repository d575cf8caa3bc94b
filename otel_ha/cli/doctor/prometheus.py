"""The topic prometheus: whether a Prometheus or VictoriaMetrics gets the service's metrics, once, and keeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from otel_ha.cli.client import Access, FailedError
from otel_ha.cli.doctor.arrival import arrival_steps
from otel_ha.cli.doctor.clocks import clock_step
from otel_ha.cli.doctor.endpoint import Service
from otel_ha.cli.doctor.reach import cause_of, client_for, remedy_for
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.store import PROMETHEUS, VICTORIA_METRICS, Store
from otel_ha.cli.doctor.targets import target_step
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import mask_url
from otel_ha.serve.summary import words

__all__ = ["prometheus_steps"]

# Counters of samples that a store did not accept; the reason in words.
_REFUSED: Final = {
    "prometheus_tsdb_out_of_order_samples_total": "out of order",
    "prometheus_tsdb_too_old_samples_total": "too old",
    "prometheus_tsdb_out_of_bound_samples_total": "too old or too far in the future",
    "prometheus_target_scrapes_sample_out_of_order_total": "scraped out of order",
    "prometheus_target_scrapes_sample_out_of_bounds_total": "scraped with a time out of bounds",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total": "scraped twice with the same time",
    "prometheus_target_scrapes_exceeded_sample_limit_total": "of a scrape with more series than the limit",
    "prometheus_target_scrapes_exceeded_body_size_limit_total": "of a scrape larger than the limit",
    "prometheus_remote_storage_samples_failed_total": "not accepted by the remote storage",
    "vm_rows_ignored_total": "ignored",
    "vm_rows_invalid_total": "invalid",
    "vm_promscrape_scrapes_skipped_by_sample_limit_total": "of a scrape with more series than the limit",
}


def prometheus_steps(config: TelemetryConfig, service: Service, url: str | None, access: Access) -> Iterator[Step]:
    """Yield the steps; `url` is that of the store, or None, which leaves only a hint."""
    step = partial(Step, id="prometheus.connection", title="Prometheus answers")
    if url is None:
        found = "no Prometheus or VictoriaMetrics was named"
        remedy = "name it to look further: --prometheus http://127.0.0.1:9090"
        yield step(result=Result.SKIPPED, tried="nothing", found=found, remedy=remedy)
        return
    step = partial(step, tried=f"GET {mask_url(url)}/api/v1/query?query=time()")
    try:
        store = Store.at(url, access)
    except FailedError as error:
        yield _no_answer(step, error, url, access)
        return
    facts = {"flavour": store.flavour, "version": store.version}
    yield step(result=Result.OK, found=f"{store.flavour} {store.version}".strip(), facts=facts)
    if store.ahead is not None:
        clocks = partial(
            Step, id="prometheus.clock", title="The clocks agree", tried="compared its time with this one's"
        )
        here = time.time()
        yield clock_step(clocks, store.flavour, here + store.ahead, here)
    yield target_step(config, service, store)
    yield from arrival_steps(config, service, store)
    yield _refused(store)


def _no_answer(step: partial[Step], error: FailedError, url: str, access: Access) -> Step:
    if error.status in {401, 403}:
        cause, remedy = (
            "prometheus_password",
            "write user and password in the URL: --prometheus http://USER:PASSWORD@HOST",
        )
    elif error.status is not None and 300 <= error.status < 400:  # noqa: PLR2004 - redirects of HTTP
        cause, remedy = "redirected", "name the URL of Prometheus itself"
    elif error.status is not None and error.status >= 500:  # noqa: PLR2004 - failures of servers
        cause = "query_failed"
        remedy = "it starts, is overloaded, or a proxy does not reach it: try again, and look at its log"
    elif error.status is not None:
        cause, remedy = "not_prometheus", "check the URL; with a path in front of /api/v1, include that path"
    else:
        cause = cause_of(error, client_for(url, access, shares_password=False))
        remedy = remedy_for(cause).replace("the service", "Prometheus")
    return step(result=Result.FINDING, found=str(error), cause=cause, remedy=remedy)


def _refused(store: Store) -> Step:
    step = partial(
        Step,
        id="prometheus.refused",
        title="Samples are accepted",
        tried=f"looked for counters of refused samples in {store.client.shown}/metrics",
    )
    if store.flavour not in {PROMETHEUS, VICTORIA_METRICS}:
        return step(result=Result.SKIPPED, found="it does not show metrics about itself")
    found = {name: int(times) for name in _REFUSED if (times := store.metrics.get(name, 0.0)) > 0}
    started = store.metrics.get("process_start_time_seconds")
    since = f"since {store.flavour} started {words.duration(store.now() - started)} ago" if started else "so far"
    if not found:
        return step(result=Result.OK, found=f"no sample was refused {since}")
    if all(_is_over(store, name) for name in found):
        text = f"none was refused within the last hour; {sum(found.values()):,} before, {since}"
        return step(result=Result.OK, found=text, facts={"refused": found})
    return step(
        result=Result.FINDING,
        found=f"refused {since}: " + ", ".join(f"{times:,} {_REFUSED[name]}" for name, times in found.items()),
        cause="samples_refused",
        remedy="two senders of one series, clocks that differ, or data that was held back: let one way in carry each "
        "service, synchronize clocks, and set storage.tsdb.out_of_order_time_window (Prometheus)",
        facts={"refused": found},
    )


def _is_over(store: Store, counter: str) -> bool:
    """Whether a counter has not increased within the last hour; False if the store does not scrape itself."""
    with suppress(FailedError):
        return any(not added for _, added in store.query(f"sum({counter}) - sum({counter} offset 1h)"))
    return False
