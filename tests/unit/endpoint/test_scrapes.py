"""Scrapes that fail, hang, overlap, or run in a forked child."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily

from otel_ha.serve.application import Endpoint
from tests.unit.endpoint.conftest import Calling, endpoint


class Flaky:
    """A collector that raises while it is broken."""

    broken = True
    describe = list

    def collect(self):
        if self.broken:
            raise ValueError("secret detail")
        yield GaugeMetricFamily("fine", "Fine.", 1)


@pytest.fixture
def flaky() -> tuple[Flaky, Endpoint]:
    collector = Flaky()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return collector, endpoint(registry)


def test_a_collector_that_raises_is_a_server_error_without_a_traceback(flaky):
    _, served = flaky
    response = served.respond("GET", "/metrics", {})
    assert response.status == 500
    assert b"secret" not in response.body
    assert b"Traceback" not in response.body


def test_an_outage_of_the_metrics_is_logged_once_and_its_end_once(flaky, caplog):
    collector, served = flaky
    for _ in range(3):
        served.respond("GET", "/metrics", {})
    collector.broken = False
    for _ in range(3):
        assert served.respond("GET", "/metrics", {}).status == 200
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert all(record.exc_info is None for record in caplog.records)


def test_a_scrape_by_the_command_counts_only_as_the_end_of_an_outage(flaky):
    collector, served = flaky
    ours = {"User-Agent": "otel-ha/0.1.0"}
    collector.broken = False
    served.respond("GET", "/metrics", ours)
    assert served.delivery.last_success is None
    collector.broken = True
    served.respond("GET", "/metrics", ours)
    assert served.delivery.failures == 1
    collector.broken = False
    served.respond("GET", "/metrics", ours)
    assert served.delivery.failures == 0


def test_scrapes_run_one_at_a_time():
    inside, seen = [], []

    def collect():
        inside.append(1)
        time.sleep(0.005)  # the best chance for other threads to enter
        seen.append(len(inside))
        inside.pop()
        return []

    registry = CollectorRegistry()
    registry.register(Calling(collect))
    served = endpoint(registry)
    scrapes = [
        *(threading.Thread(target=served.respond, args=("GET", "/metrics", {})) for _ in range(4)),
        *(threading.Thread(target=served.text) for _ in range(4)),
    ]
    for scrape in scrapes:
        scrape.start()
    for scrape in scrapes:
        scrape.join()
    assert seen == [1] * 8


@contextmanager
def hanging_scrape() -> Iterator[Endpoint]:
    """Return an endpoint while the first scrape hangs; later ones do not."""
    hangs, release = threading.Event(), threading.Event()

    def collect():
        if not hangs.is_set():
            hangs.set()
            release.wait()
        return []

    registry = CollectorRegistry()
    registry.register(Calling(collect))
    served = endpoint(registry)
    first = threading.Thread(target=served.respond, args=("GET", "/metrics", {}))
    first.start()
    hangs.wait()
    try:
        yield served
    finally:
        release.set()
        first.join()


def test_a_scrape_behind_one_that_hangs_is_unavailable():
    with hanging_scrape() as served:
        assert served.respond("GET", "/metrics", {}).status == 503
    assert served.respond("GET", "/metrics", {}).status == 200


def test_a_forked_child_does_not_wait_for_the_parents_scrape():
    with hanging_scrape() as served:
        assert served.respond("GET", "/metrics", {}).status == 503
        served.after_fork_in_child()
        assert served.respond("GET", "/metrics", {}).status == 200
