"""A fleet loses nothing: agents, gateways and a replicated Thanos, run on the repository's own files."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.flow import Home, counts_in, ingestor
from tests.servers.fixtures import needed
from tests.servers.fleet import AGENT_FLEET, FOLDER, GATEWAY, Fleet
from tests.servers.running import eventually, get, get_json, instant_query, post

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

N = 2000


@pytest.fixture
def fleet(tmp_path) -> Iterator[Fleet]:
    fleet = Fleet(needed("otelcol"), needed("thanos"), tmp_path / "fleet")
    yield fleet
    for server in fleet.servers:
        server.kill()


@pytest.fixture
def home(mosquitto) -> Iterator[Home]:
    home = Home(mosquitto)
    home.leave_retained()
    yield home
    home.close()


def accepted(collector) -> int:
    """The number of points that a Collector has taken in since its start."""
    found = re.findall(
        r"^otelcol_receiver_accepted_metric_points_total\{.*\} (\S+)$", get(collector.telemetry_url), re.MULTILINE
    )
    return int(sum(map(float, found)))


def twice(counts: dict) -> dict:
    return {key: 2 * count for key, count in counts.items()}


@pytest.mark.parametrize("config", [AGENT_FLEET, GATEWAY], ids=lambda path: path.name)
def test_the_file_is_valid_with_every_default(config: Path, tmp_path: Path) -> None:
    command = [str(needed("otelcol")), "validate", "--config", str(config)]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_sums_are_exact_after_a_gateway_and_a_receiver_were_killed_in_mid_stream(fleet, home, mosquitto, tmp_path):
    query = fleet.part("query")
    for server in (*fleet.receivers, query, *fleet.gateways, *fleet.agents):
        server.start()
    ingestors = [
        ingestor(mosquitto, agent.otlp_http_endpoint, f"--file={tmp_path / f'points-{number}'}")
        for number, agent in enumerate(fleet.agents)
    ]
    with ingestors[0], ingestors[1]:
        home.publish(N // 4)
        eventually(lambda: all(accepted(gateway) for gateway in fleet.gateways))
        load = threading.Thread(target=home.publish, args=(N, 200))
        load.start()
        fleet.gateways[0].kill()
        # The receiver to which the other gateway pushes.
        fleet.receivers[1].kill()
        load.join()
        fleet.receivers[1].start()
        fleet.gateways[0].start()
        expected = twice(home.expected_counts("file"))
        eventually(lambda: counts_in(query, ""), lambda found: found == expected, timeout=120)
    services = query.query('target_info{job="ha-ingestor"}')
    assert len({labels["instance"] for labels, _ in services}) == len(fleet.agents)


def test_sums_are_exact_while_one_receiver_stays_away(fleet, home, mosquitto, tmp_path):
    query = fleet.part("query")
    for server in (*fleet.receivers, query, *fleet.gateways, fleet.agents[0]):
        server.start()
    with ingestor(mosquitto, fleet.agents[0].otlp_http_endpoint, f"--file={tmp_path / 'points'}"):
        home.publish(N // 4)
        fleet.receivers[2].kill()
        home.publish(N // 4)
        expected = home.expected_counts("file")
        eventually(lambda: counts_in(query, ""), lambda found: found == expected, timeout=90)


def test_an_agent_that_is_killed_while_no_gateway_answers_loses_no_sample(fleet):
    agent = fleet.agents[0].start()
    for age in range(10, 0, -1):
        post(f"{agent.otlp_http_endpoint}/v1/metrics", series(20, age=age), "application/json")
    # It has tried to send them; they must still be on its disk.
    eventually(lambda: "otelcol_loadbalancer_backend_outcome_total{" in get(agent.telemetry_url))
    agent.kill()
    query = fleet.part("query")
    for server in (*fleet.receivers, query, *fleet.gateways, agent):
        server.start()
    samples = "count_over_time(test_total[5m])"
    eventually(lambda: query.query(samples), lambda rows: [value for _, value in rows] == [10.0] * 20, timeout=60)
    assert all(accepted(gateway) for gateway in fleet.gateways)


def test_no_sample_is_lost_when_a_gateway_and_a_receiver_are_killed_in_mid_stream(fleet):
    query, agent = fleet.part("query"), fleet.agents[0]
    for server in (*fleet.receivers, query, *fleet.gateways, agent):
        server.start()
    events = {
        10: fleet.gateways[0].kill,
        20: fleet.receivers[1].kill,
        40: fleet.receivers[1].start,
        50: fleet.gateways[0].start,
    }
    for number in range(60):
        post(f"{agent.otlp_http_endpoint}/v1/metrics", series(20), "application/json")
        events.get(number, lambda: time.sleep(0.2))()
    samples = "count_over_time(test_total[5m])"
    eventually(lambda: query.query(samples), lambda rows: [value for _, value in rows] == [60.0] * 20, timeout=90)


def series(count: int, *, age: int = 0) -> str:
    """So many series of a counter, as they were `age` seconds ago, as an OTLP request."""
    then = time.time_ns() - age * 10**9
    point = {"asInt": str(then // 10**9), "startTimeUnixNano": str(then - 60 * 10**9), "timeUnixNano": str(then)}
    points = [{**point, "attributes": [attribute("number", str(number))]} for number in range(count)]
    metric = {"name": "test", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}
    resource = {"attributes": [attribute("service.name", "test"), attribute("service.instance.id", "one")]}
    scope = {"scope": {"name": "test"}, "metrics": [metric]}
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]})


def attribute(key: str, value: str) -> dict:
    return {"key": key, "value": {"stringValue": value}}


def test_sums_are_exact_after_the_copies_are_compacted_in_the_object_storage(fleet, home, mosquitto, tmp_path):
    query = fleet.part("query")
    for server in (*fleet.receivers, query, *fleet.gateways, fleet.agents[0]):
        server.start()
    with ingestor(mosquitto, fleet.agents[0].otlp_http_endpoint, f"--file={tmp_path / 'points'}"):
        home.publish(N // 4)
        expected = home.expected_counts("file")
        eventually(lambda: counts_in(query, ""), lambda found: found == expected, timeout=90)
        # A block lacks the very last sample, which stays with the receiver: let a few more come.
        samples = "count_over_time(homeassistant_point_written_total[1h])"
        eventually(lambda: query.query(samples), lambda rows: rows[0][1] >= 4)
    for receiver in fleet.receivers:
        receiver.restart()  # it uploads what it has
        receiver.kill()
    assert blocks(fleet) == len(fleet.receivers)
    compact = fleet.part("compact")
    compact.flags = {"--consistency-delay": "0s"}
    compact.start()
    eventually(lambda: blocks(fleet), lambda found: found == 1, timeout=60)
    fleet.part("store").start()
    eventually(lambda: counts_in(query, ""), lambda found: found == expected, timeout=60)


def blocks(fleet) -> int:
    """The number of blocks in the object storage that are not to be deleted."""
    return len(kept(fleet))


def kept(fleet) -> list[Path]:
    """The descriptions of the blocks in the object storage that are not to be deleted."""
    found = fleet.bucket.glob("*/meta.json")
    return [path for path in found if not (path.parent / "deletion-mark.json").exists()]


HOUR, STEP, FIVE_MINUTES = 3600, 600, 300_000
BLOCK = 54 * HOUR  # one that promtool makes, and long enough to be down-sampled


def test_old_samples_are_replaced_by_down_sampled_ones_with_the_same_increase(fleet, tmp_path, promtool):
    start = int(time.time() - 50 * 24 * HOUR) // BLOCK * BLOCK
    upload(fleet, promtool, tmp_path, start)
    compact = fleet.part("compact")
    compact.flags = {"--consistency-delay": "0s"}
    compact.start()
    eventually(lambda: resolutions(fleet), lambda found: found == {FIVE_MINUTES}, timeout=90)
    query = fleet.part("query").start()
    fleet.part("store").start()
    asked = {"time": str(start + 50 * HOUR), "max_source_resolution": "5m"}
    increase = "sum(increase(test_total[48h]))"
    [(_, value)] = eventually(lambda: instant_query(query.url, increase, **asked))
    assert value == pytest.approx(48 * HOUR / STEP, rel=0.01)


def upload(fleet, promtool, folder: Path, start: int) -> None:
    """Put a block of a counter that grows by 1 every ten minutes into the object storage, as two receivers do."""
    samples = [f"test_total {number} {then}" for number, then in enumerate(range(start, start + BLOCK, STEP))]
    (folder / "samples").write_text("\n".join(["# TYPE test counter", *samples, "# EOF\n"]), encoding="utf-8")
    create = [promtool, "tsdb", "create-blocks-from", "--max-block-duration=54h", "openmetrics", folder / "samples"]
    for replica in ("1", "2"):
        made = folder / f"blocks-{replica}"
        subprocess.run([*create, made], check=True, capture_output=True, timeout=60)
        bucket = f"--objstore.config={{type: FILESYSTEM, config: {{directory: {fleet.bucket}}}}}"
        labels = ('--label=tenant_id="default-tenant"', f'--label=replica="{replica}"')
        command = [needed("thanos"), "tools", "bucket", "upload-blocks", f"--path={made}", bucket, *labels]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def resolutions(fleet) -> set[int]:
    """The milliseconds between two samples of each kind of block; 0 stands for samples as they came."""
    return {json.loads(path.read_text())["thanos"]["downsample"]["resolution"] for path in kept(fleet)}


def test_every_rule_and_alert_is_evaluated_on_the_fleet(fleet, tmp_path):
    for path in (FOLDER / "prometheus").glob("otel_ha.*.yml"):
        # Without the groups' own intervals, some of which are minutes.
        text = re.sub(r"^ +interval: \S+\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    query, rule = fleet.part("query"), fleet.part("rule")
    rule.flags = {"--eval-interval": "5s", "--rule-file": str(tmp_path / "*.yml")}
    for server in (*fleet.receivers, query, rule):
        server.start()

    def health() -> set[str]:
        groups = get_json(f"{rule.url}/api/v1/rules")["data"]["groups"]
        return {each["health"] for group in groups for each in group["rules"]}

    eventually(health, lambda found: found == {"ok"}, timeout=60)


def test_the_store_has_the_collectors_own_metrics(fleet):
    query = fleet.part("query")
    for server in (*fleet.receivers, query, *fleet.gateways, fleet.agents[0]):
        server.start()
    queues = "count by (job) (otelcol_exporter_queue_size)"
    # One for each of metrics, traces and logs.
    expected = [({"job": "otelcol-agent"}, 3.0), ({"job": "otelcol-gateway"}, 6.0)]
    eventually(lambda: query.query(queues), lambda found: sorted(found, key=str) == expected, timeout=90)
