"""`otel-ha top` on a real service: in a pseudo terminal, without one, and with services that end and return."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice

import pytest
from rich.cells import cell_len

from tests.e2e.started import service
from tests.e2e.terminal import Terminal
from tests.servers.running import free_ports

TOP = (sys.executable, "-m", "otel_ha.cli", "top", "--interval", "0.2")
NO_PUSH = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_HA_HISTORY_INTERVAL": "0.2"}


def served(port: int = 0, **environment: str):
    return service("wait", "http://127.0.0.1:9", OTEL_EXPORTER_PROMETHEUS_PORT=str(port), **NO_PUSH, **environment)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as process:
        yield process.metrics_url.removesuffix("/metrics")


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    with served() as process:
        yield process.metrics_url.removesuffix("/metrics")


@pytest.fixture
def nobody() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


def top(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run without a terminal."""
    variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
    return subprocess.run([*TOP, *arguments], env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10)])
def test_a_service_fills_the_terminal_and_no_line_is_too_long(url, size):
    with Terminal([*TOP, url], size) as terminal:
        terminal.until(lambda screen: "waiting" not in screen and "q quit" in screen)
        lines = terminal.screen.split("\r\n")
        assert len(lines) == size[1]
        assert {cell_len(line) for line in lines} == {size[0]}
        assert lines[0].startswith("test-service  ok")
        assert lines[-1].startswith("q quit")
        assert "\x1b" not in terminal.screen


@pytest.mark.parametrize(
    ("way", "code"),
    [("q", 0), ("\x03", 130), *((each, -each) for each in (signal.SIGTERM, signal.SIGHUP)), (signal.SIGINT, 130)],
)
def test_the_terminal_is_restored_on_every_way_out(url, way, code):
    with Terminal([*TOP, url]) as terminal:
        terminal.until("q quit")
        if isinstance(way, str):
            terminal.press(way)
        else:
            terminal.process.send_signal(way)
        assert terminal.end() == code
        assert terminal.is_restored


def test_the_terminal_is_restored_after_a_fault_of_our_own(url):
    faulty = "from otel_ha.cli.top import live; del live.screen; from otel_ha.cli.__main__ import main; main()"
    with Terminal([sys.executable, "-c", faulty, "top", url]) as terminal:
        assert terminal.end() == 1
        assert terminal.is_restored
        assert "NameError" in terminal.written.rpartition("\x1b[?1049l")[2]


def test_keys_sort_reverse_open_and_go_back(url, other):
    with Terminal([*TOP, url, other]) as terminal:
        terminal.until("2 ok")
        ports = [each.rpartition(":")[2] for each in (url, other)]
        terminal.press("s")
        terminal.until("by name")
        terminal.press("R")
        terminal.until("by rate")
        terminal.press("\x1b[B\r")
        terminal.until("Esc back")
        terminal.press("\x1b")
        screen = terminal.until("Enter open")
        assert all(re.search(rf"^\d .*:{port}", screen, re.MULTILINE) for port in ports)
        terminal.press("s")
        terminal.press("q")
        assert terminal.end() == 0


def test_reversing_shows_the_last_service_first(url, other):
    with Terminal([*TOP, url, other]) as terminal:
        terminal.until("2 ok")
        terminal.press("r")
        screen = terminal.until("reversed")
        assert re.findall(r"^(\d) t", screen, re.MULTILINE) == ["2", "1"]


def test_a_service_that_ends_is_gone_and_comes_back_by_itself():
    with served() as process, Terminal([*TOP, url := process.metrics_url]) as terminal:
        terminal.until("test-service  ok")
        process.kill()
        terminal.until(lambda screen: re.search(r"gone since \d+ s: connection refused", screen) is not None)
        process.wait()
        with served(int(url.rpartition(":")[2].partition("/")[0])):
            screen = terminal.until("test-service  ok")
            assert "restarted" in screen
            assert "gone" not in screen


