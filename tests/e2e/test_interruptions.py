"""Signals, finalizers and forks that interrupt telemetry anywhere: nothing hangs, and nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.receivers import answer, late, receiving

NEVER = str(3600 * 1000)
NOWHERE = "http://127.0.0.1:9"


def start(way: str, endpoint: str = NOWHERE, **environment: str) -> subprocess.Popen[str]:
    variables = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
        **environment,
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.e2e.interrupted", way]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def output(way: str, endpoint: str = NOWHERE, **environment: str) -> str:
    """What a process prints that ends by itself; the time limit stands for "ends at all"."""
    with start(way, endpoint, **environment) as process:
        try:
            out, log = process.communicate(timeout=50)
        finally:
            process.kill()
    assert process.returncode == 0, log
    return out.strip()


SCRAPED = {"OTEL_METRICS_EXPORTER": "prometheus"}


@pytest.mark.parametrize("exemplars", ["trace_based", "always_on"])
def test_a_signal_handler_may_record_whatever_it_interrupts(exemplars):
    # With always_on, everything is recorded through the OpenTelemetry API.
    assert output("record", **SCRAPED, OTEL_METRICS_EXEMPLAR_FILTER=exemplars) == "[0.0, 0.0, 0.0]"


@pytest.mark.parametrize("exemplars", ["trace_based", "always_on"])
def test_a_finalizer_may_record_during_a_collection(exemplars):
    assert output("finalize", **SCRAPED, OTEL_METRICS_EXEMPLAR_FILTER=exemplars) == "0.0 0.0"


def test_a_signal_handler_may_ask_telemetry_whatever_it_interrupts():
    assert output("ask", **SCRAPED) == "[0.0]"


def test_a_signal_handler_may_summarize_and_flush_whatever_it_interrupts():
    assert output("summarize") == "ended"


def test_a_handler_that_shuts_down_is_interrupted_by_itself_while_the_receiver_hangs():
    with (
        socket.create_server(("127.0.0.1", 0)) as hanging,
        start("interrupt twice", f"http://127.0.0.1:{hanging.getsockname()[1]}") as process,
    ):
        try:
            assert process.stdout.readline() == "ready\n"
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            _, log = process.communicate("\n", timeout=30)
            assert process.returncode == 0, log
        finally:
            process.kill()


def test_a_handler_that_interrupts_recording_shuts_down_without_loss():
    for _ in range(5):
        with receiving(answer()) as receiver:
            output("shut down while recording", receiver.url)
            assert len(receiver.requests) == 1


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_the_children_of_a_pool_lose_nothing(delay):
    for _ in range(3):
        with receiving(late(delay)) as receiver:
            output("pool", receiver.url)
            assert receiver.total("test.jobs") == 4000


@pytest.mark.parametrize(
    ("way", "returncode"),
    [
        ("exit after push", -signal.SIGTERM),
        ("exit in handler", 7),
        ("shut down in thread", -signal.SIGTERM),
    ],
)
def test_sigterm_during_the_last_push_takes_effect_after_it(way, returncode):
    with receiving(late(1.0)) as receiver, start(way, receiver.url) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            before = len(receiver.requests)
            while len(receiver.requests) == before:
                time.sleep(0.01)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == returncode, log
        assert receiver.total("test.jobs") == 3


def test_a_child_that_gets_sigterm_while_it_is_forked_ends_by_it():
    code = """
import os, signal, time
from otel_ha import TelemetryConfig, setup_telemetry
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
telemetry = setup_telemetry("test", config=config)
statuses = set()
for n in range(60):
    child = os.fork()
    if not child:
        for _ in range(600):  # Python may miss a signal just before it sleeps
            time.sleep(0.1)
        os._exit(0)
    time.sleep(n / 4000)
    os.kill(child, signal.SIGTERM)
    statuses.add(os.waitpid(child, 0)[1])
print(statuses)
telemetry.shutdown()
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "{15}", done.stderr


def test_sigterm_twice_loses_nothing():
    with receiving(late(1.0)) as receiver, start("interrupt twice", receiver.url) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == -signal.SIGTERM
        assert receiver.total("test.jobs") == 3


def test_sixty_setups_leave_no_thread_descriptor_or_hook_and_less_than_a_megabyte():
    with receiving(answer()) as receiver:
        assert output("cycle", receiver.url).startswith("[0, 0, 0] 0 ")


def test_a_child_imports_nothing_in_a_thread():
    # gevent replaces the locks of imports when gunicorn's worker begins, after a fork with --preload.
    code = """
import os, sys
from otel_ha import TelemetryConfig, setup_telemetry
telemetry = setup_telemetry("test")
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    before = set(sys.modules)
    telemetry.prometheus_text()
    assert telemetry.flush()
    print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names), flush=True)
    os._exit(0)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    with receiving(answer()) as receiver:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "[]", done.stderr


def test_telemetry_is_set_up_where_processes_cannot_fork():
    code = """
import logging, os, random, threading  # Python's own use the hook where there is one
del os.register_at_fork
from otel_ha import TelemetryConfig, compat, setup_telemetry
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
with setup_telemetry("test", config=config) as telemetry:
    print(telemetry.metrics_url is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "True", done.stderr
