"""collector-config/ is what the user runs: checked by the real programs, and run by them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.servers.fixtures import MakeCollector, MakePrometheus
from tests.servers.locate import MANIFEST, ROOT, SERVERS, GoBuild
from tests.servers.otelcol import AGENT, Collector
from tests.servers.prometheus import CONFIG as PROMETHEUS_YML
from tests.servers.prometheus import FLAGS, Prometheus, Scrape
from tests.servers.running import eventually, get, post

# A busy machine may take a while to start a server; that is not a failure.
pytestmark = pytest.mark.timeout(180)

FOLDER = ROOT / "collector-config"
COMPOSE = FOLDER / "compose.yaml"
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")

# Of the manifest's components, those whose own README at this version lists the contrib distribution: all of them.
IN_CONTRIB_0_159 = {
    "receivers": {"otlp"},
    "processors": {"delta_to_cumulative", "filter", "memory_limiter", "resource_detection", "transform"},
    "exporters": {
        "debug",
        "file",
        "load_balancing",
        "otlp_grpc",
        "otlp_http",
        "prometheus",
        "prometheus_remote_write",
    },
    "extensions": {"bearertokenauth", "file_storage", "health_check"},
}


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def components(config: dict[str, Any]) -> dict[str, set[str]]:
    """The component types that a Collector's configuration uses, by kind."""
    return {kind: {name.split("/")[0] for name in config[kind]} for kind in IN_CONTRIB_0_159 if kind in config}


def otlp_json(name: str, value: int, *, age: int = 0) -> str:
    """One counter, as it was `age` seconds ago, as an OTLP request."""
    resource = {
        "service.namespace": "home",
        "service.name": "ha-ingestor",
        "service.instance.id": "one",
        "host.name": "pi",
        "process.pid": "1",
    }
    then = time.time_ns() - age * 10**9
    point = {"asInt": str(value), "startTimeUnixNano": str(then - 60 * 10**9), "timeUnixNano": str(then)}
    counter = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}
    metric = {"name": name, "unit": "{event}", "sum": counter}
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in resource.items()]
    scope = {"scope": {"name": "test"}, "metrics": [metric]}
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [scope]}]})


def push(collector: Collector, name: str, value: int, *, age: int = 0) -> None:
    post(f"{collector.otlp_http_endpoint}/v1/metrics", otlp_json(name, value, age=age), "application/json")


@pytest.mark.servers
class TestTheAgent:
    def test_it_is_valid_with_every_default(self, make_otelcol: MakeCollector, tmp_path: Path) -> None:
        command = [str(make_otelcol().program), "validate", "--config", str(AGENT)]
        done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "warn" not in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_the_real_collector_runs_it_and_names_nothing_deprecated(self, make_otelcol: MakeCollector) -> None:
        # Every default except the ports, and an upstream that is not the user's own Prometheus.
        collector = make_otelcol(upstream="http://127.0.0.1:9/api/v1/otlp").start()
        assert "Server available" in get(collector.health_url)
        warnings = [line for line in collector.log.read_text(encoding="utf-8").splitlines() if "\twarn\t" in line]
        assert warnings == []

    def test_nothing_listens_beyond_loopback(self, otelcol: Collector) -> None:
        listening = _listening(otelcol)
        assert len(listening) == 5
        assert {address for address, _ in listening} == {"127.0.0.1"}

    def test_pushed_metrics_are_served_with_the_services_own_job_and_instance(self, otelcol: Collector) -> None:
        push(otelcol, "homeassistant.event.received", 7)
        text = eventually(lambda: get(otelcol.prometheus_url))
        [line] = [line for line in text.splitlines() if line.startswith("homeassistant_event_received_total{")]
        assert 'instance="one"' in line
        assert 'job="home/ha-ingestor"' in line
        assert line.endswith(" 7")

    def test_its_own_counters_keep_total(self, otelcol: Collector) -> None:
        push(otelcol, "homeassistant.event.received", 7)
        received = "otelcol_receiver_accepted_metric_points_total"
        text = eventually(lambda: get(otelcol.telemetry_url), lambda text: received in text)
        counters = re.findall(r"^# TYPE (\S+) counter", text, re.MULTILINE)
        assert received in counters
        assert [name for name in counters if not name.endswith("_total")] == []

    def test_without_an_upstream_only_the_scrape_is_left(self, otelcol: Collector) -> None:
        assert 'otelcol_exporter_queue_size{data_type="metrics"' not in get(otelcol.telemetry_url)

    def test_accepted_data_survives_a_kill_and_reaches_an_upstream_that_comes_back(
        self, make_otelcol: MakeCollector, make_prometheus: MakePrometheus
    ) -> None:
        prometheus = make_prometheus()
        collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
        for value in range(1, 11):
            push(collector, "homeassistant.event.received", value, age=10 - value)
        collector.kill()
        prometheus.start()
        collector.start()
        # Every sample, not just the last: late ones are accepted too.
        query = "count_over_time(homeassistant_event_received_total[5m])"
        [(labels, _)] = eventually(lambda: prometheus.query(query), lambda rows: [v for _, v in rows] == [10.0])
        assert (labels["job"], labels["instance"]) == ("home/ha-ingestor", "one")
        assert prometheus.query("homeassistant_event_received_total")[0][1] == 10


