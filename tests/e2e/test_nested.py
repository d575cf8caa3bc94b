"""Processes that an instrumented program starts: each counts for itself, exactly once, and none fights for the port."""

from __future__ import annotations

import inspect
from multiprocessing import resource_tracker

import pytest

from tests.e2e.instrumented import BOTH, OURS, PATIENT, run, run_code
from tests.receivers import answer, receiving
from tests.servers.running import free_ports

pytestmark = PATIENT
RUN = "otel-ha run"
NEVER = str(3600 * 1000)
COUNTING = """
import logging, multiprocessing, os, subprocess, sys
from otel_ha.vocabulary import ingest

def count(number):
    ingest.RECEIVED.add(number, source="mqtt")

def url():
    from otel_ha.telemetry import running_telemetry
    return running_telemetry().metrics_url
"""
# Runs a part of the program in a process of its own, by the way that an argument names.
STARTING = """
way = sys.argv[1]
if __name__ == "__main__":
    if sys.argv[2:] == ["child"]:
        count(10)
        sys.exit()
    count(1)
    if way == "Popen":
        subprocess.run([sys.executable, __file__, way, "child"], check=True)
    elif way == "exec":
        from otel_ha.telemetry import running_telemetry
        running_telemetry().flush()  # a program that is replaced has no end
        os.execv(sys.executable, [sys.executable, __file__, way, "child"])
    elif way == "fork and exec":
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, __file__, way, "child"])
        assert os.wait()[1] == 0
    elif way == "os.fork":
        if os.fork() == 0:
            count(10)
            sys.exit()
        assert os.wait()[1] == 0
    else:
        context = multiprocessing.get_context(way)
        process = context.Process(target=count, args=[10])
        process.start()
        process.join()
        assert process.exitcode == 0
"""
WAYS = ("Popen", "exec", "fork and exec", "os.fork", "spawn", "fork", "forkserver")


@pytest.mark.parametrize("way", WAYS)
@BOTH
def test_counts_of_every_process_arrive_exactly_once(command, way, tmp_path):
    (tmp_path / "app.py").write_text(COUNTING + STARTING)
    (port,) = free_ports(1)
    with receiving(answer()) as receiver:
        settings = {
            "OTEL_METRICS_EXPORTER": "otlp,prometheus",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            # From 3.12 on, Python warns of a fork beside any thread, such as telemetry's.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
        }
        done = run(command, "python", "app.py", way, path=tmp_path, **settings)
        assert (done.stderr, done.returncode) == ("", 0)
        assert receiver.total("homeassistant.event.received") == 11


# Starts itself, and shows where each process is scraped.
ENDPOINTS = """
if len(sys.argv) == 1:
    child = subprocess.run([sys.executable, __file__, "child"], capture_output=True, text=True, check=True)
    print(url(), child.stdout, child.stderr)
else:
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
    from urllib.request import urlopen
    print(url(), urlopen(url()).status)
"""
SET_UP = """
if len(sys.argv) == 2:
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
    from otel_ha import setup_telemetry
    setup_telemetry("nested")
"""


def test_a_nested_process_is_scraped_at_a_port_of_its_own(tmp_path):
    (tmp_path / "app.py").write_text(COUNTING + ENDPOINTS)
    (port,) = free_ports(1)
    done = run(RUN, "app.py", path=tmp_path, OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    first, second, status = done.stdout.split()
    assert (first, status, done.stderr) == (f"http://127.0.0.1:{port}/metrics", "200", "")
    assert second.startswith("http://127.0.0.1:")
    assert second != first


def test_a_nested_process_with_a_set_up_of_its_own_says_where_it_listens(tmp_path):
    (tmp_path / "app.py").write_text(COUNTING + SET_UP + ENDPOINTS)
    (port,) = free_ports(1)
    done = run(RUN, "app.py", path=tmp_path, OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    assert done.stderr == ""
    assert f"port {port} is in use, and an instrumented process started this one: its metrics are at" in done.stdout


def test_a_port_that_another_program_uses_is_an_error_still():
    with receiving(answer()) as other:
        done = run_code(RUN, "print('ran')", OTEL_EXPORTER_PROMETHEUS_PORT=str(other.port))
    assert (done.stdout, done.stderr.count("no metrics endpoint")) == ("ran\n", 1)


def test_the_resource_tracker_of_multiprocessing_has_no_telemetry():
    started = "from multiprocessing.resource_tracker import main"
    assert f"'{started}" in inspect.getsource(resource_tracker)
    done = run_code(RUN, f"{started}\nimport sys\nprint('otel_ha.telemetry' in sys.modules)")
    assert done.stdout == "False\n"


def test_the_command_otel_ha_has_no_telemetry_of_its_own():
    with receiving(answer()) as other:  # it would complain that the port is in use
        done = run(RUN, *OURS[:3], "catalog", OTEL_EXPORTER_PROMETHEUS_PORT=str(other.port))
    assert (done.returncode, done.stderr) == (0, "")
