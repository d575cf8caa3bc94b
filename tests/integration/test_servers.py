"""The servers that the tests run on: each fixture starts its own and ends it; the installer says why when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.integration.signals import NAME, SERVICE, TRACE, records, spans
from tests.servers import build, install, locate
from tests.servers.alertmanager import Alertmanager
from tests.servers.fixtures import (
    MakeCollector,
    MakePrometheus,
    MakeVictoriaMetrics,
    MakeVMAlert,
    needed,
)
from tests.servers.influxdb import InfluxDB
from tests.servers.jaeger import Jaeger
from tests.servers.locate import GoBuild, Missing
from tests.servers.mosquitto import Mosquitto
from tests.servers.otelcol import Collector
from tests.servers.prometheus import CONFIG, Prometheus, Scrape, for_test
from tests.servers.running import RefusedError, Server, ServerError, eventually, free_ports, get, post
from tests.servers.victoria_logs import VictoriaLogs
from tests.servers.victoria_metrics import VictoriaMetrics

# A busy machine may take a while to start a server; that is not a failure.
pytestmark = pytest.mark.timeout(180)

Program = Callable[[str, str], Path]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ends(server: Server) -> None:
    """Ready, stopped, back on the same ports, killed: and each time the process is really gone."""
    first = server.pid
    assert first is not None
    assert server.ready()
    server.restart()
    assert gone(first)
    second = server.pid
    assert second is not None
    assert second != first
    assert server.ready()
    server.kill()
    assert gone(second)
    assert not server.running
    with pytest.raises(OSError, match=r"refused|reset"):
        server.ready()


def otlp(name: str, unit: str, value: float, resource: dict[str, str]) -> bytes:
    """One monotonic sum with the attribute a="b", as OTLP's protobuf."""

    def attributes(pairs: dict[str, str]) -> list[KeyValue]:
        return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in pairs.items()]

    point = NumberDataPoint(as_double=value, time_unix_nano=time.time_ns(), attributes=attributes({"a": "b"}))
    total = Sum(data_points=[point], is_monotonic=True, aggregation_temporality=2)
    scope = ScopeMetrics(metrics=[Metric(name=name, unit=unit, sum=total)])
    whole = ResourceMetrics(resource=Resource(attributes=attributes(resource)), scope_metrics=[scope])
    return ExportMetricsServiceRequest(resource_metrics=[whole]).SerializeToString()


@pytest.fixture
def always(tmp_path: Path) -> Path:
    """A rule file with an alert that always fires."""
    path = tmp_path / "rules.yml"
    path.write_text("groups: [{name: test, rules: [{alert: Always, expr: vector(1)}]}]\n", encoding="utf-8")
    return path


