"""The page on troubleshooting: its commands print the output that it shows, and the names in it exist."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.vocabulary import ha_ingestor, ingest, runtime
from tests.pages import ROOT, appears, blocks, run
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually, free_ports

PAGE = ROOT / "docs" / "troubleshooting.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))
SERVICE = """
import logging, sys
from otel_ha import setup_telemetry
from otel_ha.vocabulary import ingest
logging.basicConfig()
with setup_telemetry("acme"):
    for number in range(20):
        ingest.RECEIVED.add(1, source=f"source {number}")
    print("ready", flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Trouble:
    """A section, the settings that bring its trouble about, and whether somebody else has the port."""

    section: str
    settings: dict[str, str] = field(default_factory=dict)
    taken: bool = False

    def __str__(self) -> str:
        return self.section


TROUBLES = [
    Trouble("No endpoint", {"OTEL_HA_ENDPOINT_SERVER": "false"}),
    Trouble("Port taken", taken=True),
    Trouble(
        "Pushes fail",
        {
            "OTEL_METRICS_EXPORTER": "otlp,prometheus",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        },
    ),
    Trouble("`_OTHER` and overflow"),
    Trouble("Host metrics look wrong"),
    Trouble("Several processes"),
    Trouble("Passwords and TLS", {"OTEL_HA_ENDPOINT_USERNAME": "prometheus", "OTEL_HA_ENDPOINT_PASSWORD": "secret"}),
    Trouble("Probes"),
    Trouble("Status page"),
    Trouble("Host not allowed"),
]


@contextmanager
def troubled(trouble: Trouble, port: str, log: Path, replaced: dict[str, str]) -> Iterator[None]:
    """A service in trouble."""
    values = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": port, **trouble.settings}
    for old, new in replaced.items():
        values = {name: value.replace(old, new) for name, value in values.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with ExitStack() as held:
        if trouble.taken:
            held.enter_context(socket.create_server((HOST, int(port))))
        errors = held.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE],
            cwd=ROOT,
            env={**inherited, **values, "OTEL_HA_SHUTDOWN_TIMEOUT": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with process:
            assert process.stdout.readline() == b"ready\n"
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(20)


def ask(command: str) -> str:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=30).stdout


def parts(section: str) -> list[tuple[str, str, str]]:
    """The mark before it, the language and the text of each block of a section."""
    return re.findall(r"(<!-- log -->\n\n)?^```(sh|text)\n(.*?)^```", SECTIONS[section], re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_the_commands_of_a_section_say_what_it_shows(trouble, tmp_path):
    if not all(map(shutil.which, ("curl", "ss"))):
        pytest.skip("curl or ss is not here")
    port, receiver = map(str, free_ports(2))
    replaced = {"9464": port, "4318": receiver}
    log = tmp_path / "log"
    command = ""
    with troubled(trouble, port, log, replaced):
        for is_log, language, block in parts(trouble.section):
            for old, new in replaced.items():
                block = block.replace(old, new)  # noqa: PLW2901 - the same block, for the ports of this test
            if language == "sh":
                command = block
                output = ask(command)
            elif is_log:
                eventually(lambda block=block: appears(log.read_text(encoding="utf-8"), block))
            else:
                eventually(lambda block=block, command=command: appears(ask(command), block))
    if trouble.section == "No endpoint":
        assert len(output.splitlines()) == 1
    if trouble.section == "Host metrics look wrong":
        assert int(output) > 5


def test_the_first_two_commands_work(tmp_path):
    (port,) = map(str, free_ports(1))
    health, problems = blocks(PAGE, "sh")[:2]
    with troubled(Trouble(""), port, tmp_path / "log", {}):
        assert '"status": "ok"' in ask(health.replace("9464", port))
        assert 'otel_ha_problem_reason="budget_exceeded"' in ask(problems.replace("9464", port))


@pytest.mark.parametrize("number", range(3))
def test_each_python_block_is_a_program(number):
    assert len(blocks(PAGE)) == 3
    run(blocks(PAGE)[number])


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_prometheus_says_that_it_does_not_reach_the_service(make_prometheus, promtool):
    (port,) = map(str, free_ports(1))
    prometheus = make_prometheus([Scrape("my-service", f"{HOST}:{port}")]).start()
    (_, _, command), (_, _, expected) = parts("No data in Prometheus")
    command = command.replace("http://127.0.0.1:9090", prometheus.url).replace("promtool", str(promtool), 1)
    eventually(lambda: appears(ask(command), expected.replace("9464", port)))


@pytest.mark.servers
def test_prometheus_takes_the_settings_for_tls(promtool, tmp_path):
    (block,) = blocks(PAGE, "yaml")
    assert yaml.safe_load(block)["scrape_configs"][0]["scheme"] == "https"
    for name in ("ca.pem", "password"):
        (tmp_path / name).touch()
    config = tmp_path / "prometheus.yml"
    config.write_text(block, encoding="utf-8")
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_section_is_in_the_table_at_the_top():
    linked = set(re.findall(r"\[([^\]]+)\]\(#", TEXT.partition("Two commands")[0]))
    assert linked == set(SECTIONS)


def test_every_variable_on_the_page_is_a_setting():
    known = {name for one in settings(TelemetryConfig).values() for name in one.variables}
    known |= {"OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"}  # of the commands that start a program
    assert set(re.findall(r"OTEL_\w+[A-Z](?![\w…])(?!_[*…])", TEXT)) <= known


def test_every_metric_on_the_page_is_declared():
    known = {each.prometheus_name for each in (*ingest.CATALOG, *runtime.CATALOG, *ha_ingestor.CATALOG)}
    named = set(re.findall(r"\b(?:homeassistant|asyncio|otel_ha)_\w+", re.sub(r"\{[^}]*\}", "", TEXT)))
    assert named <= known
    assert len(named) >= 4


def test_every_reason_of_a_problem_is_one_that_the_code_reports():
    (table,) = re.findall(r"^\| Reason \|.*?\n\n", SECTIONS["`_OTHER` and overflow"], re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "otel_ha").rglob("*.py"))
    assert {reason for reason in named if f'"{reason}"' not in code} == set()
    reported = set(re.findall(r'report\((?:[^"()]*, |"MetricsRegistry", )?\s*"([a-z]+_[a-z]+)"', code))
    assert reported <= named
