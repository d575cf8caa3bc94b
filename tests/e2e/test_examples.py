"""The examples, run as their readers would run them."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.running import HOST, eventually, free_ports, get

ROOT = Path(__file__).parents[2]
QUIET = {
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
    "OTEL_HA_SYSTEM_METRICS": "false",
}


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_quickstart_measures_its_events():
    with running("examples.quickstart", "2") as process:
        url = process.stdout.readline().removeprefix("metrics: ").strip()
        eventually(lambda: 'homeassistant_outcome="ok"' in get(url))
        output, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert 'homeassistant_outcome="error"' in output
    assert "Traceback" not in log


@pytest.mark.parametrize(("example", "argument"), [("quickstart", "soon"), ("mounted", "http")])
def test_a_wrong_argument_ends_an_example_with_exit_code_2(example, argument):
    with running(f"examples.{example}", argument) as process:
        _, log = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"invalid {'float' if example == 'quickstart' else 'int'} value: '{argument}'" in log
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def mounted() -> Iterator[str]:
    """The base URL of examples/mounted.py."""
    (port,) = free_ports(1)
    with running("examples.mounted", str(port)) as process:
        url = f"http://{HOST}:{port}"
        eventually(lambda: get(f"{url}/healthz"))
        yield url
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert "Traceback" not in log


def post(url: str, body: str) -> tuple[int, dict]:
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def sample(url: str, name: str, label: str) -> float:
    found = re.search(rf"^{name}{{[^}}]*{label}[^}}]*}} (\S+)$", get(f"{url}/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_mounted_metrics_count_the_events_of_the_service(mounted):
    name, label = "homeassistant_event_process_duration_seconds_count", 'homeassistant_domain="light"'
    before = sample(mounted, name, label)
    assert post(f"{mounted}/events", '{"entity_id": "light.hall"}') == (200, {"received": "light.hall"})
    assert sample(mounted, name, label) == before + 1


def test_the_mounted_metrics_count_discarded_events(mounted):
    name, label = "homeassistant_event_discarded_total", 'homeassistant_discard_reason="invalid"'
    before = sample(mounted, name, label)
    status, _ = post(f"{mounted}/events", "[]")
    assert (status, sample(mounted, name, label)) == (400, before + 1)
