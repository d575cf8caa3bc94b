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
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")
# The server of the tests whose version an image must have.
TESTED = {
    "prom/alertmanager": "alertmanager",
    "prom/prometheus": "prometheus",
    "quay.io/thanos/thanos": "thanos",
    "victoriametrics/victoria-metrics": "victoria-metrics",
    "victoriametrics/vmalert": "victoria-metrics",
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(path)["services"]
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
    # Prometheus 3.16.0 is v0.316.0 as a Go module.
    return "v3.16.0" if recipe.version == "v0.316.0" else recipe.version


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
    assert sources - beside == set(load(path)["volumes"])


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

    def test_dashboards_find_their_data_source(self):
        sources = load(self.provisioning / "datasources" / "otel-ha.yaml")["datasources"]
        assert {source["uid"]: source["type"] for source in sources} == {
            "prometheus": "prometheus",
            "alertmanager": "alertmanager",
        }

    @pytest.mark.parametrize("name", ["compose.yaml", "compose-fleet.yaml"])
    def test_compose_sets_every_variable_and_mounts_the_dashboards(self, name):
        grafana = services(FOLDER / name)["grafana"]
        texts = [path.read_text(encoding="utf-8") for path in self.provisioning.rglob("*.yaml")]
        assert {variable for text in texts for variable in re.findall(r"\$(\w+)", text)} <= set(environment(grafana))
        folders = [folder.name for folder in self.provisioning.iterdir()]
        assert {(f"./grafana/provisioning/{name}", f"/etc/grafana/provisioning/{name}") for name in folders} <= set(
            mounts(grafana)
        )
        assert ("./grafana/dashboards", environment(grafana)["GRAFANA_DASHBOARDS"]) in mounts(grafana)
