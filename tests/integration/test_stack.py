"""`make stack`: everything answers, and nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.pages import ROOT
from tests.servers.alertmanager import NOBODY
from tests.servers.fixtures import needed
from tests.servers.running import eventually, get, get_json, instant_query

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

DASHBOARDS = ROOT / "collector-config" / "victoriametrics" / "dashboards"


@dataclass
class Stack:
    """The program of `make stack` on free ports, in a group of its own as in a terminal."""

    process: subprocess.Popen[str]
    temporary: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stdout))
        self.reader.start()

    @property
    def text(self) -> str:
        return "".join(self.said)

    def until(self, text: str) -> None:
        eventually(lambda: self.text, lambda said: text in said, timeout=60)

    def url(self, name: str) -> str:
        return re.search(rf"^  {name} +(http://[\d.:]+)", self.text, re.MULTILINE)[1]

    def parts(self) -> dict[str, psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return {("service" if "examples.demo" in each.cmdline() else each.name()): each for each in children}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts a stack with one alert that always fires, and ends it with all its parts."""
    for program in ("victoria-metrics", "vmalert", "alertmanager"):
        needed(program)
    (tmp_path / "alertmanager.yml").write_text(NOBODY, encoding="utf-8")
    (tmp_path / "otel_ha.rules.yml").write_text(
        "groups: [{name: test, interval: 1s, rules: [{alert: Always, expr: vector(1)}]}]\n", encoding="utf-8"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # As a user gives them: relative to the folder in which the command is run.
    given = Path(os.path.relpath(tmp_path, ROOT))
    command = [sys.executable, "-m", "examples.stack", "--free-ports", f"--rules={given}/otel_ha*.yml"]
    command.append(f"--alertmanager-config={given / 'alertmanager.yml'}")
    stacks: list[Stack] = []

    def begin(*more: str) -> Stack:
        process = subprocess.Popen(
            [*command, *more],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stacks.append(Stack(process, temporary))
        return stacks[-1]

    yield begin
    for stack in stacks:
        if stack.process.poll() is None:
            for part in stack.parts().values():
                part.kill()
            stack.process.kill()
        stack.process.wait(10)
        stack.reader.join(10)
        stack.process.stdout.close()


def test_everything_answers_until_ctrl_c_which_leaves_nothing(start):
    stack = start()
    stack.until("Ctrl-C ends the stack")
    parts = stack.parts()
    assert sorted(parts) == ["alertmanager", "service", "victoria-metrics", "vmalert"]
    store, service = stack.url("dashboards"), stack.url("the service")
    assert "<title>" in get(f"{store}/vmui/")
    # The service prints its address before it receives anything.
    assert eventually(lambda: "homeassistant_event_received_total" in get(f"{service}/metrics"))
    assert get_json(f"{service}/healthz")["status"] == "ok"
    up = eventually(lambda: instant_query(store, "up == 1"), lambda rows: len(rows) == 4, timeout=60)
    assert {labels["job"] for labels, _ in up} == {"ha-ingestor", "victoria-metrics", "vmalert", "alertmanager"}
    [(labels, _)] = eventually(lambda: instant_query(store, "homeassistant_event_received_total"))
    assert labels["via"] == "scrape"
    assert eventually(lambda: instant_query(store, 'count({__name__="sensor_value"})'))
    [alert] = eventually(lambda: get_json(f"{stack.url('Alertmanager')}/api/v2/alerts"))
    assert alert["labels"]["alertname"] == "Always"
    assert "vmalert/alert?group_id=" in alert["generatorURL"]
    assert get_json(f"{store}/api/v1/rules")["data"]["groups"][0]["name"] == "test"
    stack.process.send_signal(signal.SIGINT)
    stack.until("Stopping")
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(60) == 0
    assert not any(part.is_running() for part in parts.values())
    assert list(stack.temporary.iterdir()) == []
    stack.until("The stack has ended.")


def test_with_traces_and_logs_their_servers_run_too_and_nothing_is_left(start):
    for program in ("jaeger", "victoria-logs"):
        needed(program)
    stack = start("--traces-logs")
    stack.until("Ctrl-C ends the stack")
    parts = stack.parts()
    assert sorted(parts) == ["alertmanager", "jaeger", "service", "victoria-logs", "victoria-metrics", "vmalert"]
    jaeger, logs = stack.url("traces"), stack.url("log records")
    services = eventually(lambda: get_json(f"{jaeger}/api/services")["data"], timeout=60)
    assert services == ["ha-ingestor-demo"]
    # The service writes no log record as long as nothing is wrong.
    assert "<title>" in get(f"{logs}/select/vmui/")
    service = stack.url("the service")
    health = eventually(lambda: get_json(f"{service}/healthz"), lambda health: health["status"] == "ok")
    assert {"otlp traces", "otlp logs"} <= {reader["reader"] for reader in health["readers"]}
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(60) == 0
    assert not any(part.is_running() for part in parts.values())
    assert list(stack.temporary.iterdir()) == []


def test_the_page_offers_every_dashboard(start):
    stack = start()
    stack.until("Ctrl-C ends the stack")
    offered = get_json(f"{stack.url('dashboards')}/vmui/custom-dashboards")["dashboardsSettings"]
    rendered = [json.loads(path.read_text(encoding="utf-8"))["title"] for path in DASHBOARDS.glob("*.json")]
    assert sorted(each["title"] for each in offered) == sorted(rendered)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_starts_ends_it(start, number):
    stack = start()
    stack.until("Starting victoria-metrics")
    stack.process.send_signal(number)
    assert stack.process.wait(60) == 0
    assert list(stack.temporary.iterdir()) == []


def test_when_the_service_ends_the_servers_keep_running(start):
    stack = start()
    stack.until("Ctrl-C ends the stack")
    stack.parts()["service"].terminate()
    stack.until("The service has ended; the servers keep running.")
    assert get(f"{stack.url('dashboards')}/health") == "OK"


def test_when_a_server_ends_the_stack_ends_with_1_and_the_end_of_its_log(start):
    stack = start()
    stack.until("Ctrl-C ends the stack")
    parts = stack.parts()
    parts["vmalert"].kill()
    assert stack.process.wait(60) == 1
    stack.until("stack: vmalert has ended:")
    assert not any(part.is_running() for part in parts.values())
    assert list(stack.temporary.iterdir()) == []
