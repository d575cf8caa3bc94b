"""The last interval reaches a real Collector, and an unreachable Collector costs only bounded time."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.e2e.started import service
from tests.servers.otelcol import Collector
from tests.servers.running import HOST, eventually, free_ports, get


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The return code and the log. The time limit stands for "bounded"; standard input stays open."""
    process.wait(timeout=20)
    return process.returncode, process.stderr.read()


def jobs(collector: Collector) -> list[tuple[str, str, float]]:
    """(role, instance, count) of each series that arrived."""
    found = re.findall(r"^test_jobs_total\{(.*)\} (\S+)", get(collector.prometheus_url), re.MULTILINE)
    return sorted(
        (re.search(r'test_role="(\w+)"', labels)[1], re.search(r'instance="([^"]+)"', labels)[1], float(count))
        for labels, count in found
    )


def counts(collector: Collector) -> dict[str, float]:
    return {role: count for role, _, count in jobs(collector)}


@pytest.mark.servers
def test_a_normal_exit_pushes_the_last_interval(otelcol):
    with service("return", otelcol.otlp_http_endpoint) as process:
        process.stdin.close()
        assert ended(process)[0] == 0
    assert counts(otelcol) == {"parent": 3, "late": 1}


@pytest.mark.servers
def test_the_last_interval_arrives_by_grpc_as_well(otelcol):
    protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with service("return", otelcol.otlp_grpc_endpoint, **protocol) as process:
        process.stdin.close()
        assert ended(process)[0] == 0
    assert counts(otelcol) == {"parent": 3, "late": 1}


@pytest.mark.servers
@pytest.mark.parametrize("way", ["wait", "work"])
def test_sigterm_pushes_the_last_interval_and_ends_the_process_as_it_would(otelcol, way):
    with service(way, otelcol.otlp_http_endpoint) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM
    assert counts(otelcol) == {"parent": 3}


@pytest.mark.servers
@pytest.mark.parametrize("way", ["asyncio handler before", "asyncio handler after"])
def test_an_asyncio_service_drains_on_sigterm_and_pushes_the_drained_events(otelcol, way):
    with service(way, otelcol.otlp_http_endpoint) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    assert counts(otelcol) == {"parent": 3, "late": 1}


@pytest.mark.servers
def test_an_existing_handler_is_called_and_the_last_interval_is_pushed(otelcol):
    with service("handler", otelcol.otlp_http_endpoint) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 7
    assert counts(otelcol) == {"parent": 3}


@pytest.mark.servers
def test_a_service_that_lives_in_a_thread_is_scraped_and_ends_at_sigterm(otelcol):
    # From Python 3.12 on, a process whose main thread has ended can no longer start threads.
    with service("thread", otelcol.otlp_http_endpoint) as process:
        time.sleep(0.5)
        assert "test_jobs_total" in get(process.metrics_url)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    assert counts(otelcol) == {"parent": 3}


def test_sigterm_that_is_ignored_stays_ignored():
    with service("ignored", "http://127.0.0.1:9", OTEL_METRICS_EXPORTER="none") as process:
        process.send_signal(signal.SIGTERM)
        process.stdin.write("\n")
        process.stdin.flush()
        assert ended(process)[0] == 0


@pytest.mark.servers
@pytest.mark.parametrize("way", ["fork", "multiprocessing"])
def test_parent_and_child_of_a_fork_count_separately_under_their_own_instances(otelcol, way):
    with service(way, otelcol.otlp_http_endpoint) as process:
        returncode, log = ended(process)
    assert returncode == 0, log
    [(_, childs, of_child), (_, parents, of_parent)] = jobs(otelcol)
    assert (of_child, of_parent) == (20, 4)
    assert childs != parents


