"""A store that is killed while it scrapes a real service keeps every sample older than ten seconds."""

import time

import pytest

from tests.integration.flow import Home, counts_at, counts_in, ingestor
from tests.servers.running import HOST, eventually, get_json

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

KEPT = 10.0

Samples = set[tuple[frozenset[tuple[str, str]], float, str]]


@pytest.fixture
def home(mosquitto):
    home = Home(mosquitto)
    home.leave_retained()
    yield home
    home.close()


def samples_in(store) -> Samples:
    """Return every sample as a query finds it; VictoriaMetrics' export would write what is in memory first."""
    answer = get_json(f"{store.url}/api/v1/query", query='{__name__!=""}[10m]', time=str(int(time.time()) + 1))
    series = answer["data"]["result"]
    return {(frozenset(each["metric"].items()), *sample) for each in series for sample in map(tuple, each["values"])}


def up(samples: Samples) -> list[float]:
    """Return the times of the scrapes of the service."""
    return [at for labels, at, _ in samples if {("__name__", "up"), ("job", "ha-ingestor")} <= labels]


@pytest.mark.parametrize("engine", ["prometheus", "victoria_metrics"])
def test_a_killed_store_keeps_every_sample_older_than_10_s_and_then_counts_right(request, home, engine, tmp_path):
    store = request.getfixturevalue(engine)
    lines = f"--victoriametrics={store.url}" if engine == "victoria_metrics" else f"--file={tmp_path / 'points'}"
    with ingestor(home.broker, f"http://{HOST}:1", lines) as service:
        store.scrape("ha-ingestor", service.metrics_url.split("/")[2])
        home.publish(500)
        eventually(lambda: samples_in(store), lambda found: len(up(found)) >= 20, timeout=60)
        before, killed = samples_in(store), time.time()
        store.kill()
        home.publish(500)
        store.start()
        kept = {sample for sample in before if sample[1] < killed - KEPT}
        assert len(kept) > 500
        assert kept - samples_in(store) == set()
        home.publish(100)
        eventually(lambda: (counts_at(service.metrics_url), counts_in(store, "scrape")), lambda two: two[0] == two[1])
        [(_, resets)] = store.query("resets(homeassistant_event_received_total[10m])")
        assert resets == 0
