"""The compose files: checked against the specification, the files beside them and the servers of the tests."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.locate import MANIFEST, ROOT, SERVERS, GoBuild

FOLDER = ROOT / "collector-config"
FILES = sorted(FOLDER.glob("compose*.yaml"))
# A file that is given after another one, and adds to it.
ADDS_TO = {"compose-traces-logs.yaml": "compose.yaml"}
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")
# The server of the tests whose version an image must have.
TESTED = {
    "jaegertracing/jaeger": "jaeger",
    "prom/alertmanager": "alertmanager",
    "prom/prometheus": "prometheus",
    "quay.io/thanos/thanos": "thanos",
    "victoriametrics/victoria-logs": "victoria-logs",
    "victoriametrics/victoria-metrics": "victoria-metrics",
    "victoriametrics/vmalert": "victoria-metrics",
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def whole(path: Path) -> dict[str, Any]:
    """A file as compose sees it: what it adds to another file is part of that one's services and volumes."""
    own = load(path)
    if path.name not in ADDS_TO:
        return own
    base = load(FOLDER / ADDS_TO[path.name])
    merged = dict(base["services"])
    for name, service in own["services"].items():
        before = merged.get(name, {})
        joined = {
            "environment": {**environment(before), **environment(service)},
            "volumes": [*before.get("volumes", []), *service.get("volumes", [])],
        }
        merged[name] = {**before, **service, **joined}
    return {**base, **own, "services": merged, "volumes": {**base["volumes"], **own["volumes"]}}


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = whole(path)["services"]
    return found


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """The (source, target) pairs of a service."""
    return [(each.split(":")[0], each.split(":")[1]) for each in service.get("volumes", [])]


def environment(service: dict[str, Any]) -> dict[str, str]:
    """As names and values, whichever of compose's two ways it is written in."""
    given = service.get("environment", {})
    if isinstance(given, dict):
        return {name: str(value) for name, value in given.items()}
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def tag_of_tests(image: str) -> str | None:
    """The tag that an image must have, or None if no test runs the program."""
    if image.startswith("otel/"):
        return str(load(MANIFEST)["dist"]["version"])
    recipe = SERVERS.get(TESTED.get(image, ""))
    if not isinstance(recipe, GoBuild):
        return None
    # Prometheus 3.16.0 and Jaeger 2.13.0 have other versions as Go modules.
    return {"v0.316.0": "v3.16.0", "v1.76.0": "2.13.0"}.get(recipe.version, recipe.version)


def outside(address: str) -> bool:
    return not address.startswith(("127.0.0.1:", "${FLEET_LISTEN:-127.0.0.1}:"))


def check(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Check against the schema of the Compose Specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_files_follow_the_compose_specification():
    done = check(*FILES)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"), [("restart:", "restrat:"), ("cap_drop: [ALL]", "cap_drop: ALL"), ("services:", "servces:")]
)
def test_a_mistake_in_a_file_is_found(tmp_path, right, wrong):
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong), encoding="utf-8")
    assert check(tmp_path / "compose.yaml").returncode == 1


@each_file
def test_every_image_is_pinned_to_a_version(path):
    images = [service["image"] for service in services(path).values()]
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image)] == []


@each_file
def test_images_are_the_versions_that_the_tests_run(path):
    images = [service["image"].rpartition(":") for service in services(path).values()]
    wrong = {name: tag for name, _, tag in images if (tag_of_tests(name) or tag) != tag}
    assert wrong == {}


@each_file
def test_every_mounted_path_exists_and_every_volume_is_declared_and_used(path):
    sources = {source for service in services(path).values() for source, _ in mounts(service)}
    beside = {source for source in sources if source.startswith(".")}
    assert [source for source in beside if not (FOLDER / source).exists()] == []
    assert sources - beside == set(whole(path)["volumes"])


@each_file
def test_every_configuration_that_a_command_names_is_mounted(path):
    for service in services(path).values():
        named = re.findall(r"(?<==)/etc/[\w./*-]+", " ".join(service.get("command", [])))
        placed = {target: FOLDER / source for source, target in mounts(service)}
        for name in named:
            target = next(target for target in placed if name == target or name.startswith(f"{target}/"))
            pattern = name.removeprefix(target).removeprefix("/")
            assert list(placed[target].glob(pattern)) if pattern else placed[target].is_file(), name