def _listening(collector: Collector) -> set[tuple[str, int]]:
    """The (address, port) pairs that the process listens at."""
    connections = psutil.Process(collector.pid).net_connections("inet")
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


@pytest.mark.servers
class TestPrometheusYml:
    def test_promtool_finds_it_valid(self, promtool: Path) -> None:
        command = [str(promtool), "check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS_YML)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_collectors_exporter_is_scraped_with_the_services_own_job(
        self, otelcol: Collector, make_prometheus: MakePrometheus
    ) -> None:
        push(otelcol, "homeassistant.event.received", 7)
        prometheus = make_prometheus([Scrape("otelcol-exporter", otelcol.prometheus_target)]).start()
        [(labels, value)] = eventually(lambda: prometheus.query("homeassistant_event_received_total"))
        assert value == 7
        assert (labels["job"], labels["instance"], labels["via"]) == ("home/ha-ingestor", "one", "collector")

    def test_pushed_metrics_have_the_names_of_a_scrape(self, prometheus: Prometheus) -> None:
        post(prometheus.otlp_metrics_endpoint, otlp_json("homeassistant.event.received", 7), "application/json")
        [(labels, value)] = eventually(lambda: prometheus.query("homeassistant_event_received_total"))
        assert value == 7
        assert set(labels) == {"__name__", "job", "instance", "host_name"}
        [(info, _)] = eventually(lambda: prometheus.query("target_info"))
        assert (info["service_name"], info["process_pid"]) == ("ha-ingestor", "1")


class TestBuilderYaml:
    def test_every_module_is_official_and_pinned_to_one_release(self) -> None:
        manifest = load(MANIFEST)
        assert sum(map(len, IN_CONTRIB_0_159.values())) == sum(len(manifest[kind]) for kind in IN_CONTRIB_0_159)
        modules = [each["gomod"] for kind in IN_CONTRIB_0_159 for each in manifest[kind]]
        official = re.compile(
            r"(go\.opentelemetry\.io/collector|github\.com/open-telemetry/opentelemetry-collector-contrib)"
            r"/\S+ v0\.159\.0"
        )
        assert [module for module in modules if not official.fullmatch(module)] == []
        assert {each["gomod"].split()[1] for each in manifest["providers"]} == {"v1.65.0"}

    def test_it_is_built_by_the_builder_of_its_own_release(self) -> None:
        recipe = SERVERS["otelcol"]
        assert isinstance(recipe, GoBuild)
        assert recipe.version == f"v{load(MANIFEST)['dist']['version']}"
        assert f"{recipe.module}@{recipe.version}" in MANIFEST.read_text(encoding="utf-8")

    @pytest.mark.servers
    def test_the_built_collector_has_the_components_of_the_manifest(self, make_otelcol: MakeCollector) -> None:
        done = subprocess.run([make_otelcol().program, "components"], capture_output=True, text=True, check=True)
        said = yaml.safe_load(done.stdout)
        for kind, names in IN_CONTRIB_0_159.items():
            assert names <= {each["name"] for each in said[kind]}


class TestThatThePagesAgree:
    def test_prometheus_has_the_same_flags_in_its_file_the_page_compose_and_the_tests(self) -> None:
        header = PROMETHEUS_YML.read_text(encoding="utf-8").split("\nglobal:")[0]
        page = (ROOT / "docs" / "stacks" / "standard.md").read_text(encoding="utf-8")
        compose = shlex.join(load(COMPOSE)["services"]["prometheus"]["command"])
        for flag in FLAGS:
            assert flag in header
            assert flag in page
            assert flag in compose

    @pytest.mark.parametrize("name", ["agent.yaml", "agent-fleet.yaml", "gateway.yaml"])
    def test_every_variable_of_a_collector_has_a_default_and_the_readme_has_both(self, name: str) -> None:
        used = set(VARIABLE.findall((AGENT.parent / name).read_text(encoding="utf-8")))
        assert [variable for variable, default in used if not default] == []
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        heading, *rows = re.findall(r"^\| `?[A-Z]\w+`? \|.*\|$", readme[readme.index("| Variable |") :], re.MULTILINE)
        cells = [[cell.strip(" `") for cell in row.split("|")] for row in rows]
        column = [cell.strip(" `") for cell in heading.split("|")].index(name)
        assert {(row[1], row[column]) for row in cells if row[column]} == used

    def test_ports_in_prometheus_yml_are_the_agents_defaults(self) -> None:
        ports = dict(VARIABLE.findall(AGENT.read_text(encoding="utf-8")))
        targets = {
            job["job_name"]: job["static_configs"][0]["targets"] for job in load(PROMETHEUS_YML)["scrape_configs"]
        }
        assert targets["otelcol-exporter"] == [f"127.0.0.1:{ports['OTELCOL_PROMETHEUS_PORT']}"]
        assert targets["otelcol"] == [f"127.0.0.1:{ports['OTELCOL_TELEMETRY_PORT']}"]