@pytest.mark.servers
class TestEachServer:
    def test_otelcol_starts_restarts_and_ends(self, otelcol: Collector) -> None:
        assert get(otelcol.prometheus_url) == ""
        assert "otelcol_process_uptime_seconds_total" in get(otelcol.telemetry_url)
        ends(otelcol)

    def test_prometheus_3_starts_restarts_and_ends(self, prometheus: Prometheus) -> None:
        assert prometheus.query("vector(1)") == [({}, 1.0)]
        assert prometheus.query("1") == [({}, 1.0)]
        ends(prometheus)

    def test_promtool_runs(self, promtool: Path) -> None:
        done = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=True)
        assert "version 3" in done.stdout

    def test_mosquitto_starts_restarts_and_ends(self, mosquitto: Mosquitto) -> None:
        ends(mosquitto)

    def test_influxdb_keeps_its_data_over_a_restart(self, influxdb: InfluxDB) -> None:
        write = influxdb.create_database("home")
        post(write, "state,entity=light.a value=1 1000\nstate,entity=light.b value=2 2000\n")
        influxdb.restart()
        rows = influxdb.query("SELECT count(value) FROM state GROUP BY entity", "home")
        assert [(row["measurement"], row["entity"], row["count"]) for row in rows] == [
            ("state", "light.a", 1),
            ("state", "light.b", 1),
        ]
        with pytest.raises(ValueError, match="database not found"):
            influxdb.query("SELECT value FROM state", "nowhere")
        ends(influxdb)

    def test_victoria_metrics_shows_writes_at_once(self, victoria_metrics: VictoriaMetrics) -> None:
        post(victoria_metrics.write_url, "state,entity=light.a value=1\n")
        assert victoria_metrics.query("state_value") == [({"__name__": "state_value", "entity": "light.a"}, 1.0)]
        [(_, samples)] = victoria_metrics.export("state_value")
        assert [value for _, value in samples] == [1.0]
        assert 'vm_rows_inserted_total{type="influx"} 1' in victoria_metrics.metrics()
        ends(victoria_metrics)

    def test_victoria_metrics_refuses_a_whole_request_for_one_bad_line(self, victoria_metrics: VictoriaMetrics) -> None:
        with pytest.raises(RefusedError, match=r"HTTP 400: .*cannot \w+ influx line protocol"):
            post(victoria_metrics.write_url, "state,entity=light.a value=1\nnonsense\n")
        assert victoria_metrics.export("state_value") == []

    def test_victoria_metrics_has_the_same_names_and_labels_by_otlp_as_prometheus(
        self, victoria_metrics: VictoriaMetrics, prometheus: Prometheus
    ) -> None:
        resource = {"service.namespace": "home", "service.name": "test", "service.instance.id": "one", "x": "y"}
        body = otlp("homeassistant.test.events", "1", 3.0, resource)
        for store in (victoria_metrics, prometheus):
            post(f"{store.otlp_metrics_endpoint}", body, "application/x-protobuf")
        expected = {"__name__": "homeassistant_test_events_total", "job": "home/test", "instance": "one", "a": "b"}
        for store in (victoria_metrics, prometheus):
            query = 'homeassistant_test_events_total{a="b"}'
            [(labels, value)] = eventually(lambda store=store, query=query: store.query(query))
            assert value == 3.0
            assert {name: text for name, text in labels.items() if not name.startswith("otel_scope_")} == expected

    def test_victoria_metrics_takes_targets_before_it_starts_and_while_it_runs(
        self, make_victoria_metrics: MakeVictoriaMetrics
    ) -> None:
        store = make_victoria_metrics()
        store.scrape("ha-ingestor", store.address)
        store.start()
        store.scrape("of-the-test", store.address)
        up = eventually(lambda: store.query("up == 1"), lambda rows: len(rows) == 2)
        assert sorted((labels["job"], labels.get("via")) for labels, _ in up) == [
            ("ha-ingestor", "scrape"),
            ("of-the-test", None),
        ]

    def test_jaeger_keeps_its_traces_over_a_kill(self, jaeger: Jaeger) -> None:
        post(jaeger.otlp_traces_endpoint, spans([1, 2]).SerializeToString(), "application/x-protobuf")
        assert jaeger.trace("f" * 32) == []
        for _ in range(2):
            assert {span["spanID"][-1] for span in jaeger.trace(TRACE.hex())} == {"1", "2"}
            assert [span["operationName"] for span in jaeger.spans(SERVICE)] == [NAME, NAME]
            jaeger.kill()
            jaeger.start()
        ends(jaeger)

    def test_victoria_logs_shows_records_at_once_and_keeps_them_over_a_restart(
        self, victoria_logs: VictoriaLogs
    ) -> None:
        post(victoria_logs.otlp, records([1]).SerializeToString(), "application/x-protobuf")
        for _ in range(2):
            [record] = victoria_logs.query(f'trace_id:="{TRACE.hex()}"')
            assert (record["_msg"], record["span_id"], record["service.name"]) == (NAME, f"{1:016x}", SERVICE)
            victoria_logs.restart()
        ends(victoria_logs)

    def test_alertmanager_starts_restarts_and_ends(self, alertmanager: Alertmanager) -> None:
        alertmanager.send({"labels": {"alertname": "Test"}})
        [alert] = eventually(alertmanager.alerts)
        assert alert["labels"] == {"alertname": "Test"}
        ends(alertmanager)

    def test_amtool_refuses_a_receiver_that_does_not_exist(self, amtool: Path, tmp_path: Path) -> None:
        config = tmp_path / "alertmanager.yml"
        config.write_text("route: {receiver: nowhere}\n", encoding="utf-8")
        done = subprocess.run([amtool, "check-config", config], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert 'undefined receiver "nowhere"' in done.stdout + done.stderr

    def test_vmalert_sends_an_alert_and_writes_it_to_the_store(
        self,
        victoria_metrics: VictoriaMetrics,
        alertmanager: Alertmanager,
        make_vmalert: MakeVMAlert,
        always: Path,
    ) -> None:
        vmalert = make_vmalert(store=victoria_metrics.url, rules=[always], notifier=alertmanager.url).start()
        [alert] = eventually(alertmanager.alerts)
        assert alert["labels"]["alertname"] == "Always"
        assert eventually(lambda: victoria_metrics.query('ALERTS{alertstate="firing",alertname="Always"}'))
        assert [each["state"] for each in vmalert.alerts()] == ["firing"]
        ends(vmalert)

    def test_prometheus_sends_an_alert(
        self, make_prometheus: MakePrometheus, alertmanager: Alertmanager, always: Path
    ) -> None:
        prometheus = make_prometheus(rules=[always], alertmanager=alertmanager.target).start()
        [alert] = eventually(alertmanager.alerts)
        assert alert["labels"] == {"alertname": "Always"}
        assert [each["state"] for each in prometheus.alerts()] == ["firing"]

    def test_the_error_of_a_server_that_fails_to_start_shows_its_log(self, make_otelcol: MakeCollector) -> None:
        with pytest.raises(ServerError, match="limit_mib"):
            make_otelcol(variables={"OTELCOL_MEMORY_MIB": "much"}).start()

    def test_prometheus_takes_targets_before_it_starts_and_while_it_runs(
        self, make_prometheus: MakePrometheus, otelcol: Collector
    ) -> None:
        prometheus = make_prometheus([Scrape("otelcol", otelcol.telemetry_target)]).start()
        prometheus.scrape("of-the-test", prometheus.target)
        up = eventually(lambda: prometheus.query("up == 1"), lambda rows: len(rows) == 2)
        assert sorted(labels["job"] for labels, _ in up) == ["of-the-test", "otelcol"]


class TestPrometheusConfiguration:
    def test_a_known_job_keeps_the_settings_of_the_repositorys_file(self) -> None:
        [job] = for_test([Scrape("otelcol-exporter", "127.0.0.1:1"), Scrape("otelcol-exporter", "127.0.0.1:2")])[
            "scrape_configs"
        ]
        assert job["honor_labels"] is True
        assert job["static_configs"] == [{"targets": ["127.0.0.1:1", "127.0.0.1:2"], "labels": {"via": "collector"}}]

    def test_no_target_of_the_repositorys_file_is_scraped_by_a_test(self) -> None:
        assert "127.0.0.1:9464" in CONFIG.read_text(encoding="utf-8")
        assert for_test([])["scrape_configs"] == []


class TestPorts:
    def test_ports_given_one_after_the_other_differ(self) -> None:
        ports = [port for _ in range(200) for port in free_ports(4)]
        assert len(set(ports)) == len(ports)

    def test_ports_are_distinct_and_below_those_of_outgoing_connections(self) -> None:
        ports = free_ports(20)
        assert len(set(ports)) == 20
        assert max(ports) < 32_768


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes an executable that prints one text, in the only directory on PATH."""

    def make(name: str, prints: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare machine: an empty cache, no variables, and only the shell's programs on PATH."""
    for each in locate.PROGRAMS.values():
        monkeypatch.delenv(each.variable, raising=False)
    for name in ("sh", "cat"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setattr(locate, "_SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def reason(found: Path | Missing) -> str:
    assert isinstance(found, Missing)
    return found.reason


class TestFinding:
    @pytest.mark.usefixtures("bare")
    def test_a_missing_program_says_where_it_was_looked_for(self) -> None:
        assert reason(locate.find("otelcol")) == "otelcol: not on PATH, OTELCOL is not set; `make servers` gets it"

    @pytest.mark.usefixtures("bare")
    def test_a_variable_takes_precedence_over_path(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        program("mosquitto", "mosquitto version 2.0.22")
        own = program("my-broker", "mosquitto version 1.4.15")
        monkeypatch.setenv("MOSQUITTO", str(own))
        assert locate.find("mosquitto") == own

    @pytest.mark.usefixtures("bare")
    def test_a_variable_that_names_no_executable_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXD", "/nowhere/influxd")
        assert reason(locate.find("influxd")) == "INFLUXD=/nowhere/influxd names no executable file"

    @pytest.mark.parametrize(
        ("name", "old", "new", "objection"),
        [
            (
                "prometheus",
                "prometheus, version 2.42.0+ds",
                "prometheus, version 3.5.0 (branch: HEAD)",
                "is version 2.42 (3.5 or later is needed)",
            ),
            ("prometheus", "prometheus, version 3.4.2", "prometheus, version 4.0.0", "is version 3.4 (3.5 or"),
            ("promtool", "promtool, version 2.42.0+ds", "promtool, version 3.16.0", "is version 2.42 (3.5 or later"),
            (
                "victoria-metrics",
                "",  # Debian's 1.79
                "victoria-metrics-20260625-141912-tags-v1.145.0-0-g0123456789",
                "states no version (1.145 or later is needed)",
            ),
            (
                "victoria-metrics",
                "victoria-metrics-20220713-132457-tags-v1.79.0-0-g0123456789",
                "victoria-metrics-v1.150.0",
                "is version 1.79 (1.145 or later is needed)",
            ),
            (
                "vmalert",
                "vmalert-20220713-132457-tags-v1.79.0-0-g0123456789",
                "vmalert-20261015-101010-tags-v1.150.0-0-g0123456789",
                "is version 1.79 (1.145 or later is needed)",
            ),
            ("alertmanager", "alertmanager, version 0.25.0", "alertmanager, version 0.34.2", "is version 0.25 (0.34"),
            ("amtool", "amtool, version 0.25.0", "amtool, version 0.34.2", "is version 0.25 (0.34 or later"),
            ("thanos", "thanos, version 0.39.2", "thanos, version 0.42.0", "is version 0.39 (0.42 or later"),
            ("chromium", "Chromium 90.0.4430.212", "Chromium 156.0.8078.108", "is version 90.0 (120.0 or later"),
            ("mosquitto", "mosquitto version 1.6.12", "mosquitto version 2.0.11", "is version 1.6 (2.0 or later"),
            (
                "influxd",
                "InfluxDB v2.7.11 (git: fbf5d4ab5e)",
                "InfluxDB v1.8.10 (git: unknown)",
                "is version 2.7 (1.6 or later, below 2.0 is needed)",
            ),
            (
                "otelcol",
                "exporters:\n - name: otlp\nextensions:\n - name: file_storage\nprocessors:\n - name: filter",
                "exporters:\n - name: otlp_http\nextensions:\n - name: file_storage\nprocessors:\n - name: filter",
                "lacks the components otlp_http",
            ),
            (
                "jaeger",  # version 1
                '{"gitCommit":"","gitVersion":"v1.76.0","buildDate":""}',
                '{"gitCommit":"","gitVersion":"v2.14.1","buildDate":""}',
                "is version 1.76 (2.13 or later is needed)",
            ),
            (
                "victoria-logs",
                "victoria-logs-20250116-182407-tags-v1.51.0-0-g0123456789",
                "victoria-logs-v1.52.1",
                "is version 1.51 (1.52 or later is needed)",
            ),
        ],
    )
    @pytest.mark.usefixtures("bare")
    def test_an_unsuitable_version_on_path_is_passed_over_with_the_reason(
        self, program: Program, name: str, old: str, new: str, objection: str
    ) -> None:
        path = program(name, old)
        assert f"{name}: {path} {objection}" in reason(locate.find(name))
        program(name, new)
        assert locate.find(name) == path

    @pytest.mark.usefixtures("bare")
    def test_the_built_server_is_used_instead_of_an_old_one_on_path(self, program: Program) -> None:
        program("victoria-metrics", "victoria-metrics-20220713-132457-tags-v1.79.0-0-g0123456789")
        built = locate.directory("victoria-metrics") / "victoria-metrics"
        built.parent.mkdir(parents=True)
        built.write_text("", encoding="utf-8")
        assert locate.find("victoria-metrics") == built

    @pytest.mark.usefixtures("bare")
    def test_a_program_that_cannot_be_run_is_passed_over(self, program: Program) -> None:
        path = program("mosquitto", "")
        path.write_text("#!/nowhere/interpreter\n", encoding="utf-8")
        assert f"mosquitto: {path} cannot be run" in reason(locate.find("mosquitto"))

    def test_the_versions_that_are_built_suit(self) -> None:
        """Each recipe's version is one that would be accepted on PATH."""
        prometheus, others = ("prometheus", "promtool"), ("alertmanager", "amtool", "thanos", "jaeger")
        for name in (*prometheus, *others, "victoria-metrics", "vmalert", "victoria-logs"):
            recipe = locate.SERVERS[locate.PROGRAMS[name].server]
            assert isinstance(recipe, GoBuild)
            stated = recipe.ldflags.rpartition("Version=")[2]
            assert locate.PROGRAMS[name].needs.objection(f"{name}, version {stated}") is None

    def test_a_changed_comment_in_the_manifest_causes_no_rebuild(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest = tmp_path / "builder.yaml"
        monkeypatch.setattr(locate, "MANIFEST", manifest)
        manifest.write_text("dist:\n  name: otelcol # ours\n", encoding="utf-8")
        before = locate.directory("otelcol")
        manifest.write_text("# why\ndist:\n\n  name: otelcol\n", encoding="utf-8")
        assert locate.directory("otelcol") == before
        manifest.write_text("dist:\n  name: another\n", encoding="utf-8")
        assert locate.directory("otelcol") != before

    @pytest.mark.usefixtures("bare")
    def test_a_missing_server_skips_on_a_users_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="OTELCOL is not set"):
            needed("otelcol")

    @pytest.mark.usefixtures("bare")
    def test_a_missing_server_fails_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="OTELCOL is not set"):
            needed("otelcol")


RECIPE = GoBuild("example.org/nowhere", "v1.0.0", packages=("cmd/server",), go=(1, 25), minutes="no time")


def fake_go(program: Program, then: str, recipe: GoBuild = RECIPE) -> None:
    """A Go that is new enough, has the module, and runs a script instead of building into $out."""
    go = program("go", "")
    module = go.parent / "module.zip"
    with zipfile.ZipFile(module, "w") as archive:
        archive.writestr(f"{recipe.module}@{recipe.version}/go.mod", "")
    downloaded = json.dumps({"Zip": str(module)})
    script = f"""#!/bin/sh
[ "$1" = env ] && echo go1.26.0 && exit
[ "$1" = mod ] && echo '{downloaded}' && exit
for each; do [ "$last" = -o ] && out=$each; last=$each; done
{then}
"""
    go.write_text(script, encoding="utf-8")


def recipe_of(name: str) -> GoBuild:
    recipe = locate.SERVERS[name]
    assert isinstance(recipe, GoBuild)
    return recipe


class TestInstalling:
    def test_it_needs_only_the_standard_library(self, tmp_path: Path) -> None:
        script = locate.ROOT / "tests" / "servers" / "install.py"
        command = [sys.executable, "-I", "-S", str(script), "--list"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line.split()[0] for line in done.stdout.splitlines()] == list(locate.PROGRAMS)

    @pytest.mark.usefixtures("bare")
    def test_without_go_it_says_so(self) -> None:
        assert reason(build.build("prometheus", RECIPE)) == "it is built with Go, and there is no `go` on PATH"

    @pytest.mark.usefixtures("bare")
    def test_with_a_go_that_is_too_old_it_says_which_version_it_needs(self, program: Program) -> None:
        program("go", "go1.19.8")
        assert reason(build.build("prometheus", RECIPE)) == "it needs Go 1.25 or later, and `go` is 1.19"

    @pytest.mark.usefixtures("bare")
    def test_a_build_that_fails_leaves_its_log_and_nothing_else(self, program: Program) -> None:
        fake_go(program, "echo half > $out/prometheus; echo no such module; exit 3")
        locate.cache().mkdir(parents=True)
        log = locate.cache() / "prometheus.log"
        assert (
            reason(build.build("prometheus", RECIPE)) == f"the build failed (exit 3); {log} ends with: no such module"
        )
        assert list(locate.cache().iterdir()) == [log]

    @pytest.mark.usefixtures("bare")
    def test_leftovers_of_a_killed_run_are_removed(self) -> None:
        left = locate.cache() / ".building-otelcol-abc"
        left.mkdir(parents=True)
        build.sweep()
        assert not left.exists()

    @pytest.mark.usefixtures("bare")
    def test_a_built_server_is_found_and_not_built_again(
        self, program: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake_go(program, "echo built > $out/prometheus; echo built > $out/promtool", recipe_of("prometheus"))
        assert install.main(["prometheus", "--strict"]) == 0
        assert "built in" in capsys.readouterr().out
        assert install.main(["prometheus", "--strict"]) == 0
        assert capsys.readouterr().out == f"prometheus: {locate.find('prometheus')}, {locate.find('promtool')}\n"

    @pytest.mark.usefixtures("bare")
    def test_an_earlier_build_that_lacks_a_program_is_replaced(self, program: Program) -> None:
        earlier = locate.directory("victoria-metrics") / "victoria-metrics"
        earlier.parent.mkdir(parents=True)
        earlier.write_text("earlier", encoding="utf-8")
        built = "for each in victoria-metrics vmalert vmalert-tool; do echo built > $out/$each; done"
        fake_go(program, built, recipe_of("victoria-metrics"))
        assert install.main(["victoria-metrics", "--strict"]) == 0
        assert earlier.read_text(encoding="utf-8") == "built\n"
        assert locate.find("vmalert") == earlier.with_name("vmalert")

    @pytest.mark.usefixtures("bare")
    def test_files_that_a_module_lacks_are_added(self, program: Program) -> None:
        fake_go(program, "cat ui/app/dist/index.html; test -f go.mod || exit 4; exit 3", recipe_of("alertmanager"))
        locate.cache().mkdir(parents=True)
        assert "only its API.</p>" in reason(build.build("alertmanager", recipe_of("alertmanager")))

    @pytest.mark.usefixtures("bare")
    def test_a_module_that_cannot_be_downloaded_is_reported_in_one_line(self, program: Program) -> None:
        answer = '{"Error": "example.org/nowhere@v1.0.0: reading proxy: 404 Not Found"}'
        go = program("go", "")
        go.write_text(f"#!/bin/sh\n[ $1 = env ] && echo go1.26.0 || echo '{answer}'\n", encoding="utf-8")
        locate.cache().mkdir(parents=True)
        assert reason(build.build("prometheus", RECIPE)) == (
            "the download failed: example.org/nowhere@v1.0.0: reading proxy: 404 Not Found"
        )

    @pytest.mark.parametrize(
        ("arguments", "ci", "expected"),
        [
            ([], "", locate.USUAL),
            (["--all"], "", tuple(locate.SERVERS)),
            ([], "true", tuple(locate.SERVERS)),
            (["mosquitto"], "true", ("mosquitto",)),
        ],
    )
    @pytest.mark.usefixtures("bare")
    def test_alertmanager_thanos_and_chromium_are_for_ci_and_for_those_who_ask(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        ci: str,
        expected: tuple[str, ...],
    ) -> None:
        monkeypatch.setenv("CI", ci)
        assert install.main(arguments) == 0
        said = capsys.readouterr().out
        assert tuple(name for name in locate.SERVERS if f"{name}: not available" in said) == expected

    @pytest.mark.usefixtures("bare")
    def test_a_missing_server_names_the_command_that_gets_it(self) -> None:
        assert "`make servers` gets it" in reason(locate.find("vmalert"))
        assert "`make servers ALL=1` gets it" in reason(locate.find("amtool"))

    @pytest.mark.usefixtures("bare")
    def test_an_unavailable_server_is_reported_and_the_others_are_installed(
        self, program: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broker = program("mosquitto", "mosquitto version 2.0.22")
        assert install.main(["otelcol", "influxdb", "mosquitto"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("otelcol: not available: it is built with Go, and there is no `go` on PATH.")
        assert said[1].startswith(
            "influxdb: not available: it is installed from Debian packages, and there is no apt-get."
        )
        assert said[2] == f"mosquitto: {broker}"
        assert install.main(["otelcol", "--strict"]) == 1