def test_one_service_that_hangs_blocks_neither_the_other_nor_the_keys(url):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Terminal([*TOP, "--timeout", "600", hanging, url]) as terminal:
            terminal.until(lambda screen: "waiting" in screen and "test-service" in screen)
            terminal.press("q")
            assert terminal.end() == 0


def test_a_wrong_url_is_a_row_on_the_screen(url, nobody):
    with Terminal([*TOP, url, nobody]) as terminal:
        terminal.until(lambda screen: re.search(r"no data since \d+ s: connection refused", screen) is not None)


def test_the_screen_follows_the_size_of_the_window(url):
    with Terminal([*TOP, url]) as terminal:
        terminal.until("q quit")
        for width, height in ((120, 40), (20, 5), (40, 10)):
            terminal.resize(width, height)
            terminal.until(lambda screen, size=(width, height): shape(screen) == size)


def shape(screen: str) -> tuple[int, int]:
    lines = screen.split("\r\n")
    return cell_len(lines[0]), len(lines)


def test_without_unicode_the_screen_is_ascii(url):
    with Terminal([*TOP, url], LC_ALL="C") as terminal:
        assert terminal.until("q quit").isascii()


def test_no_color_has_no_colors(url):
    with Terminal([*TOP, url], NO_COLOR="1") as terminal:
        terminal.until("q quit")
        assert not re.search(r"\x1b\[[0-9;]*\b[349][0-7]\b", terminal.written)


def test_a_dumb_terminal_gets_plain_lines(url):
    with Terminal([*TOP, url], TERM="dumb") as terminal:
        while "status=ok" not in terminal.written:
            assert terminal._read(30)
        assert "\x1b" not in terminal.written
        terminal.press("\x03")
        assert terminal.end() == 130


def test_once_prints_a_line_for_each_service_in_order(url, other):
    found = top("--once", url, other)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert [each.split()[1] for each in lines] == [url, other]
    assert all(" service=test-service status=ok rate=0/s " in each for each in lines)


def test_an_address_that_is_given_twice_is_one_service(url):
    found = top("--once", url, f"{url}/", f"{url}/metrics")
    assert (found.returncode, len(found.stdout.splitlines())) == (0, 1)


def test_once_with_a_service_that_does_not_answer_is_a_finding(url, nobody):
    found = top("--once", url, nobody)
    assert (found.returncode, found.stderr) == (1, "")
    assert 'status="no data" reason="connection refused' in found.stdout.splitlines()[1]


def test_once_with_a_service_that_hangs_ends():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = top("--once", "--timeout", "0.2", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (found.returncode, len(found.stdout.splitlines())) == (1, 1)


def test_json_is_an_object_for_each_service(url, nobody):
    found = [json.loads(each) for each in top("--once", "--json", url, nobody).stdout.splitlines()]
    assert [(each["url"], each["status"]) for each in found] == [(url, "ok"), (nobody, "no data")]
    assert "connection refused" in found[1]["error"].lower()


@pytest.mark.parametrize("wrong", ["ftp://host", "http://host:port", "http://[::1", "", "http://"])
def test_a_malformed_url_is_wrong_usage_without_a_traceback(wrong):
    found = top("--once", wrong)
    assert found.returncode == 2
    assert f"{wrong!r} is not a URL" in found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_terminal_lines_go_on_until_nobody_reads_them(url):
    with subprocess.Popen([*TOP, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        answered = (each for each in process.stdout if f" {url} service=test-service status=ok " in each)
        assert len(list(islice(answered, 3))) == 3
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr.read() == ""


def test_ctrl_c_ends_lines_quietly(url):
    with subprocess.Popen([*TOP, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read().strip() == ""


def test_a_password_opens_a_service_that_asks_for_one():
    secret = {"OTEL_HA_ENDPOINT_USERNAME": "home", "OTEL_HA_ENDPOINT_PASSWORD": "a-long-password"}
    with served(**secret) as process:
        url = process.metrics_url.removesuffix("/metrics")
        assert "answers 401" in top("--once", url).stdout
        assert "status=ok" in top("--once", url, **secret).stdout