@pytest.mark.servers
def test_a_forked_child_observes_what_its_parent_did_and_its_own_process(otelcol):
    with service("fork", otelcol.otlp_http_endpoint, OTEL_HA_SYSTEM_METRICS="true") as process:
        assert ended(process)[0] == 0
    page = get(otelcol.prometheus_url)
    for name in ("test_depth", "process_threads", "system_memory_usage_bytes"):
        instances = set(re.findall(rf'^{name}\{{.*instance="([^"]+)"', page, re.MULTILINE))
        assert len(instances) == 2, name


def test_a_dead_collector_does_not_delay_the_exit():
    [port] = free_ports(1)
    with service("wait", f"http://{HOST}:{port}") as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM


@pytest.mark.parametrize("end", ["signal", "exit"])
def test_a_collector_that_hangs_does_not_delay_the_exit(end):
    with (
        socket.create_server((HOST, 0)) as hanging,
        service("wait", f"http://{HOST}:{hanging.getsockname()[1]}") as process,
    ):
        if end == "signal":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        returncode, log = ended(process)
        assert returncode == (-signal.SIGTERM if end == "signal" else 0)
        assert "the last push to" in log
        assert "Reader" not in log  # the SDK's wording, which tells an operator nothing


def test_a_grpc_collector_that_hangs_does_not_delay_the_exit():
    with socket.create_server((HOST, 0)) as hanging:
        endpoint = f"http://{HOST}:{hanging.getsockname()[1]}"
        with service("wait", endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as process:
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == -signal.SIGTERM


@pytest.mark.servers
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_outage_is_one_warning_and_one_notice_of_recovery(make_otelcol: Callable[[], Collector], protocol):
    collector = make_otelcol()
    endpoint = collector.otlp_grpc_endpoint if protocol == "grpc" else collector.otlp_http_endpoint
    settings = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "300",
    }
    with service("wait", endpoint, **settings) as process:
        time.sleep(4)  # several intervals without a receiver
        collector.start()
        eventually(lambda: counts(collector) == {"parent": 3})
        process.stdin.write("\n")
        process.stdin.flush()
        _, log = ended(process)
    lines = log.splitlines()
    assert [("failed" in line, "works again" in line) for line in lines] == [(True, False), (False, True)], log


def test_a_forked_child_keeps_its_own_history():
    code = """
import os
from tests.e2e.service import CATALOG, JOBS
from otel_ha import TelemetryConfig, setup_telemetry

config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
telemetry = setup_telemetry("test", config=config, catalog=CATALOG)
JOBS.add(3, role="parent")
telemetry.history.collect()
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    JOBS.add(20, role="child")
telemetry.history.collect()
print(telemetry.history.totals(JOBS), len(telemetry.history.timestamps), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["{'': 20.0} 2", "{'': 3.0} 2"]


def test_a_child_that_is_forked_while_others_measure_a_block_can_measure_it():
    code = """
import os, signal, threading
from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest

config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
telemetry = setup_telemetry("test", config=config)
block = measured(ingest.EVENT, source="mqtt")
stopping = threading.Event()

def work():
    while not stopping.is_set():
        with block:
            pass

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
statuses = []
for _ in range(10):
    child = os.fork()
    if not child:
        signal.alarm(10)
        with block:
            pass
        os._exit(0)
    statuses.append(os.waitpid(child, 0)[1])
stopping.set()
for thread in threads:
    thread.join()
telemetry.shutdown()
print(statuses)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=55)
    assert done.stdout.strip() == str([0] * 10)


def test_a_child_that_is_forked_while_the_log_is_written_does_not_wait_for_it():
    code = """
import logging, os, socket, threading
from otel_ha import TelemetryConfig, setup_telemetry

class Stream:
    lock = threading.Lock()
    def write(self, text):
        with self.lock:
            os.write(2, text.encode())
    def flush(self):
        pass

logging.basicConfig(stream=Stream(), level=logging.DEBUG)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=port, system_metrics=False)
telemetry = setup_telemetry("test", config=config)
with Stream.lock:  # another thread writes
    child = os.fork()
    if not child:
        os._exit(0)
    print(os.waitpid(child, 0)[1])
telemetry.shutdown()
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0", done.stderr