@each_file
def test_nothing_is_published_beyond_loopback_unless_the_user_says_so(path):
    for name, service in services(path).items():
        if service.get("network_mode") != "host":
            assert [port for port in service.get("ports", []) if outside(port)] == [], name
            continue
        settings = [*service.get("command", []), *environment(service).values()]
        assert "ports" not in service
        addresses = [found for each in settings for found in re.findall(r"[\d.]+:\d{2,5}\b", each)]
        assert [address for address in addresses if outside(address)] == [], name


@each_file
def test_variables_of_a_collector_are_those_of_its_configuration(path):
    for service in services(path).values():
        if not service["image"].startswith("otel/"):
            continue
        [config] = [source for source, _ in mounts(service) if source.startswith(".")]
        used = {name for name, _ in VARIABLE.findall((FOLDER / config).read_text(encoding="utf-8"))}
        assert set(environment(service)) <= used


def test_only_stores_and_brokers_of_the_standard_stack_wait_for_a_profile():
    always = [name for name, service in services(FOLDER / "compose.yaml").items() if "profiles" not in service]
    assert always == ["otelcol", "prometheus", "alertmanager", "grafana"]


def test_traces_and_logs_are_the_same_servers_in_the_home_and_in_the_standard_stack():
    added, home = load(FOLDER / "compose-traces-logs.yaml"), load(FOLDER / "compose-home.yaml")
    for name, profile in (("jaeger", "traces"), ("victoria-logs", "logs")):
        assert home["services"][name] == {**added["services"][name], "profiles": [profile]}


def test_the_collector_of_the_standard_stack_pushes_to_where_traces_and_logs_are_taken():
    stack = services(FOLDER / "compose-traces-logs.yaml")
    upstreams = environment(stack["otelcol"])
    jaeger = dict(VARIABLE.findall((FOLDER / "jaeger" / "jaeger.yaml").read_text(encoding="utf-8")))
    [logs] = [flag for flag in stack["victoria-logs"]["command"] if flag.startswith("-httpListenAddr=")]
    assert upstreams["OTELCOL_TRACES_UPSTREAM"] == f"http://127.0.0.1:{jaeger['JAEGER_OTLP_HTTP_PORT']}"
    assert upstreams["OTELCOL_LOGS_UPSTREAM"] == f"http://{logs.partition('=')[2]}/insert/opentelemetry"
    assert environment(stack["grafana"])["JAEGER_URL"] == f"http://127.0.0.1:{jaeger['JAEGER_HTTP_PORT']}"
    assert environment(stack["grafana"])["VICTORIA_LOGS_URL"] == f"http://{logs.partition('=')[2]}"


def test_no_port_of_jaeger_is_one_of_the_collectors():
    ports = [
        {default for _, default in VARIABLE.findall((FOLDER / path).read_text(encoding="utf-8")) if default.isdigit()}
        for path in ("jaeger/jaeger.yaml", "otelcol/agent.yaml", "otelcol/agent-fleet.yaml")
    ]
    assert ports[0] & (ports[1] | ports[2]) == set()


def test_receivers_of_the_fleet_differ_only_in_their_replica_and_address():
    fleet = services(FOLDER / "compose-fleet.yaml")
    own = [
        ["receive"] + [each.replace(f"receive-{n}:", "receive-N:").replace(f'"{n}"', '"N"') for each in command[1:]]
        for n, command in ((n, fleet[f"receive-{n}"]["command"]) for n in (1, 2, 3))
    ]
    assert own[0] == own[1] == own[2]
    assert '--label=replica="N"' in own[0]
    assert "--receive.local-endpoint=receive-N:10901" in own[0]


def test_the_hashring_and_the_querier_have_every_receiver_of_the_fleet():
    receivers = [f"{name}:10901" for name in services(FOLDER / "compose-fleet.yaml") if name.startswith("receive")]
    [hashring] = yaml.safe_load((FOLDER / "thanos" / "hashring.json").read_text(encoding="utf-8"))
    asked = [each["address"] for each in load(FOLDER / "thanos" / "endpoints.yml")["endpoints"]]
    assert hashring["endpoints"] == receivers == asked[:3]


