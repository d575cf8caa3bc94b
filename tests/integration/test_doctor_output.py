"""The doctor's text: it fits 80 columns, needs neither a terminal nor UTF-8, and --watch tells changes."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest

from tests.integration.doctor import ROOT, SCRAPE_ONLY, SERVICE, run, service, url_of
from tests.servers.running import HOST, free_ports

pytestmark = pytest.mark.timeout(120)

COMMAND = [sys.executable, "-W", "error", "-m", "otel_ha.cli", "doctor", "--no-canary"]


def variables(port) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPATH"}}
    return {**kept, "OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_SERVICE_NAME": SERVICE, **SCRAPE_ONLY}


def test_lines_fit_80_columns_and_the_end_says_what_to_do_first():
    [port] = free_ports(1)
    names = {"OTEL_SERVICE_NAME": SERVICE, "OTEL_RESOURCE_ATTRIBUTES": f"a={'long ' * 40}"}
    done = run(OTEL_EXPORTER_PROMETHEUS_PORT=str(port), **names, **SCRAPE_ONLY)
    assert done.returncode == 1
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "✗ endpoint: The service's endpoint answers [no_service]" in done.stdout
    assert "\x1b" not in done.stdout
    assert "1 finding. Begin with endpoint.address [no_service]: start the service" in done.stdout


def test_without_utf_8_the_signs_are_ascii():
    [port] = free_ports(1)
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = run(OTEL_EXPORTER_PROMETHEUS_PORT=str(port), OTEL_SERVICE_NAME="Küche", **environment, **SCRAPE_ONLY)
    assert done.stdout.isascii()
    assert "!! endpoint: " in done.stdout
    assert "ok settings: " in done.stdout
    assert done.stderr == ""


def test_hostile_text_does_not_reach_the_terminal():
    hostile = "\x1b[31mred\x07\u202e<script>"
    with service(hostile) as telemetry:
        done = run("--service-url", url_of(telemetry), **SCRAPE_ONLY)
        as_json = run("--json", "--service-url", url_of(telemetry), **SCRAPE_ONLY)
    for character in "\x1b\x07\u202e":
        assert character not in done.stdout
        assert character not in as_json.stdout
    assert "<script>" in done.stdout


def read_until(master: int, text: str) -> str:
    output = ""
    while text not in output:
        assert select.select([master], [], [], 60)[0], output
        output += os.read(master, 65_536).decode()
    return output


def test_in_a_terminal_watch_shows_changes_and_ends_by_ctrl_c():
    master, slave = pty.openpty()
    [port] = free_ports(1)
    process = subprocess.Popen(
        [*COMMAND, "--watch=1"],
        env={**variables(port), "TERM": "xterm"},
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        first = read_until(master, "Ctrl-C ends it.")
        assert "\x1b[31m" in first
        assert "no_service" in first
        read_until(master, "no change, 1 finding")
        with service(prometheus_port=port, prometheus_host=HOST):
            over = read_until(master, "No finding")
            assert re.search(r"\d\d:\d\d:\d\d over: endpoint.address \[no_service\]", over)
        again = read_until(master, "Begin with")
        assert "new:" in again
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
        while select.select([master], [], [], 0)[0]:
            try:
                again += os.read(master, 65_536).decode()
            except OSError:  # the end, on Linux
                break
        assert "Traceback" not in again
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_watch_with_json_prints_one_object_on_each_line():
    [port] = free_ports(1)
    with subprocess.Popen(
        [*COMMAND, "--watch", "1", "--json"], env=variables(port), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert [look["findings"] for look in looks] == [1, 1]
    assert looks[0]["timestamp"] < looks[1]["timestamp"]
    for line in rest.splitlines():
        json.loads(line)


def test_a_pipe_that_closes_early_is_no_traceback():
    [port] = free_ports(1)
    done = subprocess.run(
        f"{sys.executable} -m otel_ha.cli doctor --no-canary | head -n 1",
        shell=True,
        env=variables(port),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout
    assert "Traceback" not in done.stderr
