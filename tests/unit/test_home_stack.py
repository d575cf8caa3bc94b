"""The home stack: the program, the compose file and the page use the same flags, and a mistake is one clear line."""

import re
import shlex
import socket
from pathlib import Path

import pytest
import yaml

from examples.stack import commands
from examples.stack.__main__ import check, parser
from examples.stack.commands import Addresses
from examples.stack.parts import Settings, StackError
from tests.pages import ROOT
from tests.servers.flags import CONFIG
from tests.servers.flags import SCRAPE as SCRAPE_FILE

COMPOSE = yaml.safe_load((CONFIG / "compose-home.yaml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "stacks" / "home.md").read_text(encoding="utf-8")
SCRAPE = yaml.safe_load(SCRAPE_FILE.read_text(encoding="utf-8"))


def flags() -> dict[str, list[str]]:
    """The program's flags, with paths that begin at collector-config, and data in a folder of its own."""
    at = Addresses()
    found = {
        "victoria-metrics": commands.victoria_metrics(at, Path("DATA"), SCRAPE_FILE),
        "vmalert": commands.vmalert(at, commands.RULES),
        "alertmanager": commands.alertmanager(at, Path("DATA"), commands.ALERTMANAGER),
        "victoria-logs": commands.victoria_logs(at, Path("DATA")),
    }
    return {name: [flag.replace(f"{CONFIG}/", "") for flag in each] for name, each in found.items()}


@pytest.mark.parametrize("name", ["victoria-metrics", "vmalert", "alertmanager", "victoria-logs"])
class TestFlags:
    def test_the_compose_file_has_the_same(self, name: str) -> None:
        service = COMPOSE["services"][name]
        mounts = dict(volume.split(":")[1::-1] for volume in service["volumes"])
        inside = service["command"]
        for target, source in mounts.items():
            path = source.removeprefix("./") if "/" in source else "DATA"
            inside = [flag.replace(f"={target}", f"={path}") for flag in inside]
        assert inside == flags()[name]

    def test_the_page_has_the_same(self, name: str) -> None:
        [block] = re.findall(rf"^    {name} ((?:[^\\\n]|\\\n)*)$", PAGE, flags=re.MULTILINE)
        shown = [re.sub(r"data/[\w-]+", "DATA", flag) for flag in shlex.split(block.replace("\\\n", " "))]
        assert shown == flags()[name]


def test_traces_and_logs_have_the_ports_of_the_files_and_go_where_the_page_says() -> None:
    at = Addresses()
    jaeger = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", commands.JAEGER.read_text(encoding="utf-8")))
    given = commands.jaeger_variables(at, Path("DATA"))
    assert {name: port for name, port in given.items() if name.endswith("_PORT")} == {
        name: port for name, port in jaeger.items() if name.endswith("_PORT")
    }
    page = (ROOT / "docs" / "how-to" / "traces-and-logs.md").read_text(encoding="utf-8")
    section = page.partition("## In the home stack")[2].partition("\n## ")[0]
    assert dict(re.findall(r"\b(OTEL_\w+)=(\S+)", section)) == commands.service_variables(at, traces_logs=True)


def test_the_tests_servers_know_nothing_of_the_stack() -> None:
    modules = list((ROOT / "tests" / "servers").glob("*.py"))
    assert modules
    assert not [path.name for path in modules if re.search(r"(from|import) examples", path.read_text(encoding="utf-8"))]


class TestAddresses:
    def test_the_scraped_targets_are_where_the_parts_listen(self) -> None:
        targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in SCRAPE["scrape_configs"]}
        at = Addresses()
        assert targets == {
            "ha-ingestor": [at.service],
            "victoria-metrics": [at.victoria_metrics],
            "vmalert": [at.vmalert],
            "alertmanager": [at.alertmanager],
        }

    def test_other_addresses_replace_each_of_them(self) -> None:
        addresses = [f"127.0.0.1:{number}" for number in range(1, len(vars(Addresses())) + 1)]
        text = Addresses(*addresses).in_text(" ".join(vars(Addresses()).values()))
        assert text.split() == addresses

    def test_nothing_is_open_to_the_network(self) -> None:
        listens = [flag for each in flags().values() for flag in each if re.match(r"-+(httpListen|web.listen)", flag)]
        assert len(listens) == 4
        assert all("127.0.0.1:" in flag for flag in listens)


KEEP = re.compile("|".join(SCRAPE["scrape_configs"][1]["metric_relabel_configs"][0]["regex"]))


class TestOwnMetrics:
    @pytest.mark.parametrize("path", sorted(CONFIG.glob("prometheus/otel_ha*.yml")), ids=lambda path: path.name)
    def test_each_one_that_a_rule_reads_is_kept(self, path: Path) -> None:
        read = set(re.findall(r"\b(?:vm|vmalert|alertmanager)_[a-z_]+", path.read_text(encoding="utf-8")))
        assert [name for name in sorted(read) if not KEEP.fullmatch(name)] == []

    def test_those_of_each_rule_are_not_kept(self) -> None:
        assert not KEEP.fullmatch("vmalert_recording_rules_errors_total")
        assert not KEEP.fullmatch("flag")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that lack nothing."""
    (tmp_path / "alertmanager.yml").touch()
    (tmp_path / "otel_ha.rules.yml").touch()
    nothing = Addresses(*(["127.0.0.1:0"] * len(vars(Addresses()))))
    return Settings(nothing, tmp_path / "alertmanager.yml", tmp_path / "otel_ha*.yml")


class TestPaths:
    def test_a_relative_path_is_one_of_the_folder_where_the_command_is_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given = parser().parse_args(["--rules=rules/*.yml", "--alertmanager-config=alertmanager.yml"])
        assert given.rules == tmp_path / "rules" / "*.yml"
        assert given.alertmanager_config == tmp_path / "alertmanager.yml"


class TestMistakes:
    def test_complete_settings_pass(self, settings: Settings) -> None:
        check(settings)

    def test_a_port_that_is_taken_is_named_with_its_use_and_the_remedy(self, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            at = Addresses("127.0.0.1:0", f"127.0.0.1:{port}", "127.0.0.1:0", "127.0.0.1:0")
            with pytest.raises(StackError) as error:
                check(Settings(at, settings.alertmanager_config, settings.rules))
        assert str(error.value) == (
            f"port {port} of victoria-metrics cannot be opened (Address already in use); end the program that uses it, "
            "or give --free-ports (make stack ARGS=--free-ports)"
        )

    def test_a_missing_configuration_is_named(self, settings: Settings, tmp_path: Path) -> None:
        with pytest.raises(StackError, match=r"there is no file .*/none\.yml; give --alertmanager-config FILE"):
            check(Settings(settings.at, tmp_path / "none.yml", settings.rules))

    def test_rules_that_match_no_file_are_named(self, settings: Settings, tmp_path: Path) -> None:
        with pytest.raises(StackError, match=r"no file matches .*/none\*\.yml; give --rules GLOB"):
            check(Settings(settings.at, settings.alertmanager_config, tmp_path / "none*.yml"))