def test_gateways_are_published_where_the_agent_looks_for_them_by_default():
    fleet = services(FOLDER / "compose-fleet.yaml")
    published = [fleet[name]["ports"][0].split(":")[-2] for name in ("gateway-1", "gateway-2")]
    defaults = dict(VARIABLE.findall((FOLDER / "otelcol" / "agent-fleet.yaml").read_text(encoding="utf-8")))
    assert defaults["OTELCOL_GATEWAYS"] == f"[{', '.join(f'127.0.0.1:{port}' for port in published)}]"


@pytest.mark.parametrize("name", ["receive", "store", "compact", "query", "rule"])
def test_the_page_on_the_fleet_has_the_commands_of_the_compose_file(name):
    page = (ROOT / "docs" / "stacks" / "fleet.md").read_text(encoding="utf-8").replace("\\\n", " ")
    [shown] = re.findall(rf"^ +thanos ({name} .*)$", page, re.MULTILINE)
    fleet = services(FOLDER / "compose-fleet.yaml")
    # Containers have paths of their own.
    paths = re.compile(r"^(--[\w.-]*(?:path|dir|file))=.*$")
    command = next(service["command"] for part, service in fleet.items() if part.startswith(name))
    assert [paths.sub(r"\1", each) for each in shlex.split(shown)] == [paths.sub(r"\1", each) for each in command]


class TestGrafana:
    provisioning = FOLDER / "grafana" / "provisioning"

    always = provisioning / "datasources" / "otel-ha.yaml"
    traces_logs = FOLDER / "grafana" / "traces-logs.yaml"

    def sources(self):
        both = [*load(self.always)["datasources"], *load(self.traces_logs)["datasources"]]
        return {source["uid"]: source for source in both}

    def test_dashboards_find_their_data_source(self):
        assert {uid: source["type"] for uid, source in self.sources().items()} == {
            "prometheus": "prometheus",
            "alertmanager": "alertmanager",
            "jaeger": "jaeger",
            "victoria-logs": "victoriametrics-logs-datasource",
        }

    def test_an_exemplar_leads_to_its_trace_a_trace_to_its_logs_and_a_log_record_to_its_trace(self):
        settings = {uid: source.get("jsonData", {}) for uid, source in self.sources().items()}
        [exemplar] = settings["prometheus"]["exemplarTraceIdDestinations"]
        assert (exemplar["name"], exemplar["datasourceUid"]) == ("trace_id", "jaeger")
        to_logs = settings["jaeger"]["tracesToLogsV2"]
        # Grafana takes $$ for a dollar sign.
        assert (to_logs["customQuery"], to_logs["query"]) == (True, 'trace_id:="$${__span.traceId}"')
        assert to_logs["datasourceUid"] == "victoria-logs"
        [to_trace] = settings["victoria-logs"]["derivedFields"]
        assert (to_trace["matcherType"], to_trace["matcherRegex"]) == ("label", "trace_id")
        assert (to_trace["url"], to_trace["datasourceUid"]) == ("$${__value.raw}", "jaeger")

    @pytest.mark.parametrize("name", ["compose.yaml", "compose-fleet.yaml", "compose-traces-logs.yaml"])
    def test_compose_mounts_every_file_and_sets_its_variables(self, name):
        grafana = services(FOLDER / name)["grafana"]
        mounted = [(FOLDER / source, target) for source, target in mounts(grafana) if "provisioning" in target]
        files = {
            f"{target}/{file.name}" if path.is_dir() else target: file
            for path, target in mounted
            for file in (path.glob("*.yaml") if path.is_dir() else [path])
        }
        expected = {
            f"/etc/grafana/{path.relative_to(self.provisioning.parent)}" for path in self.provisioning.rglob("*.yaml")
        }
        extra = {"/etc/grafana/provisioning/datasources/traces-logs.yaml"} if name in ADDS_TO else set()
        assert set(files) == expected | extra
        text = "".join(path.read_text(encoding="utf-8") for path in files.values())
        assert set(re.findall(r"(?<!\$)\$(\w+)", text)) <= set(environment(grafana))

    @pytest.mark.parametrize("name", ["compose.yaml", "compose-fleet.yaml", "compose-traces-logs.yaml"])
    def test_compose_mounts_the_dashboards(self, name):
        grafana = services(FOLDER / name)["grafana"]
        assert ("./grafana/dashboards", environment(grafana)["GRAFANA_DASHBOARDS"]) in mounts(grafana)
